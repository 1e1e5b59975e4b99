"""One column of a table: its kind, found by fixed rules or declared, and how its cells become numbers and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from zoo.inputs.labels import label_key
from zoo.inputs.tables.cells import as_text
from zoo.inputs.tables.notation import (
    PLAIN,
    Notation,
    parse_date,
    plain_numbers,
    show_date,
)
from zoo.inputs.tables.plain_values import from_plain, to_plain

Kind = Literal["number", "category", "boolean", "date", "ordinal"]
Policy = Literal["indicator", "refuse"]
MARKERS = ("", "NA", "N/A", "n/a", "NaN", "nan", "?", "null", "NULL", "#N/A")
PROBABILITIES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
MISSING = "(missing)"
OTHER = "(other)"


@dataclass(frozen=True)
class Column:
    """What was fixed about a column on the training split.

    Cells become float64 numbers: a number itself, days from 1970-01-01 for a date, the place of the level for a
    category, an ordinal (in the declared order) and a boolean (false, true). NaN is missing; a level that was not in
    the training data, or was too rare, has the place ``len(levels)``, *other*.

    Attributes:
        name: its header.
        kind: number, category, boolean, date or ordinal.
        levels: of a category by falling frequency, of an ordinal in order, of a boolean the words for false and true.
        counts: training rows of each level.
        other: training rows whose level is none of ``levels``.
        missing: training rows without a value.
        rows: training rows.
        policy: of missing cells: ``indicator`` (a column of its own beside the median; a level of its own for a
            category) or ``refuse``.
        notation: how numbers are written.
        date_format: how dates are written, as for ``datetime.strptime``.
        mean: of the known training values; of an ordinal and a boolean of their places.
        std: of the known training values, 1 where they do not vary.
        median: of the known training values.
        quantiles: of the known training values at ``PROBABILITIES``; empty for a category.
        examples: three cells of the training data.
    """

    name: str
    kind: Kind
    levels: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    other: int = 0
    missing: int = 0
    rows: int = 0
    policy: Policy = "indicator"
    notation: Notation = PLAIN
    date_format: str = ""
    mean: float = 0.0
    std: float = 1.0
    median: float = 0.0
    quantiles: tuple[float, ...] = ()
    examples: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"column {self.name!r} is of kind {self.kind!r}; expected {', '.join(get_args(Kind))}")
        if self.policy not in get_args(Policy):
            raise ValueError(f"column {self.name!r} has the missing policy {self.policy!r}; expected indicator, refuse")
        finite = all(map(math.isfinite, (self.mean, self.std, self.median, *self.quantiles)))
        if not finite or self.std <= 0:
            raise ValueError(f"column {self.name!r} has mean {self.mean}, std {self.std}; expected finite, std above 0")
        keys = [label_key(level) for level in self.levels]
        if len(set(keys)) < len(keys) or len(self.counts) not in (0, len(keys)):
            raise ValueError(f"column {self.name!r} has {len(keys)} levels, {len(set(keys))} different ones")

    @property
    def has_levels(self) -> bool:
        """Whether the values are places of levels."""
        return self.kind in ("category", "boolean", "ordinal")

    def parse(self, cells: np.ndarray, markers: frozenset[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the values ``(n,)`` float64 of cells and a mask ``(n,)`` of cells that cannot be read.

        Args:
            cells: as in ``Cells.columns``.
            markers: cells that mean that the value is missing.
        """
        if cells.dtype != object and self.kind == "number":
            return cells, np.isinf(cells) | (np.abs(np.nan_to_num(cells)) > np.finfo(np.float32).max)
        if self.kind == "number" and self.notation == PLAIN and (plain := plain_numbers(cells)) is not None:
            return plain, np.isnan(plain)
        codes, different = pd.factorize(as_text(cells))  # None has code -1
        known = np.array([cell not in markers for cell in different], bool)
        texts = [cell for cell in different if cell not in markers]
        values = np.full(len(different) + 1, np.nan)
        bad = np.zeros(len(different) + 1, bool)
        if self.has_levels:
            places = self._places()
            values[:-1][known] = [places.get(self._key(cell), len(self.levels)) for cell in texts]
            return values[codes], bad[codes]
        if self.kind == "date":
            days = (parse_date(cell, self.date_format) for cell in texts)
            values[:-1][known] = [math.nan if day is None else day for day in days]
        else:
            values[:-1][known] = self.notation.parse_many(texts)
        bad[:-1] = known & np.isnan(values[:-1])
        return values[codes], bad[codes]

    def _places(self) -> dict[str, int]:
        places = {self._key(level): i for i, level in enumerate(self.levels)}
        if self.kind == "boolean":
            places = {"false": 0, "true": 1, "0": 0, "1": 1, **places}
        return places

    def _key(self, cell: str) -> str:
        return label_key(cell).lower() if self.kind == "boolean" else label_key(cell)

    def why_bad(self, cell: Any) -> str:
        """Return why a cell cannot be read, and what was expected."""
        if self.kind == "date":
            return f"{cell!r} is no date like {show_date(0, self.date_format)}, as in the training data"
        style = f" ({self.notation})" if str(self.notation) else ""
        return f"{cell!r} is no finite number{style}; correct it, or leave the cell empty where it is missing"

    def show(self, value: float) -> str:
        """Return a value as people write it."""
        if math.isnan(value):
            return MISSING
        if self.has_levels:
            place = round(value)
            return self.levels[place] if 0 <= place < len(self.levels) else OTHER
        if self.kind == "date":
            return show_date(value, self.date_format)
        unit = self.notation.unit
        gap = "" if unit in ("", "%") else " "
        return f"{round(value, 5) + 0.0:.5g}{gap}{unit}".replace("-", "\u2212")

    def describe(self, *, fills_missing: bool = True) -> str:
        """Return one line that says what the column became."""
        if self.kind == "number":
            style = f", {self.notation}" if str(self.notation) else ""
            low, high = (self.show(self.quantiles[i]) for i in (0, -1))
            what = f"number{style}, {low} to {high}, median {self.show(self.median)}"
        elif self.kind == "date":
            low, high = (self.show(self.quantiles[i]) for i in (0, -1))
            what = f"date ({self.date_format}), {low} to {high}"
        else:
            listed = ", ".join(self.levels[:8]) + (", ..." if len(self.levels) > 8 else "")
            what = f"{self.kind}, {len(self.levels)} levels: {listed}"
            what += f"; {self.other} rows of rare levels are {OTHER}" if self.other else ""
        treatment = {"category": "a level of their own", "boolean": "indicator and median", "refuse": "refused"}
        if self.missing:
            how = treatment.get(self.kind, "indicator and median") if fills_missing else "a bin of their own"
            what += f"; {self.missing} of {self.rows} missing: {how}"
        elif self.policy == "refuse":
            what += "; missing cells are refused"
        return f"{self.name}: {what} (such as {', '.join(self.examples)})"

    def to_config(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults as plain values."""
        return to_plain(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Column:
        """Return a column from plain values.

        Raises:
            ValueError: if a key or a value is not understood.
        """
        if not isinstance(config, Mapping) or not isinstance(config.get("name"), str):
            raise ValueError(f"a column is {config!r}; expected a mapping with name and kind")
        return cls(**from_plain(cls, config, what=f"column {config['name']!r}"))
