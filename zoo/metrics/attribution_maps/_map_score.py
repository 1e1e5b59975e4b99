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
        bounds: lowest and highest value of the headline.

    Args:
        share: of the samples that a suite scores, chosen by a hash of the sample id; for scores of many passes.
        points: of each curve.
    """

    requires = frozenset({"units", "maps"})
    inputs = {"x": "finite", "attribution": "finite", "target": "class", "ids": "ids"}
    values: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()
    bounds: tuple[float, float] = (0, math.inf)
    value_total: Tensor
    value_count: Tensor
    curve_total: Tensor
    curve_count: Tensor

    def __init__(self, *, share: float = 1.0, points: int = 0) -> None:
        super().__init__()
        self.share = fraction("share", share, zero=False)
        self.intervals = {self.values[0]: ("", *self.bounds)}
        self._chosen: Tensor | None = None  # of a batch of which a share is chosen_rows
        for name, width in (("value", len(self.values)), ("curve", len(self.curves) * points)):
            self._sum(f"{name}_total", width, dtype=torch.float64)
            self._sum(f"{name}_count", width)

    def _add_values(self, readouts: Mapping[str, Tensor]) -> None:
        """Add per-sample values ``(b,)`` and curves ``(b, points)``; samples that were not chosen add nothing."""
        columns = {"value": [readouts[name][:, None] for name in self.values]}
        columns["curve"] = [readouts[name] for name in self.curves]
        chosen_rows = self._chosen
        for kind, parts in columns.items():
            if parts:
                table = torch.cat(parts, 1).detach().to(self.device, torch.float64)
                if chosen_rows is not None:
                    table = table.new_full((len(chosen_rows), table.shape[1]), torch.nan).masked_scatter_(
                        chosen_rows[:, None], table
                    )
                known = ~table.isnan()
                self._add(f"{kind}_total", torch.where(known, table, 0))
                self._add(f"{kind}_count", known.long())
        every = torch.ones(len(readouts[self.values[0]]), dtype=torch.int64, device=self.device)
        self._add("samples", every if chosen_rows is None else chosen_rows.long())

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the chosen samples of a record."""
        rows = chosen(record.batch.index, self.share)
        if bool(rows.any()):
            self._chosen = rows.to(self.device)
            try:
                self._add_record(take(record, rows))
            finally:
                self._chosen = None

    @abstractmethod
    def _add_record(self, record: Record) -> None:
        """Add the chosen samples."""

    def compute(self) -> dict[str, Tensor]:
        """The score and its read-outs; see the class."""
        means = (self.value_total / self.value_count).unbind()
        readouts = dict(zip(self.values, means, strict=True))
        readouts["undefined"] = 1 - self.value_count[0].double() / self.samples
        readouts["support"] = self.samples
        curve = (self.curve_total / self.curve_count).reshape(len(self.curves), -1) if self.curves else ()
        return readouts | {f"curve/{name}": row for name, row in zip(self.curves, curve, strict=True)}


def take(record: Record, rows: Tensor) -> Record:
    """Batch, explanation, gate and model of rows_of of the samples."""
    if bool(rows.all()):
        return record

    def rows_of(record: Any) -> Any:
        values = {f.name: getattr(record, f.name) for f in fields(record)}
        return replace(record, **{k: v[rows] for k, v in values.items() if isinstance(v, Tensor)})

    return Record(rows_of(record.batch), rows_of(record.explanation), record.gate[rows], model=record.model)
