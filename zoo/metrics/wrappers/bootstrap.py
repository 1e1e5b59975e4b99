"""Bootstrap intervals: replicates that stream, merge and synchronize like the score itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from zoo.metrics.base import Record, Score, count, expect, fraction
from zoo.metrics.wrappers._estimates import Estimate
from zoo.metrics.wrappers._replicates import ReplicatedScore
from zoo.metrics.wrappers._weighted_sums import poisson


class BootstrapInterval(ReplicatedScore):
    """A score with intervals: each sample is scored once, and counts 0, 1, 2, ... times in each replicate.

    It intercepts what the score adds to its sums (``Score._add``) and adds the same, times the weights of the samples,
    to the sums of all replicates at once. Read-outs are those of the score, and ``... low`` and ``... high`` of those
    named in its ``intervals``; see ``Estimate.interval``. After ``compute``, ``estimates`` has the replicates of each:
    subtract those of another model on the same samples.

    Samples of one sequence (``Batch.sequence``) are drawn together: the inputs are the sequences then.

    The population: inputs like these and, where a read-out is a mean over units, units like these, unless the score
    names another in ``population``. With ``units="fixed"`` the interval is for these very units on inputs like these.

    Memory is bounded: where ``replicates`` of all sums would take more than 256 MiB, fewer are drawn (5 at least; the
    interval is that of a t distribution with as many degrees of freedom).

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

    def __init__(
        self,
        score: Score,
        *,
        replicates: int = 200,
        level: float = 0.95,
        units: Literal["sample", "fixed"] = "sample",
    ) -> None:
        if not score.intervals:
            raise ValueError(f"{type(score).__name__} can have no interval: {score.no_interval or 'it names none'}")
        if units not in ("sample", "fixed"):
            raise ValueError(f"units is {units!r}; expected sample or fixed")
        if count("replicates", replicates) < 2:
            raise ValueError("replicates is 1; expected a whole number, at least 2")
        if units == "fixed" and not score.resampled:
            raise ValueError(f"units is 'fixed'; {type(score).__name__} has an interval for units like these alone")
        super().__init__(score, replicates)
        self.level = fraction("level", level)
        self.units = units
        self.requires = score.requires
        self.tasks = score.tasks
        self.protocol = score.protocol
        self.perturbations = score.perturbations
        self.fit_splits = score.fit_splits
        self.estimates: dict[str, Estimate] = {}

    def fit(self, record: Record, split: str) -> None:
        """Fit the score."""
        self._lend()
        self.score.fit(record, split)
        self._take_back()

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record."""
        ids = record.batch.index if record.batch.sequence is None else record.batch.sequence
        self._intercept(lambda: self.score.update_from(record, changed, draw), ids)
        self.why = self.score.why

    def evaluate_positions(self, evaluator: Any) -> None:
        """Score whole sequences with position labels."""
        measured: Any = self.score
        for rows, ids in measured.measure(evaluator):
            self.update(*rows, sample_ids=ids)

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

    def _estimate(self, name: str, readouts: Mapping[str, Tensor], replicates: Tensor, samples: int) -> Estimate:
        vector, lowest, highest = self.score.intervals[name]
        common = readouts[name].double(), replicates
        bounds = float(lowest), float(highest), int(self.fingerprint)
        if vector and self.units == "sample":
            values = readouts[vector].double()
            values = values[values.isfinite()]
            if len(values) > 1:
                binary = bool(((values == 0) | (values == 1)).all())
                few = self.score.few_decide or not self.score.resampled  # units that were not observed may be the worst
                variance = float((values * highest).var()) / len(values)
                return Estimate(*common, variance, *bounds, len(values), binary, few)
        support = self.score.interval_support(name, samples)
        if float(common[0]) > highest:  # a drop of more than 100 %, of a strength that falls below 0
            bounds = bounds[0], math.inf, bounds[2]
        return Estimate(*common, 0.0, *bounds, support, few_decide=self.score.few_decide)

    def _drawn(self, readouts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return replicates ``(r,)`` by read-out; of a score that is not resampled, the value itself."""
        if not self.score.resampled:
            names = [name for name, (vector, _, _) in self.score.intervals.items() if vector in readouts]
            return {name: readouts[name].double().expand(2) for name in names if len(readouts[self._vector(name)]) > 1}
        if len(self.ids) and (drawn := self.score.resample(poisson(dim_zero_cat(self.ids), self.replicates))):
            return drawn
        replicates = [self._replicate(r) for r in range(self.replicates)]
        self._lend()
        return {name: torch.stack([one[name] for one in replicates]) for name in self.score.intervals}

    def _vector(self, name: str) -> str:
        return self.score.intervals[name][0]

    def compute(self) -> dict[str, Tensor]:
        """The score's own read-outs, and the ends of the intervals; ``estimates`` then has the replicates."""
        self._lend()
        readouts = type(self.score).compute(self.score)
        ends: dict[str, Tensor] = {}
        self.estimates = {}
        if int(readouts["support"]):
            drawn = self._drawn(readouts)
            samples = len(dim_zero_cat(self.ids).unique()) if len(self.ids) else int(self.samples)
            for name in [name for name in self.score.intervals if name in readouts and name in drawn]:
                self.estimates[name] = self._estimate(name, readouts, drawn[name], samples)
                low, high = self.estimates[name].interval(self.level)
                ends |= {f"{name} low": readouts[name].new_tensor(low), f"{name} high": readouts[name].new_tensor(high)}
        support = readouts.pop("support")
        return readouts | ends | {"support": support}

    def describe(self, readouts: Mapping[str, float]) -> str:
        """Return the line of the score itself, and the population of the interval."""
        vectors = any(vector for vector, _, _ in self.score.intervals.values())
        units = " and units" if vectors and self.units == "sample" else ""
        population = self.score.population or f"inputs{units} like these"
        return f"{self.score.describe(readouts)}; {100 * self.level:g} % interval for {population}"

    def remark(self, value: float, more: dict[str, float]) -> str:
        """The remark of the score itself."""
        return self.score.remark(value, more)
