"""Consistency across trainings by activations: units are alike if they are strong and weak on the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import combinations
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from zoo.metrics.base import count, expect
from zoo.metrics.matching.assignment import NONE, PROTOCOL, Match, average, expect_finite, expected, match


class Activations(Metric):
    """Match by the correlation (Pearson) of strengths over a common probe set; for any families, any number of runs.

    Correlations come from float64 sums over samples, so batching, order and processes do not matter. Chance is the same
    matching after the samples of one run are shuffled; for it alone, strengths are kept. Units that respond to the same
    class correlate, whatever the reason: ``strict_chance`` is found by shuffling within each class, and
    only what exceeds it is agreement on more than the class.

    Args:
        sizes: units of each run.
        chance: whether to find the chance value; without it memory does not grow with the samples.
        seed: of the shuffles.

    Raises:
        ValueError: if there are fewer than two runs, or one has no units.
    """

    full_state_update = False
    higher_is_better = True
    protocol = f"{PROTOCOL}/activations"

    def __init__(self, sizes: Sequence[int], *, chance: bool = True, seed: int = 0) -> None:
        super().__init__()
        if len(sizes) < 2:
            raise ValueError(f"sizes has {len(sizes)} entries; expected the number of units of two or more runs")
        self.sizes = [count("sizes", n) for n in sizes]
        self.chance, self.seed = chance, seed
        self.add_state("samples", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("ids", [], dist_reduce_fx="cat")
        self.add_state("labels", [], dist_reduce_fx="cat")
        for i, n in enumerate(self.sizes):
            for name in ("total", "square"):
                self.add_state(f"{name}{i}", torch.zeros(n, dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state(f"low{i}", torch.full((n,), torch.inf, dtype=torch.float64), dist_reduce_fx="min")
            self.add_state(f"high{i}", torch.full((n,), -torch.inf, dtype=torch.float64), dist_reduce_fx="max")
            self.add_state(f"kept{i}", [], dist_reduce_fx="cat")
        for i, j in self.pairs:
            shape = self.sizes[i], self.sizes[j]
            self.add_state(f"cross{i}_{j}", torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """All pairs of runs."""
        return list(combinations(range(len(self.sizes)), 2))

    def update(self, strengths: Sequence[Tensor], sample_ids: Tensor, labels: Tensor | None = None) -> None:
        """Add samples that all runs explained.

        Args:
            strengths: ``(b, u)`` for each run, of the same samples.
            sample_ids: ``(b,)`` integer identity of each sample.
            labels: ``(b,)`` integer class of each sample, for the chance within classes.

        Raises:
            ValueError: if a shape does not fit or a strength is not finite.
        """
        if len(strengths) != len(self.sizes):
            raise ValueError(f"strengths has {len(strengths)} entries; expected one for each of {len(self.sizes)} runs")
        for i, x in enumerate(strengths):
            expect_finite(f"strengths[{i}]", x, len(sample_ids), self.sizes[i])
        if labels is not None:
            expect("labels", labels, len(sample_ids))
        if not len(sample_ids):
            return
        exact = [x.detach().to(self.device, torch.float64) for x in strengths]
        for i, x in enumerate(exact):
            for name, new in (("total", x.sum(0)), ("square", x.square().sum(0))):
                setattr(self, f"{name}{i}", getattr(self, f"{name}{i}") + new)
            setattr(self, f"low{i}", torch.minimum(getattr(self, f"low{i}"), x.amin(0)))
            setattr(self, f"high{i}", torch.maximum(getattr(self, f"high{i}"), x.amax(0)))
        for i, j in self.pairs:
            setattr(self, f"cross{i}_{j}", getattr(self, f"cross{i}_{j}") + exact[i].T @ exact[j])
        self.samples = self.samples + len(sample_ids)
        if self.chance:
            self.ids.append(sample_ids.detach().to(self.device, torch.int64, copy=True))
            if labels is not None:
                self.labels.append(labels.detach().to(self.device, torch.int64, copy=True))
            for i, x in enumerate(strengths):
                getattr(self, f"kept{i}").append(x.detach().to(self.device, torch.float64, copy=True))

    def compute(self) -> dict[str, float]:
        """``Match.summary`` averaged over all pairs of runs, and ``support``, the number of samples.

        Raises:
            ValueError: if there were no samples.
        """
        return average(self.matches().values()) | {"support": int(self.samples)}

    def matches(self) -> dict[tuple[int, int], Match]:
        """The matching of each pair of runs, by their numbers.

        Raises:
            ValueError: if there were no samples.
        """
        if not int(self.samples):
            raise ValueError("no samples: update the metric before its matches are asked for")
        lost = [int((self._spread(i) == 0).sum()) for i in range(len(self.sizes))]
        if not self.chance:
            return {(i, j): match(self.similarity(i, j), dead=(lost[i], lost[j])) for i, j in self.pairs}
        order = dim_zero_cat(self.ids).argsort(stable=True)
        rows = [self._standard(i, order) for i in range(len(self.sizes))]
        labels = dim_zero_cat(self.labels) if len(self.labels) else order[:0]
        found = {}
        for i, j in self.pairs:
            pair = rows[i], rows[j]
            any_ = expected(partial(_shuffled, *pair, torch.zeros_like(order)), seed=self.seed)
            within = NONE  # unless each sample came with its label
            if len(labels) == len(order):
                within = expected(partial(_shuffled, *pair, labels[order]), seed=self.seed)
            known = {"chance": any_, "strict_chance": within, "dead": (lost[i], lost[j])}
            found[i, j] = match(self.similarity(i, j), **known)
        return found

    def similarity(self, i: int, j: int) -> Tensor:
        """Correlations ``(u, v)`` between the units of runs i and j (i < j); 0 where a strength never changes."""
        n, (a, b) = int(self.samples), (self._spread(k) for k in (i, j))
        cross = getattr(self, f"cross{i}_{j}") - torch.outer(getattr(self, f"total{i}"), getattr(self, f"total{j}")) / n
        return torch.where(torch.outer(a, b) > 0, cross / torch.outer(a, b).clamp_min(1e-300), 0).clamp(-1, 1)

    def _sync_dist(self, *args: Any, **more: Any) -> None:
        """Gather; a process that has no samples sends rows of the right type and width."""
        rows = {"ids": torch.zeros(0, dtype=torch.int64), "labels": torch.zeros(0, dtype=torch.int64)}
        rows |= {f"kept{i}": torch.zeros(0, n, dtype=torch.float64) for i, n in enumerate(self.sizes)}
        for name, none in rows.items():
            if not getattr(self, name):
                setattr(self, name, [none.to(self.device)])
        super()._sync_dist(*args, **more)

    def _spread(self, i: int) -> Tensor:
        """Root of the summed squared deviation of each unit; 0 where it is within rounding error."""
        square = getattr(self, f"square{i}")
        spread = square - getattr(self, f"total{i}").square() / int(self.samples)
        varies = (getattr(self, f"low{i}") < getattr(self, f"high{i}")) & (spread > 1e-13 * square)
        return torch.where(varies, spread, 0).sqrt()

    def _standard(self, i: int, order: Tensor) -> Tensor:
        """Strengths of run i in this order of samples, columns of mean 0 and length 1 (or 0)."""
        x, spread = dim_zero_cat(getattr(self, f"kept{i}"))[order], self._spread(i)
        return torch.where(spread > 0, (x - x.mean(0)) / spread.clamp_min(1e-300), 0)


def _shuffled(left: Tensor, right: Tensor, labels: Tensor, g: torch.Generator) -> Tensor:
    """Correlations after the samples of the right run are shuffled among those of the same label."""
    drawn = torch.randperm(len(right), generator=g).to(right.device)
    order = torch.empty_like(drawn)
    order[labels.argsort(stable=True)] = drawn[labels[drawn].argsort(stable=True)]
    return (left.T @ right[order]).clamp(-1, 1)
