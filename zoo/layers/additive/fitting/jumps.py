"""Columns whose shape jumps from one bin to the next."""

from __future__ import annotations

import numpy as np

from zoo.layers.additive.columns.bins import ColumnBins
from zoo.layers.additive.fitting.assemble import Assembly
from zoo.layers.additive.fitting.convex_losses import Loss


def find_jumps(
    assembly: Assembly,
    loss: Loss,
    theta: np.ndarray,
    bins: list[ColumnBins],
    codes: list[np.ndarray],
    threshold: float,
    max_cells: int,
) -> list[int]:
    """Return the ordered columns whose residual gradients scatter more between bins than chance, by a z score.

    The columns of the highest scores come first into at most ``max_cells`` cells.

    Args:
        assembly: Smooth mains.
        loss: Loss of the same rows.
        theta: Their optimum, shape (D + 1, c).
        bins: Finest bins of every column.
        codes: Finest bin of every row in every column.
        threshold: Smallest z score.
        max_cells: Largest number of cells of all columns together.
    """
    outputs = loss.mean_outputs(assembly.design @ theta)
    gradient, curvature = loss.gradient(outputs), loss.curvature(outputs)
    dispersion = float(np.sum(gradient**2) / np.sum(curvature)) if loss.task == "regression" else 1.0
    scores = {}
    for j, axis in enumerate(bins):
        if not axis.is_ordered:
            continue
        z, variance = 0.0, 0.0
        for k in range(loss.classes):
            g = np.bincount(codes[j], gradient[:, k], minlength=axis.size)
            h = np.bincount(codes[j], curvature[:, k], minlength=axis.size)
            filled = h > 1e-8
            z += float(np.sum(g[filled] ** 2 / (dispersion * h[filled]) - 1))
            variance += float(np.sum(2 + 1 / h[filled]))
        if z > threshold * variance**0.5:
            scores[j] = z / variance**0.5
    columns, cells = [], 0
    for j in sorted(scores, key=lambda j: (-scores[j], j)):
        if cells + bins[j].size <= max_cells:
            columns.append(j)
            cells += bins[j].size
    return sorted(columns)
