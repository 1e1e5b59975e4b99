"""A score of input maps: means of per-sample values and curves, over all samples or a share of them."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from zoo.metrics.base import Record, Score, fraction
from zoo.metrics.perturbations.noise import chosen


class MapScore(Score):
    """A score whose read-outs are means of per-sample values; NaN is a sample on which a value is undefined.

    Such samples are left out of that mean and counted in ``undefined`` (their share for the headline).

    Attributes:
        values: names of the per-sample values, the headline first.
        curves: names of the per-sample curves.
        bounds: least and largest value of the headline.

    Args:
        share: of the samples that a suite scores, chosen by a hash of the sample id; for scores of many passes.
        points: of each curve.
    """

    requires = frozenset({"units", "maps"})
    values: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()
    bounds: tuple[float, float] = (0, math.inf)

    def __init__(self, *, share: float = 1.0, points: int = 0) -> None:
        super().__init__()
        self.share = fraction("share", share, zero=False)
        self.intervals = {self.values[0]: ("", *self.bounds)}  # pyright: ignore[reportAttributeAccessIssue]
        self._rows_fed: Tensor | None = None  # of a batch of which a share is fed
        for name, width in (("value", len(self.values)), ("curve", len(self.curves) * points)):
            self._sum(f"{name}_total", width, dtype=torch.float64)
            self._sum(f"{name}_count", width)

    def _tell(self, found: Mapping[str, Tensor]) -> None:
        """Add per-sample values ``(b,)`` and curves ``(b, points)``; samples that were not chosen add nothing."""
        columns = {"value": [found[name][:, None] for name in self.values]}
        columns["curve"] = [found[name] for name in self.curves]
        fed = self._rows_fed
        for kind, parts in columns.items():
            if parts:
                table = torch.cat(parts, 1).detach().to(self.device, torch.float64)
                if fed is not None:
                    table = table.new_full((len(fed), table.shape[1]), torch.nan).masked_scatter_(fed[:, None], table)
                known = ~table.isnan()
                self._add(f"{kind}_total", torch.where(known, table, 0))
                self._add(f"{kind}_count", known.long())
        every = torch.ones(len(found[self.values[0]]), dtype=torch.int64, device=self.device)
        self._add("samples", every if fed is None else fed.long())

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add what a suite saw, where units have a place in an image."""
        rows = chosen(record.batch.index, self.share)
        if bool(rows.any()):
            self._rows_fed = rows.to(self.device)
            try:
                self._feed(take(record, rows))
            finally:
                self._rows_fed = None

    @abstractmethod
    def _feed(self, record: Record) -> None:
        """Add the chosen samples."""

    def compute(self) -> dict[str, Tensor]:
        """The score and its read-outs; see the class."""
        means = (self.value_total / self.value_count).unbind()
        found = dict(zip(self.values, means, strict=True))
        found["undefined"] = 1 - self.value_count[0].double() / self.samples
        found["support"] = self.samples
        curve = (self.curve_total / self.curve_count).reshape(len(self.curves), -1) if self.curves else ()
        return found | {f"curve/{name}": row for name, row in zip(self.curves, curve, strict=True)}


def take(record: Record, rows: Tensor) -> Record:
    """Batch, explanation, gate and model of some of the samples."""
    if bool(rows.all()):
        return record

    def some(record: Any) -> Any:
        found = {f.name: getattr(record, f.name) for f in fields(record)}
        return replace(record, **{k: v[rows] for k, v in found.items() if isinstance(v, Tensor)})

    return Record(some(record.batch), some(record.explanation), record.gate[rows], model=record.model)
