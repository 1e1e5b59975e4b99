"""How a transformer program learns, beside its loss: cooling, hard validation, and what phases call afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.programs.codegen.vocabulary import forget_words, with_names, words_of_their_own
from zoo.programs.ir.program import Program
from zoo.programs.label_positions import Questions
from zoo.programs.learn import restart_state
from zoo.programs.learn.network import Network, ReadOut
from zoo.programs.learn.restarts import Rival, pack
from zoo.programs.learn.word_vectors import start, word_vectors
from zoo.programs.reduce.local_search import search
from zoo.programs.reduce.prune import fitted, prune
from zoo.programs.reduce.shorten import lines, shrink
from zoo.programs.reduce.simplify import simplify


class Learning(nn.Module):
    """Part of ``zoo.models.transformer_program.TransformerProgram``, which has the tensors named here.

    Attributes:
        network: restarts.
        readout: their ``weight`` ``(r, c, u)`` and ``bias`` ``(r, c)``.
        best: each restart as it was at its best.
        accuracy: ``(r,)`` hard validation accuracy of that.
        soft: ``(r, 2)`` validation accuracy of that as a network at the last temperature, with noise and without.
        rivals: what all restarts were when the best was chosen; see ``zoo.programs.learn.restarts``.
        progress: epochs done.
        code: the program as text, once there is one.
    """

    network: Network
    readout: ReadOut
    best: restart_state.Snapshot
    accuracy: Tensor
    soft: Tensor
    rivals: Tensor
    progress: Tensor
    code: Tensor
    program: Any
    device: Any
    trainer: Any
    log: Any
    _sequences: Any
    _questions: Any
    _soft_logits: Any
    _compiled: Any

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Each restart for itself, as if it were alone."""
        if gradient_clip_val is not None:
            restart_state.clip([p for g in optimizer.param_groups for p in g["params"]], gradient_clip_val)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Cool down."""
        self.progress += 1 / self.trainer.num_training_batches

    def on_validation_epoch_start(self) -> None:
        """Read the program of every restart."""
        self._programs = [self._compiled(r) for r in range(len(self.readout.weight))]
        self._tally = torch.zeros(len(self._programs) + 1, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Right answers of every restart's program: what counts is what it does when every choice is hard."""
        codes, asked = self._sequences(batch.x)
        given = Questions(codes, asked, batch.y)
        self._tally += torch.tensor([len(batch) * p for p in map(given.accuracy, self._programs)] + [len(batch)])

    def on_validation_epoch_end(self) -> None:
        """Keep each restart as it was at its best."""
        assert self._tally is not None
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(self._tally)
        now = (self._tally[:-1] / self._tally[-1]).to(self.accuracy)
        self.log("val/accuracy", now.max(), prog_bar=True)
        self.log("val/median", now.median())
        if not len(self.code):
            self.best.keep([*self.network.parameters(), *self.readout.parameters()], now >= self.accuracy)
        self.accuracy.copy_(torch.maximum(self.accuracy, now))

    def on_train_start(self) -> None:
        """Take numbers too small for ordinary floats for zero: cold choices are full of them, and they are slow."""
        torch.set_flush_denormal(True)

    @torch.no_grad()
    def on_train_end(self) -> None:
        """Validate each restart at its best once more, as the network it is at the last temperature."""
        torch.set_flush_denormal(False)
        if len(self.code) or float(self.accuracy.max()) < 0:
            return
        every = [*self.network.parameters(), *self.readout.parameters()]
        now = restart_state.Snapshot(every).to(self.device)
        self.best.restore(every)
        right = torch.zeros(len(self.accuracy), 2, dtype=torch.float64, device=self.device)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for batch in self.trainer.val_dataloaders:
            y = batch.y.to(self.device)
            codes, asked = self._sequences(batch.x.to(self.device))
            for i, noise in enumerate((True, False)):
                logits = self._soft_logits(codes, asked, noise=noise)
                right[:, i] += (logits.argmax(1) == y).sum(1)
            total += len(y)
        now.restore(every)
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(right)
            dist.all_reduce(total)
        self.soft.copy_(right / total)

    # Methods that a phase may name under ``then``.

    @torch.no_grad()
    def embed(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Let words that stand near the same words begin with like properties; from the training sequences alone."""
        s = self.network.shape
        if not s.variables:
            raise ValueError("the model reads tokens whole; embed needs model.variables, 1 or more")
        codes = self._questions(loader).codes
        vectors = word_vectors(codes, s.tokens).to(self.device)
        self.network.embedding.copy_(start(vectors, s.variables, s.width, self.network.restarts))
        return {"words": float(s.tokens)}

    @torch.no_grad()
    def race(self, loader: Iterable[Batch], *, keep: int = 4) -> dict[str, float]:
        """Go on with the restarts that have been best on validation data, as they are now."""
        if len(self.code):
            raise ValueError("the program is already found; race before discretise")
        if keep < 1:
            raise ValueError(f"race keeps {keep} restarts; expected 1 or more")
        ids = self.accuracy.argsort(descending=True, stable=True)[:keep].sort().values
        told = {"best": float(self.accuracy.max()), "median": float(self.accuracy.median()), "kept": float(len(ids))}
        restart_state.take(self, ids)
        return told

    @torch.no_grad()
    def discretise(self, loader: Iterable[Batch], *, l2: float = 1e-6, bits: int = 6) -> dict[str, float]:
        """The best restart at its best becomes the program, of equals the one that simplifies to the fewest variables.

        Its read-out is fitted anew, exactly, and rounded.

        Weights are multiples of ``2 ** -bits``, so that scores add up to the same in every precision.
        """
        if len(self.code):
            raise ValueError("the program is already found; discretise once")
        spread = sorted(self.accuracy.tolist())
        if max(spread) >= 0:
            self.best.restore([*self.network.parameters(), *self.readout.parameters()])
        given = self._questions(loader)
        rivals = [
            Rival(self._compiled(r), a, tuple(s))
            for r, (a, s) in enumerate(zip(self.accuracy.tolist(), self.soft.tolist(), strict=True))
        ]
        best = [simplify(r.program) for r in rivals if r.val == max(r.val for r in rivals)]
        raw = min(best, key=lambda p: len(p.nodes))
        refit = fitted(raw, given, l2=l2, bits=bits)
        told = {f"restart {i + 1}": value for i, value in enumerate(spread)}
        told |= {"accuracy": given.accuracy(raw), "accuracy refitted": given.accuracy(refit)}
        self._become(with_names(refit, given.codes))
        self.rivals = pack(rivals).to(self.device)
        return told

    @torch.no_grad()
    def improve(
        self, loader: Iterable[Batch], *, tries: int = 20_000, l2: float = 1e-6, bits: int = 6
    ) -> dict[str, float]:
        """Search for better gates, predicate rows and table entries, one change at a time; then fit the read-out."""
        given = self._questions(loader)
        before = given.accuracy(self.program)
        refit = partial(fitted, l2=l2, bits=bits)
        self._become(refit(simplify(search(self.program, given, refit=refit, tries=tries)), given))
        return {"accuracy before": before, "accuracy": given.accuracy(self.program)}

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
        """Take out what costs no more accuracy than ``cost`` on sequences that choose; fit on the others.

        Those that choose are a fifth of the training sequences, or, with ``val``, the validation sequences: better
        where the network knows its training sequences by heart. ``some``: so many of each at most, where all would
        take long. ``words``: words whose own properties matter to no answer are read as unknown ones.
        """
        given = self._questions(loader)
        fitting, choosing = given.parted(5) if isinstance(val, bool) else (given, self._questions(val))
        fitting, choosing = (q if some is None else q.some(some) for q in (fitting, choosing))
        done = prune(self.program, fitting, choosing, cost=cost, l2=l2)
        text = [lines(p) for p in (self.program, done.program)]
        best = forget_words(done.program, fitting, choosing) if words else done.program
        self._become(with_names(fitted(best, given, l2=l2, bits=bits), given.codes))
        names = ("accuracy before", "accuracy", "variables before", "variables", "lines before", "lines")
        told = dict(zip(names, map(float, (*done.accuracy, *done.variables, *text)), strict=True))
        return told | ({"words": float(words_of_their_own(self.program))} if words else {})

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
        """Shorten the text by changes that cost no more accuracy than ``cost``; ``some`` as of ``prune``."""
        given = self._questions(loader)
        fitting, choosing = (q if some is None else q.some(some) for q in given.parted(5))
        done = fitted(shrink(self.program, fitting, choosing, cost=cost, l2=l2), given, l2=l2, bits=bits)
        told = {"accuracy before": choosing.accuracy(self.program), "accuracy": choosing.accuracy(done)}
        for name, program in ((" before", self.program), ("", done)):
            told |= {f"variables{name}": float(len(program.nodes)), f"lines{name}": float(lines(program))}
        self._become(done)
        return told

    def _become(self, program: Program) -> None:
        """From here on the model is this program; the network is gone."""
        restart_state.take(self, torch.zeros(0, dtype=torch.int64, device=self.device))
        self.readout.become(program.weight, program.bias)
        self.code = torch.tensor(list(program.to_json().encode()), dtype=torch.uint8, device=self.device)
        self.accuracy = torch.full((1,), -1.0, device=self.device)
        self.soft = torch.full((1, 2), -1.0, device=self.device)
