"""Cuts of numbers, and coarser bins from finer ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from zoo.layers.additive.columns.bins import ColumnBins


def choose_cuts(values: np.ndarray, weights: np.ndarray, max_bins: int, min_rows: int = 1) -> np.ndarray:
    """Return ascending float64 cuts between distinct values; a value equal to a cut belongs to the upper bin.

    Args:
        values: Finite numbers, shape (n,).
        weights: Row weights, shape (n,).
        max_bins: Largest number of bins.
        min_rows: Smallest number of rows in a bin.
    """
    distinct, inverse, rows = np.unique(values, return_inverse=True, return_counts=True)
    if len(distinct) < 2:
        return np.zeros(0)
    upper = np.arange(1, len(distinct))  # a cut before distinct[upper]
    if len(distinct) > max_bins:
        mass = np.cumsum(np.bincount(inverse, weights=weights, minlength=len(distinct)))
        share = np.arange(1, max_bins) / max_bins  # in turn a quantile of the values and of the rows
        by_value = np.round(share[::2] * len(distinct)).astype(int)
        by_row = np.searchsorted(mass, share[1::2] * mass[-1], side="left") + 1
        upper = np.union1d(by_row, by_value)
        upper = upper[(upper >= 1) & (upper < len(distinct))]
    if min_rows > 1:
        upper = _merge_small(np.cumsum(rows), upper, min_rows)
    low, high = distinct[upper - 1], distinct[upper]
    cuts = low / 2 + high / 2
    return np.where((cuts > low) & (cuts <= high), cuts, high)


def _merge_small(cumulative: np.ndarray, upper: np.ndarray, min_rows: int) -> np.ndarray:
    kept, start = [], 0
    for index in upper:
        before = cumulative[index - 1]
        if before - start >= min_rows and cumulative[-1] - before >= min_rows:
            kept.append(index)
            start = before
    return np.asarray(kept, dtype=int)


def coarsen(bins: ColumnBins, max_bins: int) -> tuple[ColumnBins, np.ndarray]:
    """Merge value bins to at most ``max_bins`` and return the new bins with the new bin of every old one.

    Ordered columns keep cuts that share the training rows equally; rare categories join the last value bin.

    Returns:
        The coarser bins and a lookup of shape (bins.size,) with ``coarse.transform(x) == lookup[bins.transform(x)]``.
    """
    inner = bins.counts[1:-1]
    if len(inner) <= max_bins:
        return bins, np.arange(bins.size)
    if bins.is_ordered:
        rank = (np.cumsum(inner) - inner / 2) / max(inner.sum(), 1e-300)
        index = (np.arange(len(inner)) + 0.5) / len(inner)
        share = np.arange(1, max_bins) / max_bins  # in turn a share of the bins and of the rows, as in choose_cuts
        group = np.searchsorted(share[::2], index, side="right") + np.searchsorted(share[1::2], rank, side="right")
        group = np.unique(group, return_inverse=True)[1]
    else:
        group = np.minimum(np.arange(len(inner)), max_bins - 1)
    total = int(group.max()) + 1
    lookup = np.concatenate([[0], 1 + group, [total + 1]])
    counts = np.bincount(lookup, weights=bins.counts, minlength=total + 2)
    changes: dict[str, Any] = {"counts": counts}
    if bins.is_ordered:
        mass = inner + 1e-9 * max(inner.sum(), 1e-300)
        changes["positions"] = np.bincount(group, mass * bins.positions) / np.bincount(group, mass)
    if bins.kind == "number":
        changes["cuts"] = bins.cuts[np.flatnonzero(np.diff(group))]
    else:
        changes["labels"] = tuple(
            tuple(label for j in np.flatnonzero(group == g) for label in bins.labels[j]) for g in range(total)
        )
    return replace(bins, **changes), lookup
