"""Additive terms as tables: cells, importance and purification of a fitted model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from zoo.layers.additive.columns.bins import ColumnBins
from zoo.layers.additive.purify import center, purify_pair


@dataclass(frozen=True)
class Term:
    """A main (one column) or a pair (two columns) with its own bins.

    Args:
        bins: Bins of the columns.
        table: Score of every cell, shape (bins of the columns..., c).
        counts: Weight of the training rows in every cell, shape (bins of the columns...).
        bands: Standard deviation of every score over resamples, the shape of the table, or None.
    """

    bins: tuple[ColumnBins, ...]
    table: np.ndarray
    counts: np.ndarray
    bands: np.ndarray | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(axis.name for axis in self.bins)

    @property
    def name(self) -> str:
        """Name of the term: ``age`` or ``age x hours``."""
        return " x ".join(self.columns)

    @property
    def supported(self) -> np.ndarray:
        """True for the cells that training rows fell in, the shape of the counts."""
        return self.counts > 0

    def codes(self, cells: Mapping[str, Sequence | np.ndarray]) -> np.ndarray:
        """Return the flat cell of every row, shape (n,)."""
        missing = [name for name in self.columns if name not in cells]
        if missing:
            raise ValueError(f"column {missing[0]!r} is missing; the table has {', '.join(map(str, cells))}")
        codes = [axis.transform(cells[axis.name]).astype(np.int64) for axis in self.bins]
        return np.ravel_multi_index(codes, self.counts.shape)

    def importance(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the weighted mean of |score| and the weighted standard deviation, each of shape (c,)."""
        share = (self.counts / max(self.counts.sum(), 1e-300)).reshape(-1, 1)
        flat = self.table.reshape(-1, self.table.shape[-1])
        mean = (share * flat).sum(0)
        return (share * np.abs(flat)).sum(0), np.sqrt((share * (flat - mean) ** 2).sum(0))


def purify_terms(terms: Sequence[Term], intercept: np.ndarray) -> tuple[list[Term], np.ndarray]:
    """Return the same function with pure pairs and centered mains, and the new intercept, shape (c,).

    Mains of a pair that are not among the terms are created; cuts of mains become the union of their cuts and the
    cuts of the pairs that pass a main on.
    """
    intercept = np.array(intercept, dtype=np.float64)
    mains = {term.columns: term for term in terms if len(term.bins) == 1}
    pairs = []
    for term in terms:
        if len(term.bins) == 1:
            continue
        pure, rows, columns, constant = purify_pair(term.table, term.counts)
        pairs.append(replace(term, table=pure))
        intercept = intercept + constant
        for axis, (bins, effect) in enumerate(zip(term.bins, (rows, columns), strict=True)):
            counts = term.counts.sum(1 - axis)
            mains[(bins.name,)] = _add(mains.get((bins.name,)), bins, effect, counts)
    centered = []
    for term in mains.values():
        table, mean = center(term.table, term.counts)
        intercept = intercept + mean
        centered.append(replace(term, table=table))
    return centered + pairs, intercept


def _add(main: Term | None, bins: ColumnBins, effect: np.ndarray, counts: np.ndarray) -> Term:
    if main is None:
        return Term((bins,), effect, counts)
    if bins.kind == "number" and not np.isin(bins.cuts, main.bins[0].cuts).all():
        main = _refine(main, bins, counts)
    return replace(main, table=main.table + effect[main.bins[0].lookup_in(bins)])


def _refine(main: Term, other: ColumnBins, counts: np.ndarray) -> Term:
    """Divide the bins of a main at the cuts of another binning; its counts decide the shares of the new bins."""
    axis = main.bins[0]
    cuts = np.union1d(axis.cuts, other.cuts)
    fine = replace(axis, cuts=cuts, counts=np.zeros(len(cuts) + 3), positions=np.linspace(0, 1, len(cuts) + 1))
    lookup, to_other = fine.lookup_in(axis), fine.lookup_in(other)
    pieces = np.bincount(to_other, minlength=other.size)
    share = counts[to_other] / pieces[to_other] + 1e-9
    share = share / np.bincount(lookup, weights=share, minlength=axis.size)[lookup]
    new_counts = main.counts[lookup] * share
    bands = None if main.bands is None else main.bands[lookup]
    return Term((replace(fine, counts=new_counts),), main.table[lookup], new_counts, bands)


def effective_terms(terms: Sequence[Term]) -> float:
    """Return the exponential of the entropy of the shares of the terms in the sum of their importances.

    Example:
        >>> from zoo.layers.additive.columns.bin_fitting import fit_bins
        >>> axis = fit_bins("x", [0.0, 1.0])
        >>> term = Term((axis,), np.array([[0.0], [-1.0], [1.0], [0.0]]), axis.counts)
        >>> round(effective_terms([term, term]), 6)
        2.0
    """
    share = np.array([term.importance()[0].mean() for term in terms])
    share = share / max(share.sum(), 1e-300)
    return float(np.exp(-(share * np.log(np.maximum(share, 1e-300))).sum()))
