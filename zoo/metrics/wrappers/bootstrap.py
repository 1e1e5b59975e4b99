"""Bootstrap intervals: replicates that stream, merge and synchronize like the score itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_sum

from zoo.metrics.base import Record, Score, count, expect, fraction
from zoo.metrics.perturbations.noise import random_bits
from zoo.metrics.wrappers._estimates import STREAM, Estimate, poisson

CHUNK = 1 << 16  # weighted counts made at a time, so that they stay in a processor's cache


class BootstrapInterval(Score):
    """A score with intervals: each sample is scored once, and counts 0, 1, 2, ... times in each replicate.

    It intercepts what the score adds to its sums (``Score._add``) and adds the same, times the weights of the samples,
    to the sums of all replicates at once. Read-outs are those of the score, and ``... low`` and ``... high`` of those
    that it names in ``intervals``; where one is a mean over units, the variance over units counts as well. After
    ``compute``, ``estimates`` has the replicates of each: subtract those of another model on the same samples.

    Args:
        score: fresh.
        replicates: bootstrap replicates r. Sums grow (r + 1)-fold.
        level: of confidence, in 0..1.

    Raises:
        ValueError: if the score names no such read-out, or an argument is out of range.
    """

    def __init__(self, score: Score, *, replicates: int = 200, level: float = 0.95) -> None:
        super().__init__()
        if not score.intervals:
            raise ValueError(f"{type(score).__name__} can have no interval: its samples do not add up")
        self.score, self.replicates, self.level = score, count("replicates", replicates), fraction("level", level)
        if self.replicates < 2:
            raise ValueError("replicates is 1; expected a whole number, at least 2")
        self.requires = score.requires  # pyright: ignore[reportAttributeAccessIssue]
        self.protocol, self.perturbations, self.fit_splits = score.protocol, score.perturbations, score.fit_splits
        for name, start in score._defaults.items():  # the states live here, where they synchronize and merge
            self.add_state(name, copy(start), dist_reduce_fx=score._reductions[name])
        self._weighed = [name for name, how in score._reductions.items() if how is dim_zero_sum]
        for name in self._weighed:
            self._sum(f"{name}_again", *score._defaults[name].shape, self.replicates, dtype=torch.float64)
        self._sum("fingerprint")
        self.estimates: dict[str, Estimate] = {}

    def fit(self, record: Record, split: str) -> None:
        """Fit the score."""
        self.score.fit(record, split)

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record."""
        self._hear(lambda: self.score.update_from(record, changed, draw), record.batch.index)
        self.why = self.score.why

    def evaluate_positions(self, evaluator: Any) -> None:
        """Score whole sequences with position labels."""
        for rows, ids in self.score.measure(evaluator):  # pyright: ignore[reportAttributeAccessIssue]
            self.update(*rows, sample_ids=ids)

    def reset(self) -> None:
        """Forget the samples."""
        super().reset()
        self.score.reset()

    def update(self, *rows: Any, sample_ids: Tensor, **named: Any) -> None:
        """Add a batch.

        Args:
            rows: arguments of the score's own ``update``, one row for each sample.
            sample_ids: ``(b,)`` int64 identity of each sample; rows of one image or sequence share it.
            named: likewise.

        Raises:
            ValueError: if the ids do not fit the other tensors.
        """
        tensors = [x for x in (*rows, *named.values()) if isinstance(x, Tensor) and x.ndim]
        expect("sample_ids", sample_ids, len(tensors[0]) if tensors else None)
        self._hear(lambda: self.score.update(*rows, **named), sample_ids)

    def _hear(self, ask: Callable[[], None], ids: Tensor) -> None:
        ids = ids.to(self.device)
        self._lend()
        self.score._add = partial(self._weigh, poisson(ids, self.replicates).double())
        try:
            ask()
        finally:
            del self.score._add
        for name in self.score._defaults:
            setattr(self, name, getattr(self.score, name))
        self.fingerprint = self.fingerprint + random_bits(ids, draw=STREAM + 1, count=1).sum()

    def _lend(self) -> None:
        for name in self.score._defaults:
            setattr(self.score, name, getattr(self, name))

    def _weigh(
        self, weight: Tensor, name: str, rows: Tensor, *, at: Tensor | None = None, by: Tensor | None = None
    ) -> None:
        """``Score._add``, and the same for every replicate, ``weight`` ``(b, r)``."""
        Score._add(self.score, name, rows, at=at, by=by)
        total = getattr(self, f"{name}_again")
        if total.is_inference() and not torch.is_inference_mode_enabled():
            total = total.clone()
            setattr(self, f"{name}_again", total)
        rows, r = rows.to(total.device), self.replicates
        if at is not None:
            table = total.view(len(total), -1, r)
            width = table.shape[1]
            flat = rows.reshape(at.numel(), width)
            for some in flat.any(1).nonzero()[:, 0].split(max(1, CHUNK // (width * r))):
                share = flat[some].double()[..., None] * weight[some // at.shape[1], None]
                table.index_add_(0, at.flatten()[some], share)
        elif by is not None:
            table = total.view(rows.shape[1], -1)
            for some in torch.arange(len(rows)).split(max(1, CHUNK // (by.shape[1] * r))):
                table.addmm_(rows[some].double().T, (by[some].double()[..., None] * weight[some, None]).flatten(1))
        else:
            total.view(-1, r).addmm_(rows.reshape(len(rows), total[..., 0].numel()).double().T, weight)

    def _replicate(self, r: int) -> dict[str, Tensor]:
        self._lend()
        for name in self._weighed:
            setattr(self.score, name, getattr(self, f"{name}_again")[..., r].to(getattr(self, name).dtype))
        return type(self.score).compute(self.score)

    def compute(self) -> dict[str, Tensor]:
        """The score's own read-outs, and the ends of the intervals; ``estimates`` then has the replicates."""
        self._lend()
        found = type(self.score).compute(self.score)
        again = [self._replicate(r) for r in range(self.replicates)]
        ends: dict[str, Tensor] = {}
        for name, (vector, least, most) in self.score.intervals.items():
            values = torch.stack([one[name].double() for one in again])
            units = torch.zeros_like(values[0])
            if vector:
                kept = found[vector].double()[found[vector].isfinite()] * most
                units = kept.var() / len(kept) if len(kept) > 1 else units
            here = Estimate(found[name].double(), values, units, least, most, int(self.fingerprint))
            self.estimates[name] = here
            ends[f"{name} low"], ends[f"{name} high"] = here.interval(self.level)
        support = found.pop("support")
        return found | ends | {"support": support}

    def describe(self, readouts: Mapping[str, float]) -> str:
        """Return the line of the score itself."""
        return self.score.describe(readouts)

    def remark(self, value: float, more: dict[str, float]) -> str:
        """The remark of the score itself."""
        return self.score.remark(value, more)
