"""Exact functional ANOVA of additive tables against the data: centered mains and pure pairs, predictions unchanged."""

from __future__ import annotations

import numpy as np


def purify_pair(table: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Split a pair table into its pure part, two mains and a constant.

    The mains minimize ``sum W (F - a - b)^2``, found by one symmetric solve of size I + J (least squares of minimum
    norm, so rows and columns without weight are allowed).

    Args:
        table: Scores F, shape (I, J, c).
        weights: Weight W of every cell, shape (I, J).

    Returns:
        Pure table (I, J, c), main of the rows (I, c), main of the columns (J, c), constant (c,); they add up to F.
        The weighted mean of every row and column of the pure table and of both mains is zero.

    Example:
        >>> pure, rows, columns, constant = purify_pair(np.array([[[1.0], [2.0]], [[3.0], [4.0]]]), np.ones((2, 2)))
        >>> bool(np.abs(pure).max() < 1e-12), rows.ravel().round(6).tolist(), constant.round(6).tolist()
        (True, [-1.0, 1.0], [2.5])
    """
    row_weights, column_weights = weights.sum(1), weights.sum(0)
    total = max(float(weights.sum()), 1e-300)
    size = len(row_weights)
    matrix = np.block([[np.diag(row_weights), weights], [weights.T, np.diag(column_weights)]]) / total
    sums = np.concatenate([np.einsum("ij,ijc->ic", weights, table), np.einsum("ij,ijc->jc", weights, table)]) / total
    effects = _least_squares(matrix, sums)
    rows, columns = effects[:size], effects[size:]
    pure = table - rows[:, None] - columns[None]
    row_mean = row_weights @ rows / total
    column_mean = column_weights @ columns / total
    return pure, rows - row_mean, columns - column_mean, row_mean + column_mean


def _least_squares(matrix: np.ndarray, sums: np.ndarray) -> np.ndarray:
    # scaled by the weights, so that rare rows are solved as exactly as frequent ones; two rounds of refinement
    scale = 1 / np.sqrt(np.where(matrix.diagonal() > 0, matrix.diagonal(), 1.0))
    inverse = np.linalg.pinv(matrix * scale[:, None] * scale, rcond=1e-12, hermitian=True) * scale[:, None] * scale
    effects = inverse @ sums
    for _ in range(2):
        effects = effects + inverse @ (sums - matrix @ effects)
    return effects


def center(table: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a main with weighted mean zero, shape (I, c), and the mean that was removed, shape (c,)."""
    mean = weights @ table / max(float(weights.sum()), 1e-300)
    return table - mean, mean
