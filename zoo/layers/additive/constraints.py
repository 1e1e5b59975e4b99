"""Monotone edits of mains by weighted isotonic regression on the bins."""

from __future__ import annotations

import numpy as np
from sklearn.isotonic import isotonic_regression


def monotone_table(table: np.ndarray, counts: np.ndarray, direction: int) -> np.ndarray:
    """Return the closest monotone main in weighted squares; the missing and the unknown bin stay as they are.

    Args:
        table: Scores of the bins, shape (m + 2, 1).
        counts: Weight of every bin, shape (m + 2,).
        direction: 1 for increasing, -1 for decreasing.

    Raises:
        ValueError: More than one score a bin (monotone in one class says nothing about its probability), or another
            direction.

    Example:
        >>> monotone_table(np.array([[0.0], [1.0], [0.0], [2.0], [0.0]]), np.ones(5), 1).ravel().tolist()
        [0.0, 0.5, 0.5, 2.0, 0.0]
    """
    if direction not in (1, -1):
        raise ValueError(f"the monotone direction is {direction!r}; expected 1 (increasing) or -1 (decreasing)")
    if table.ndim != 2 or table.shape[1] != 1:
        raise ValueError(f"a monotone main has one score a bin, this one {table.shape[1:]}; use binary or regression")
    inner = slice(1, len(table) - 1)
    result = table.copy()
    weights = np.maximum(counts[inner], 1e-9 * max(float(counts.sum()), 1.0))
    result[inner, 0] = isotonic_regression(table[inner, 0], sample_weight=weights, increasing=direction > 0)
    return result
