"""A score that is a sum of table look-ups of the columns of a row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np

NEAR_WHOLE = 1e-6  # points by which a sum of whole points may differ from a whole number


class TableAxis(NamedTuple):
    """The bins of one column in one term.

    Attributes:
        column: its place.
        cuts: ``(m,)`` ascending; a value has as many ranks below it as cuts at or below it.
        bins: ``(m + 1,)`` the bin of each rank; a missing value has bin 0.
        size: number of bins.
    """

    column: int
    cuts: np.ndarray
    bins: np.ndarray
    size: int

    def bin(self, value: np.ndarray) -> np.ndarray:
        """Return the bins of values, NaN for missing."""
        rank = np.searchsorted(self.cuts, np.nan_to_num(value), side="right")
        return np.where(np.isnan(value), 0, self.bins[rank])


class TableTerm(NamedTuple):
    """One term: its axes and what it adds in each cell.

    Attributes:
        name: of the term.
        axes: places of its one or two axes.
        table: ``(bins..., s)``
        counts: ``(bins...)`` weight of the training rows.
    """

    name: str
    axes: tuple[int, ...]
    table: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True)
class FeatureTables:
    """``score = intercept + sum of one cell of each term``; d columns, s scores.

    Attributes:
        names: of the d columns.
        levels: d lists of levels in the order of their places, the numbers that a row holds; empty for a number.
        axes: of the terms.
        terms: mains and pairs.
        intercept: ``(s,)``
        halved: whether one score is the difference of two logits, ``(-score / 2, score / 2)``.
        dates: columns whose numbers are days from 1970-01-01.
        multiplier: points of a change of a score by 1 where scores are sums of whole points; 0 where they are not.

    Example:
        >>> axis = TableAxis(0, np.array([0.5]), np.array([1, 2]), 4)
        >>> term = TableTerm("x", (0,), np.array([[0.0], [-1.0], [1.0], [0.0]]), np.array([0.0, 5.0, 5.0, 0.0]))
        >>> FeatureTables(("x",), ((),), (axis,), (term,), np.zeros(1), True).logits(np.array([[2.0]])).tolist()
        [[-0.5, 0.5]]
    """

    names: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    axes: tuple[TableAxis, ...]
    terms: tuple[TableTerm, ...]
    intercept: np.ndarray
    halved: bool
    dates: frozenset[int] = frozenset()
    multiplier: float = 0.0

    def scores(self, x: np.ndarray) -> np.ndarray:
        """Return the scores ``(n, s)`` of rows ``(n, d)``."""
        total = np.repeat(self.intercept[None], len(x), 0)
        for term in self.terms:
            places = tuple(self.axes[a].bin(x[:, self.axes[a].column]) for a in term.axes)
            total = total + term.table[places]
        return self._in_whole_points(total) if self.multiplier else total

    def _in_whole_points(self, scores: np.ndarray) -> np.ndarray:
        """Return scores whose points are whole numbers computed from these alone, so that even odds are exactly 0."""
        whole = np.round(scores * self.multiplier)
        near = np.abs(scores * self.multiplier - whole) < NEAR_WHOLE
        return np.where(near, whole / self.multiplier, scores)

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Return the logits ``(n, c)`` of rows ``(n, d)``."""
        return self.as_logits(self.scores(x))

    def as_logits(self, scores: np.ndarray) -> np.ndarray:
        """Return scores ``(..., s)``, or differences of scores, as logits ``(..., c)``."""
        return np.concatenate([-scores / 2, scores / 2], -1) if self.halved else scores

    def cuts(self, column: int) -> np.ndarray:
        """Return the cuts of all axes of a column, ascending: between them nothing changes."""
        own: Sequence[np.ndarray] = [axis.cuts for axis in self.axes if axis.column == column]
        return np.unique(np.concatenate([np.zeros(0), *own]))

    def rows_of(self, column: int) -> tuple[TableAxis, np.ndarray]:
        """Return the axis of a column and the weight ``(bins,)`` of the training rows in each of its bins.

        Of several axes it is that of the column's own term, or else the first.

        Raises:
            ValueError: if no term reads the column.
        """
        own = [t for t in self.terms if any(self.axes[a].column == column for a in t.axes)]
        if not own:
            raise ValueError(f"no term reads column {column}; expected one of the columns of the axes")
        term = min(own, key=lambda t: len(t.axes))
        n = next(n for n, a in enumerate(term.axes) if self.axes[a].column == column)
        return self.axes[term.axes[n]], term.counts.sum(tuple(m for m in range(len(term.axes)) if m != n))

    def text(self, column: int, value: float) -> str:
        """Return a value of a column in words."""
        if math.isnan(value):
            return "missing"
        if self.levels[column]:
            return self.levels[column][int(value)]
        if column in self.dates:
            return (date(1970, 1, 1) + timedelta(days=math.floor(value))).isoformat()
        return f"{value:.10g}".replace("-", "\u2212", 1)
