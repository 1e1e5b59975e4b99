"""The phases after the network is trained: selection of a restart, its program, search, pruning, shortening."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch

from zoo.batch import Batch
from zoo.programs.codegen.vocabulary import forget_words, with_names, words_of_their_own
from zoo.programs.ir.program import Program
from zoo.programs.learn import restart_state
from zoo.programs.learn.learner import ProgramLearner
from zoo.programs.learn.restarts import Restart, pack
from zoo.programs.learn.word_vectors import start, word_vectors
from zoo.programs.reduce.local_search import search
from zoo.programs.reduce.prune import prune
from zoo.programs.reduce.refit import fitted
from zoo.programs.reduce.shorten import lines, shrink
from zoo.programs.reduce.simplify import simplify


class ProgramTraining(ProgramLearner):
    """A ``ProgramLearner`` with the methods that a phase can name under ``then``; each returns metrics by name."""

    @torch.no_grad()
    def embed(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Initialize word embeddings from co-occurrences: words with similar neighbors get similar properties."""
        shape = self.network.shape
        if not shape.variables:
            raise ValueError("model.variables is 0; embed needs 1 or more properties for each token")
        codes = self._questions(loader).codes
        vectors = word_vectors(codes, shape.tokens).to(self.device)
        self.network.embedding.copy_(start(vectors, shape.variables, shape.width, self.network.restarts))
        return {"words": float(shape.tokens)}

    @torch.no_grad()
    def race(self, loader: Iterable[Batch], *, keep: int = 4) -> dict[str, float]:
        """Keep the ``keep`` restarts of highest validation accuracy, with their current parameters."""
        if len(self.code):
            raise ValueError("the model is already a program; expected race before discretise")
        if keep < 1:
            raise ValueError(f"keep is {keep}; expected 1 or more restarts")
        ids = self.accuracy.argsort(descending=True, stable=True)[:keep].sort().values
        best = float(self.accuracy.max())
        median = float(self.accuracy.median())
        restart_state.take(self, ids)
        return {"best": best, "median": median, "kept": float(len(ids))}

    @torch.no_grad()
    def discretise(self, loader: Iterable[Batch], *, l2: float = 1e-6, bits: int = 6) -> dict[str, float]:
        """Turn the restart of highest validation accuracy, at its best epoch, into the program.

        Among equals, the one that simplifies to the fewest variables. Its read-out is refitted exactly and rounded.

        Args:
            loader: of the training split.
            l2: strength of the L2 penalty of the read-out.
            bits: weights are rounded to multiples of ``2 ** -bits``, so that their sums are exact in every precision.
        """
        if len(self.code):
            raise ValueError("the model is already a program; expected discretise once")
        accuracies = self.accuracy.tolist()
        if max(accuracies) >= 0:
            self.best.restore(self._parameters_of_restarts())
        questions = self._questions(loader)
        restarts = [
            Restart(self.compiled(r), accuracy, (with_noise, without_noise))
            for r, (accuracy, (with_noise, without_noise)) in enumerate(
                zip(accuracies, self.soft.tolist(), strict=True)
            )
        ]
        highest = max(restart.val for restart in restarts)
        best = [simplify(restart.program) for restart in restarts if restart.val == highest]
        raw = min(best, key=lambda program: len(program.nodes))
        refit = fitted(raw, questions, l2=l2, bits=bits)
        metrics = {f"restart {i + 1}": value for i, value in enumerate(sorted(accuracies))}
        metrics |= {"accuracy": questions.accuracy(raw), "accuracy refitted": questions.accuracy(refit)}
        self._become(with_names(refit, questions.codes))
        self.restart_programs = pack(restarts).to(self.device)
        return metrics

    @torch.no_grad()
    def improve(
        self, loader: Iterable[Batch], *, tries: int = 20_000, l2: float = 1e-6, bits: int = 6
    ) -> dict[str, float]:
        """Improve gates, predicate rows and table entries by local search, then refit the read-out."""
        questions = self._questions(loader)
        before = questions.accuracy(self.program)
        refit = partial(fitted, l2=l2, bits=bits)
        improved = simplify(search(self.program, questions, refit=refit, tries=tries))
        self._become(refit(improved, questions))
        return {"accuracy before": before, "accuracy": questions.accuracy(self.program)}

    @torch.no_grad()
    def prune(
        self,
        loader: Iterable[Batch],
        *,
        cost: float = 0.005,
        l2: float = 1e-6,
        bits: int = 6,
        val: bool | Iterable[Batch] = False,
        some: int | None = None,
        words: bool = False,
    ) -> dict[str, float]:
        """Remove variables whose removal costs at most ``cost`` of accuracy on held-out sequences.

        Args:
            loader: of the training split.
            cost: accuracy that all removals together may cost.
            l2: strength of the L2 penalty of the read-out.
            bits: as in ``discretise``.
            val: the validation split, as the held-out sequences; False for a fifth of the training sequences. Use it if
                the network has memorized its training sequences.
            some: largest number of sequences to fit and to hold out; None for all.
            words: read words whose properties affect no prediction as unknown words.
        """
        questions = self._questions(loader)
        fit, held_out = questions.split_every(5) if isinstance(val, bool) else (questions, self._questions(val))
        if some is not None:
            fit = fit.sample(some)
            held_out = held_out.sample(some)
        done = prune(self.program, fit, held_out, cost=cost, l2=l2)
        text = [lines(p) for p in (self.program, done.program)]
        best = forget_words(done.program, fit, held_out) if words else done.program
        self._become(with_names(fitted(best, questions, l2=l2, bits=bits), questions.codes))
        names = ("accuracy before", "accuracy", "variables before", "variables", "lines before", "lines")
        numbers = map(float, (*done.accuracy, *done.variables, *text))
        metrics: dict[str, float] = dict(zip(names, numbers, strict=True))
        if words:
            metrics["words"] = float(words_of_their_own(self.program))
        return metrics

    @torch.no_grad()
    def shrink(
        self,
        loader: Iterable[Batch],
        *,
        cost: float = 0.003,
        l2: float = 1e-6,
        bits: int = 6,
        some: int | None = None,
    ) -> dict[str, float]:
        """Shorten the program's text by changes that cost at most ``cost`` of accuracy; arguments as in ``prune``."""
        questions = self._questions(loader)
        fit, held_out = questions.split_every(5)
        if some is not None:
            fit = fit.sample(some)
            held_out = held_out.sample(some)
        done = fitted(shrink(self.program, fit, held_out, cost=cost, l2=l2), questions, l2=l2, bits=bits)
        metrics = {"accuracy before": held_out.accuracy(self.program), "accuracy": held_out.accuracy(done)}
        for name, program in ((" before", self.program), ("", done)):
            metrics[f"variables{name}"] = float(len(program.nodes))
            metrics[f"lines{name}"] = float(lines(program))
        self._become(done)
        return metrics

    def _become(self, program: Program) -> None:
        """Replace the network by a program."""
        restart_state.take(self, torch.zeros(0, dtype=torch.int64, device=self.device))
        self.readout.become(program.weight, program.bias)
        self.code = torch.tensor(list(program.to_json().encode()), dtype=torch.uint8, device=self.device)
        self.accuracy = torch.full((1,), -1.0, device=self.device)
        self.soft = torch.full((1, 2), -1.0, device=self.device)
