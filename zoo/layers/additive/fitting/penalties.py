"""Quadratic penalties of additive terms: slope and curvature along ordered bins, ridge on unordered ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from zoo.layers.additive.columns.bins import ColumnBins

RIDGE = 1e-6  # of every penalty; keeps the optimum unique where neither rows nor smoothness decide


@dataclass(frozen=True)
class Component:
    """One quadratic form ``T' S T`` on the cells of a table, with its own strength.

    Args:
        name: "slope", "curvature", "ridge", "jumps" or "surface".
        form: S, shape (cells, cells).
        rank: Rank of S.
    """

    name: str
    form: np.ndarray
    rank: int

    @cached_property
    def matrix(self) -> sp.csr_matrix:
        """S as a sparse matrix."""
        return sp.csr_matrix(self.form)


def bin_gaps(bins: ColumnBins) -> np.ndarray:
    """Return the distances between neighboring value bins, shape (m - 1,), at least a third of their mean."""
    gaps = np.diff(bins.positions)
    return np.maximum(gaps, gaps.mean() / 3)


def axis_matrices(bins: ColumnBins) -> dict[str, np.ndarray]:
    """Return the penalty matrices of one axis, shape (size, size), by name."""
    size = bins.size
    values = size - 2
    if not bins.is_ordered or values < 2:
        return {"ridge": np.identity(size)}
    gaps = bin_gaps(bins)
    matrices = {"slope": np.zeros((size, size))}
    step = np.diff(np.identity(values), axis=0)
    matrices["slope"][1:-1, 1:-1] = step.T @ (step / gaps[:, None])
    if values > 2:
        matrices["curvature"] = np.zeros((size, size))
        curve = np.diff(step / gaps[:, None], axis=0)
        width = (gaps[1:] + gaps[:-1])[:, None] / 2
        matrices["curvature"][1:-1, 1:-1] = curve.T @ (curve / width)
    return matrices


def part_components(bins: tuple[ColumnBins, ...], role: str) -> list[Component]:
    """Return the penalty components of a main (one column), of its jumps or of a pair (two columns)."""
    if role == "jumps":
        inner = np.ones(bins[0].size)
        inner[[0, -1]] = 0.0
        return [Component("jumps", np.diag(inner), bins[0].size - 3)]
    if len(bins) == 1:
        ranks = {"slope": bins[0].size - 3, "curvature": bins[0].size - 4, "ridge": bins[0].size - 1}
        return [Component(name, matrix, ranks[name]) for name, matrix in axis_matrices(bins[0]).items()]
    forms = [_axis_form(axis) for axis in bins]
    size = [axis.size for axis in bins]
    grid = np.zeros((*size, *size))
    places = [np.arange(n) for n in size]
    grid[:, places[1], :, places[1]] += forms[0]
    grid[places[0], :, places[0], :] += forms[1]
    filled = [int(np.sum(axis.counts > 0)) for axis in bins]
    cells = bins[0].size * bins[1].size
    return [Component("surface", grid.reshape(cells, cells) / cells, cells - sum(filled) + 1)]


def _axis_form(bins: ColumnBins) -> np.ndarray:
    """Slope along the value bins plus a ridge, which is all that ties the reserved bins and unordered ones."""
    matrices = axis_matrices(bins)
    form = matrices.get("slope", np.zeros((bins.size, bins.size)))
    return form + np.identity(bins.size)


def marginal_operator(shape: tuple[int, ...], counts: np.ndarray) -> sp.csr_matrix:
    """Return the weighted means that a pure term has at zero: the mean of a main, all row and column means of a pair.

    Args:
        shape: Bins of the axes.
        counts: Weight of every cell, flattened, shape (cells,).

    Returns:
        A matrix of shape (means, cells); a mean over weight w is scaled by the square root of its share of rows.
    """
    total = max(counts.sum(), 1e-300)
    if len(shape) == 1:
        return sp.csr_matrix(counts[None, :] / total)
    rows, columns = np.divmod(np.arange(len(counts)), shape[1])
    index = np.concatenate([rows, shape[0] + columns])
    weight = np.concatenate([counts, counts])
    sums = np.bincount(index, weights=weight, minlength=sum(shape))
    scale = weight / np.sqrt(np.maximum(sums[index], 1e-300) * total)
    return sp.csr_matrix((scale, (index, np.tile(np.arange(len(counts)), 2))), shape=(sum(shape), len(counts)))


def fixed_penalty(bins: tuple[ColumnBins, ...], counts: np.ndarray, role: str) -> np.ndarray:
    """Return the part of a term's penalty that no path varies, shape (cells, cells).

    It is a small ridge on every cell, a ridge of 1 on the missing and unknown cells of ordered mains, which have no
    neighbors, and the total weight on the weighted means, which makes a main centered and a pair pure.
    """
    shape = tuple(axis.size for axis in bins)
    ridge = np.full(shape, RIDGE)
    for axis, column in enumerate(bins):
        if column.is_ordered and role != "pair":
            edge = np.moveaxis(ridge, axis, 0)
            edge[[0, -1]] = 1.0
    means = marginal_operator(shape, counts).toarray()
    penalty = float(counts.sum()) * (means.T @ means)
    penalty[np.diag_indices_from(penalty)] += ridge.ravel()
    return penalty
