"""Columns of a table whose rows are tensors: their kinds and levels, and the cells that a fit reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.layers.additive.terms import Term

if TYPE_CHECKING:
    from zoo.inputs.tables.columns import Column

OTHER = "(other)"  # level of the rare levels that the inputs have pooled


@dataclass(frozen=True)
class Columns:
    """Names, kinds and levels of d columns; a row holds numbers, and places of levels, NaN where missing.

    Attributes:
        names: d names.
        kinds: d kinds: number, category, ordinal or boolean.
        levels: d lists of levels in the order of their places; empty for a number.
        source: the d columns of the inputs, which know how values are written; empty for plain numbers.

    Example:
        >>> columns = Columns(("age", "sex"), ("number", "category"), ((), ("F", "M")))
        >>> cells, kinds, orders = columns.cells(np.array([[30.0, 1.0]]))
        >>> cells["sex"].tolist(), kinds, orders
        ([1.0], {'age': 'number', 'sex': 'category'}, {})
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    source: tuple[Column, ...] = ()

    @classmethod
    def numbers(cls, names: Sequence[str]) -> Columns:
        """Return columns of numbers."""
        return cls(tuple(names), ("number",) * len(names), ((),) * len(names))

    @classmethod
    def of(cls, columns: Sequence[Column]) -> Columns:
        """Return the columns of the inputs of a model; a date is the number of its day."""
        kinds = ["number" if column.kind == "date" else column.kind for column in columns]
        levels = [(*column.levels, *([OTHER] if column.other else [])) for column in columns]
        return cls(tuple(column.name for column in columns), tuple(kinds), tuple(levels), tuple(columns))

    def __len__(self) -> int:
        return len(self.names)

    def cells(self, x: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, str], dict[str, list[str]]]:
        """Return the cells of rows ``(n, d)``, the kinds and the orders of ordinals, as ``fit_additive`` reads them.

        A level is written as its place, so that no level can be mistaken for a missing cell.
        """
        cells = {name: x[:, j] for j, name in enumerate(self.names)}
        ordinals = [j for j, kind in enumerate(self.kinds) if kind == "ordinal"]
        orders = {self.names[j]: [str(place) for place in range(len(self.levels[j]))] for j in ordinals}
        return cells, dict(zip(self.names, self.kinds, strict=True)), orders

    def named(self, term: Term) -> Term:
        """Return a term fitted to ``cells`` with the names of the levels instead of their places."""
        bins = []
        for axis in term.bins:
            levels = self.levels[self.names.index(axis.name)]
            if axis.kind != "number":
                labels = tuple(tuple(levels[int(place)] for place in group) for group in axis.labels)
                axis = replace(axis, labels=labels, missing=())
            bins.append(axis)
        return replace(term, bins=tuple(bins))

    def text(self, axis: Any, code: int) -> str:
        """Return a bin in words, as ``ColumnBins.text``; the ends of a bin of dates are written as dates.

        Args:
            axis: ``ColumnBins`` of one of the columns.
            code: number of the bin.
        """
        if not self._is_date(axis.name) or code in (0, axis.size - 1) or not len(axis.cuts):
            return axis.text(code)
        ends = [self.value_text(axis.name, float(np.ceil(cut))) for cut in axis.cuts[max(code - 2, 0) : code]]
        if code == 1:
            return f"before {ends[0]}"
        return f"from {ends[0]}" if code == axis.size - 2 else f"{ends[0]} to {ends[1]}"

    def value_text(self, name: str, value: float) -> str:
        """Return a number of a column as a label of an axis; a date as a date."""
        if self._is_date(name):
            return self.source[self.names.index(name)].show(value)
        return f"{value:.4g}".replace("-", "\u2212")

    def _is_date(self, name: str) -> bool:
        return bool(self.source) and self.source[self.names.index(name)].kind == "date"
