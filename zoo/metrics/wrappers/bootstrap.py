"""Bootstrap intervals: replicates that stream, merge and synchronize like the score itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_sum

from zoo.metrics.base import Record, Score, count, expect, fraction
from zoo.metrics.perturbations.noise import random_bits
from zoo.metrics.wrappers._estimates import STREAM, Estimate, poisson
from zoo.metrics.wrappers._weighted_sums import add_weighted

BUDGET = 256 << 20  # bytes of all replicate sums of one score
FEWEST = 20  # replicates that a large score keeps, whatever they take


class BootstrapInterval(Score):
    """A score with intervals: each sample is scored once, and counts 0, 1, 2, ... times in each replicate.

    It intercepts what the score adds to its sums (``Score._add``) and adds the same, times the weights of the samples,
    to the sums of all replicates at once. Read-outs are those of the score, and ``... low`` and ``... high`` of those
    named in its ``intervals``; see ``Estimate.interval``. After ``compute``, ``estimates`` has the replicates of each:
    subtract those of another model on the same samples.

    The population: inputs like these and, where a read-out is a mean over units, units like these. With
    ``units="fixed"`` the interval is for these very units on inputs like these.

    Memory is bounded: where ``replicates`` of all sums would take more than 256 MiB, fewer are drawn (20 at least).

    Args:
        score: fresh.
        replicates: bootstrap replicates r. Sums grow (r + 1)-fold.
        level: of confidence, in 0..1.
        units: "sample" or "fixed".

    Raises:
        ValueError: if the score names no such read-out, or an argument is out of range.

    Example:
        >>> from zoo.metrics import Accuracy
        >>> score = BootstrapInterval(Accuracy())
        >>> score.update(torch.tensor([[2.0, 1.0]]).repeat(60, 1), torch.zeros(60).long(), sample_ids=torch.arange(60))
        >>> {name: round(float(value), 3) for name, value in score.compute().items() if name.startswith("accuracy")}
        {'accuracy': 1.0, 'accuracy low': 0.94, 'accuracy high': 1.0}
    """

    interval_protocol: ClassVar[str] = "zoo-interval-v2"
    fingerprint: Tensor
    ids: list[Tensor]

    def __init__(
        self,
        score: Score,
        *,
        replicates: int = 200,
        level: float = 0.95,
        units: Literal["sample", "fixed"] = "sample",
    ) -> None:
        super().__init__()
        if not score.intervals:
            raise ValueError(f"{type(score).__name__} can have no interval: its samples do not add up")
        if units not in ("sample", "fixed"):
            raise ValueError(f"units is {units!r}; expected sample or fixed")
        self.score = score
        self.level = fraction("level", level)
        self.units = units
        if count("replicates", replicates) < 2:
            raise ValueError("replicates is 1; expected a whole number, at least 2")
        self.requires = score.requires
        self.protocol = score.protocol
        self.perturbations = score.perturbations
        self.fit_splits = score.fit_splits
        self._weighed: dict[str, Tensor] = {}
        for name, start in score._defaults.items():  # the states live here, where they synchronize and merge
            self.add_state(name, copy(start), dist_reduce_fx=score._reductions[name])
            if isinstance(start, Tensor) and score._reductions[name] is dim_zero_sum:
                self._weighed[name] = start
        size = 8 * sum(start.numel() for start in self._weighed.values())
        self.replicates = min(replicates, max(FEWEST, BUDGET // size))
        self._sum("fingerprint")
        self._rows("ids")
        self.estimates: dict[str, Estimate] = {}

    def _declare(self) -> None:
        """Declare the sums of replicates, once there are samples: a score that does not apply needs none."""
        for name, start in self._weighed.items():
            replicated = f"{name}_replicates"
            if replicated not in self._defaults:
                self._sum(replicated, *start.shape, self.replicates, dtype=torch.float64)
                setattr(self, replicated, getattr(self, replicated).to(self.device))

    def merge_state(self, incoming_state: Any) -> None:
        """Add the samples of another interval of the same score."""
        self._declare()
        if isinstance(incoming_state, BootstrapInterval):
            incoming_state._declare()
        super().merge_state(incoming_state)

    def sync(self, *args: Any, **named: Any) -> None:
        """Synchronize processes, of which some may have no samples."""
        self._declare()
        super().sync(*args, **named)

    def fit(self, record: Record, split: str) -> None:
        """Fit the score."""
        self.score.fit(record, split)

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record."""
        self._intercept(lambda: self.score.update_from(record, changed, draw), record.batch.index)
        self.why = self.score.why

    def evaluate_positions(self, evaluator: Any) -> None:
        """Score whole sequences with position labels."""
        measured: Any = self.score
        for rows, ids in measured.measure(evaluator):
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
        score: Any = self.score
        self._intercept(lambda: score.update(*rows, **named), sample_ids)

    def _intercept(self, call: Callable[[], None], ids: Tensor) -> None:
        """Make a call that updates the score, with every ``Score._add`` weighted as well."""
        ids = ids.to(self.device)
        self._declare()
        self._lend()
        weight = poisson(ids, self.replicates).double()
        vars(self.score)["_add"] = partial(self._add_both, ids, weight)
        try:
            call()
        finally:
            del vars(self.score)["_add"]
        for name in self.score._defaults:
            setattr(self, name, getattr(self.score, name))
        self.fingerprint = self.fingerprint + random_bits(ids, draw=STREAM + 1, count=1).sum()

    def _lend(self) -> None:
        """Give the score the states that live in this object."""
        for name in self.score._defaults:
            setattr(self.score, name, getattr(self, name))

    def _add_both(self, ids: Tensor, weight: Tensor, name: str, rows: Tensor, **where: Tensor | None) -> None:
        """``Score._add``, and the same for every replicate, ``weight`` ``(b, r)``."""
        Score._add(self.score, name, rows, **where)
        total: Tensor = getattr(self, f"{name}_replicates")
        if total.is_inference() and not torch.is_inference_mode_enabled():
            total = total.clone()
            setattr(self, f"{name}_replicates", total)
        add_weighted(total, weight, rows.to(total.device), **where)
        if name == "samples":
            self.ids.append(ids[rows.to(ids.device) > 0])

    def _replicate(self, r: int) -> dict[str, Tensor]:
        """Read-outs with intervals of one replicate."""
        self._lend()
        for name in self._weighed:
            setattr(self.score, name, getattr(self, f"{name}_replicates")[..., r].to(getattr(self, name).dtype))
        readouts = type(self.score).compute(self.score)
        return {name: readouts[name].double() for name in self.score.intervals}

    def _estimate(self, name: str, readouts: Mapping[str, Tensor], replicates: Tensor, samples: int) -> Estimate:
        vector, lowest, highest = self.score.intervals[name]
        common = readouts[name].double(), replicates
        bounds = float(lowest), float(highest), int(self.fingerprint)
        if vector and self.units == "sample":
            values = readouts[vector].double()
            values = values[values.isfinite()]
            if len(values) > 1:
                binary = bool(((values == 0) | (values == 1)).all())
                return Estimate(*common, float((values * highest).var()) / len(values), *bounds, len(values), binary)
        return Estimate(*common, 0.0, *bounds, samples)

    def compute(self) -> dict[str, Tensor]:
        """The score's own read-outs, and the ends of the intervals; ``estimates`` then has the replicates."""
        self._lend()
        readouts = type(self.score).compute(self.score)
        ends: dict[str, Tensor] = {}
        if int(self.samples):
            drawn = [self._replicate(r) for r in range(self.replicates)]
            self._lend()
            rows = [self.ids] if isinstance(self.ids, Tensor) else self.ids
            samples = len(torch.cat(rows).unique()) if len(rows) else int(self.samples)
            for name in self.score.intervals:
                replicates = torch.stack([one[name] for one in drawn])
                self.estimates[name] = self._estimate(name, readouts, replicates, samples)
                low, high = self.estimates[name].interval(self.level)
                ends |= {f"{name} low": readouts[name].new_tensor(low), f"{name} high": readouts[name].new_tensor(high)}
        support = readouts.pop("support")
        return readouts | ends | {"support": support}

    def describe(self, readouts: Mapping[str, float]) -> str:
        """Return the line of the score itself, and the population of the interval."""
        vectors = any(vector for vector, _, _ in self.score.intervals.values())
        units = " and units" if vectors and self.units == "sample" else ""
        return f"{self.score.describe(readouts)}; {100 * self.level:g} % interval for inputs{units} like these"

    def remark(self, value: float, more: dict[str, float]) -> str:
        """The remark of the score itself."""
        return self.score.remark(value, more)
