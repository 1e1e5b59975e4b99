"""Fit of the bins of one column to its training cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from zoo.layers.additive.columns.bins import ColumnBins
from zoo.layers.additive.columns.column_values import MISSING_MARKERS, as_labels, as_numbers, infer_kind
from zoo.layers.additive.columns.cuts import choose_cuts


def fit_bins(
    name: str,
    values: Sequence | np.ndarray,
    *,
    kind: str | None = None,
    weights: np.ndarray | None = None,
    order: Sequence[str] | None = None,
    max_bins: int = 256,
    min_rows: int = 1,
    rare: int = 10,
    missing: tuple[str, ...] = MISSING_MARKERS,
) -> ColumnBins:
    """Fit the bins of one column on its training cells.

    Numbers are cut at the midpoints of all distinct values where there are at most ``max_bins`` of them, else at the
    union of row quantiles and quantiles of the distinct values. Categories are sorted by frequency; those with fewer
    than ``rare`` rows share one bin.

    Args:
        name: Column name.
        values: Training cells, length n.
        kind: Kind of the column; inferred from the cells when None.
        weights: Row weights, shape (n,); they count in the quantiles and in ``counts``.
        order: Labels of an ordinal column, lowest first.
        max_bins: Largest number of value bins.
        min_rows: Smallest number of training rows in a bin of a number; smaller neighbors are merged.
        rare: Categories with fewer rows than this are pooled.
        missing: Cells that count as missing beside None and NaN.
    """
    kind = kind or ("ordinal" if order is not None else infer_kind(values, missing))
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    if kind == "number":
        numbers, _ = as_numbers(values, missing)
        usable = np.isfinite(numbers)
        cuts = choose_cuts(numbers[usable], weights[usable], max_bins, min_rows)
        low, high = (float(numbers[usable].min()), float(numbers[usable].max())) if usable.any() else (np.nan, np.nan)
        bins = ColumnBins(name, kind, cuts=cuts, minimum=low, maximum=high, missing=missing)
    else:
        labels, code_of_row = as_labels(values, missing)
        rows = np.bincount(code_of_row, minlength=len(labels))
        groups = _group_labels(name, kind, labels, rows, order, rare)
        bins = ColumnBins(name, kind, labels=groups, missing=missing)
    counts = np.bincount(bins.transform(values), weights=weights, minlength=bins.size)
    bins = replace(bins, counts=counts)
    return replace(bins, positions=bin_positions(bins)) if bins.is_ordered else bins


def bin_positions(bins: ColumnBins) -> np.ndarray:
    """Return the places of the value bins of an ordered column in [0, 1], shape (m,).

    A place is the mean of the share of training rows below it, the share of the value range (between the 2nd and the
    98th percentile) and the share of bins, so that neither heavy tails nor many equal rows hide a part of the axis.
    """
    counts = bins.counts[1:-1]
    index = (np.arange(len(counts)) + 0.5) / max(len(counts), 1)
    if bins.kind != "number" or len(counts) < 2:
        return index
    rank = (np.cumsum(counts) - counts / 2) / max(counts.sum(), 1e-300)
    edges = np.concatenate([[bins.minimum], bins.cuts, [bins.maximum]])
    center = edges[:-1] / 2 + edges[1:] / 2
    low, high = np.interp([0.02, 0.98], rank, center)
    value = np.clip((center - low) / max(high - low, 1e-300), 0, 1)
    return (rank + value + index) / 3


def _group_labels(
    name: str,
    kind: str,
    labels: Sequence[str | None],
    rows: np.ndarray,
    order: Sequence[str] | None,
    rare: int,
) -> tuple[tuple[str, ...], ...]:
    present = [(label, count) for label, count in zip(labels, rows, strict=True) if label is not None]
    if kind == "ordinal":
        if order is None:
            raise ValueError(f"column {name!r} is ordinal and has no order; give its labels, lowest first, in orders")
        return tuple((str(label),) for label in order)
    present.sort(key=lambda pair: (-pair[1], pair[0]))
    if kind == "boolean":
        return tuple((label,) for label in sorted(label for label, _ in present))
    frequent = tuple((label,) for label, count in present if count >= rare)
    pooled = tuple(label for label, count in present if count < rare)
    return frequent + ((pooled,) if pooled else ())
