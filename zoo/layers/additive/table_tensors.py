"""Terms of an additive model as plain tensors and back: what a checkpoint holds of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from zoo.layers.additive.columns.bin_fitting import bin_positions
from zoo.layers.additive.columns.bins import ColumnBins
from zoo.layers.additive.columns.tensor_columns import Columns
from zoo.layers.additive.terms import Term
from zoo.what_if import FeatureTables, TableAxis, TableTerm

PADDING = float(np.finfo(np.float64).max)  # behind the last cut of an axis; a checkpoint holds finite numbers only
STATE = ("tables", "intercept", "bands", "counts", "cuts", "bin_of_rank", "sizes", "extent", "axis_column", "term_axes")


def terms_of(state: Mapping[str, np.ndarray], columns: Columns) -> list[Term]:
    """Return the terms that ``state_of`` described, with their bins in words.

    Args:
        state: arrays by name, see ``STATE``.
        columns: the d columns.
    """
    start = 0
    terms = []
    for axes in state["term_axes"]:
        axes = axes[axes >= 0]
        shape = [int(state["sizes"][i]) for i in axes]
        part = slice(start, start + int(np.prod(shape)))
        start = part.stop
        counts = state["counts"][part].reshape(shape)
        bins = tuple(
            _bins(state, int(i), columns, counts.sum(axis=tuple(j for j in range(len(axes)) if j != n)))
            for n, i in enumerate(axes)
        )
        table, bands = (state[name][part].reshape(*shape, -1) for name in ("tables", "bands"))
        terms.append(Term(bins, table, counts, bands if bands.any() else None))
    return terms


def feature_tables_of(state: Mapping[str, np.ndarray], columns: Columns, *, halved: bool) -> FeatureTables:
    """Return the terms that ``state_of`` described as arrays.

    Args:
        state: arrays by name, see ``STATE``.
        columns: the d columns.
        halved: whether the score is the difference of two logits.
    """
    axes = []
    for i, column in enumerate(state["axis_column"].tolist()):
        cuts = state["cuts"][i][state["cuts"][i] < PADDING]
        axes.append(TableAxis(column, cuts, state["bin_of_rank"][i][: len(cuts) + 1], int(state["sizes"][i])))
    start, terms = 0, []
    for row in state["term_axes"].tolist():
        own = tuple(a for a in row if a >= 0)
        shape = [axes[a].size for a in own]
        part = slice(start, start + int(np.prod(shape)))
        start = part.stop
        name = " x ".join(columns.names[axes[a].column] for a in own)
        table = state["tables"][part].reshape(*shape, -1)
        terms.append(TableTerm(name, own, table, state["counts"][part].reshape(shape)))
    dates = frozenset(j for j, column in enumerate(columns.source) if column.kind == "date")
    return FeatureTables(columns.names, columns.levels, tuple(axes), tuple(terms), state["intercept"], halved, dates)


def _bins(state: Mapping[str, np.ndarray], axis: int, columns: Columns, counts: np.ndarray) -> ColumnBins:
    column = int(state["axis_column"][axis])
    name, kind, levels = columns.names[column], columns.kinds[column], columns.levels[column]
    if kind == "number":
        cuts, (low, high) = state["cuts"][axis], state["extent"][axis]
        bins = ColumnBins(name, kind, cuts=cuts[cuts < PADDING], counts=counts, minimum=float(low), maximum=float(high))
    else:
        groups: list[list[str]] = [[] for _ in range(len(counts) - 2)]
        for level, code in zip(levels, state["bin_of_rank"][axis].tolist(), strict=False):
            if 1 <= code <= len(groups):
                groups[code - 1].append(level)
        bins = ColumnBins(name, kind, labels=tuple(map(tuple, groups)), counts=counts, missing=())
    return replace(bins, positions=bin_positions(bins)) if bins.is_ordered else bins


def state_of(terms: Sequence[Term], intercept: np.ndarray, columns: Columns) -> dict[str, Tensor]:
    """Return the tensors of terms by name, see ``AdditiveTables``; c scores, ``intercept`` ``(c,)``."""
    c = len(intercept)
    axes = [axis for term in terms for axis in term.bins]
    ranks = [_ranks(axis, columns) for axis in axes]
    width = max([len(cuts) for cuts, _ in ranks], default=0)
    padded = np.full((len(axes), width), PADDING)
    bins = np.zeros((len(axes), width + 1), dtype=np.int64)
    for i, (cuts, codes) in enumerate(ranks):
        padded[i, : len(cuts)] = cuts
        bins[i] = codes[-1]
        bins[i, : len(codes)] = codes
    term_axes = np.full((len(terms), 2), -1)
    place = 0
    for i, term in enumerate(terms):
        for n in range(len(term.bins)):
            term_axes[i, n] = place
            place += 1
    extent = [(0.0, 0.0) if axis.kind != "number" else _finite(axis) for axis in axes]
    flat = [term.table.reshape(-1, c) for term in terms]
    bands = [np.zeros_like(term.table) if term.bands is None else term.bands for term in terms]
    values = {
        "tables": np.concatenate(flat) if flat else np.zeros((0, c)),
        "intercept": np.array(intercept, dtype=np.float64),
        "bands": np.concatenate([band.reshape(-1, c) for band in bands]) if bands else np.zeros((0, c)),
        "counts": np.concatenate([term.counts.reshape(-1) for term in terms]) if terms else np.zeros(0),
        "cuts": padded,
        "bin_of_rank": bins,
        "sizes": np.array([axis.size for axis in axes], dtype=np.int64),
        "extent": np.array(extent, dtype=np.float64).reshape(-1, 2),
        "axis_column": np.array([columns.names.index(axis.name) for axis in axes], dtype=np.int64),
        "term_axes": term_axes,
    }
    return {name: torch.as_tensor(value) for name, value in values.items()}


def _finite(axis: ColumnBins) -> tuple[float, float]:
    known = np.isfinite([axis.minimum, axis.maximum]).all()
    return (axis.minimum, axis.maximum) if known else (0.0, 0.0)


def _ranks(axis: ColumnBins, columns: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Return the cuts of the values of an axis, and the bin of every rank among them."""
    if axis.kind == "number":
        return axis.cuts, np.arange(1, len(axis.cuts) + 2)
    bin_of = {label: code for code, group in enumerate(axis.labels, 1) for label in group}
    levels = columns.levels[columns.names.index(axis.name)]
    codes = [bin_of.get(level, axis.size - 1) for level in levels]
    return np.arange(len(levels)) + 0.5, np.array([*codes, axis.size - 1])
