"""Ranking of pairs of columns by FAST (Lou, Caruana, Gehrke and Hooker, 2013) on residual gradients."""

from __future__ import annotations

from itertools import combinations

import numpy as np

PAIRS_AT_ONCE = 64


def pair_strength(gradient: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """Return the FAST strength of pairs: the largest gain of one cut on each axis, shape (pairs,).

    The gain of four quadrants is ``sum G^2 / H`` over the quadrants minus ``G^2 / H`` of the whole table, summed over
    classes.

    Args:
        gradient: Sum of the residual gradients in every cell, shape (pairs, I, J, c).
        curvature: Sum of the second derivatives in every cell, shape (pairs, I, J, c).

    Example:
        >>> g = np.array([[1.0, -1.0], [-1.0, 1.0]])[None, :, :, None]
        >>> pair_strength(g, np.ones((1, 2, 2, 1))).tolist()
        [4.0]
    """
    g = gradient.cumsum(1).cumsum(2)
    h = curvature.cumsum(1).cumsum(2)
    gain = np.zeros((len(g), g.shape[1] - 1, g.shape[2] - 1))
    for sums_g, sums_h in zip(_quadrants(g), _quadrants(h), strict=True):
        gain += np.sum(sums_g**2 / np.maximum(sums_h, 1e-12), axis=-1)
    whole = np.sum(g[:, -1, -1] ** 2 / np.maximum(h[:, -1, -1], 1e-12), axis=-1)
    return np.maximum(gain.max((1, 2)), whole) - whole


def _quadrants(sums: np.ndarray) -> list[np.ndarray]:
    upper_left = sums[:, :-1, :-1]
    upper_right = sums[:, :-1, -1:] - upper_left
    lower_left = sums[:, -1:, :-1] - upper_left
    return [upper_left, upper_right, lower_left, sums[:, -1:, -1:] - upper_left - upper_right - lower_left]


def rank_pairs(
    codes: np.ndarray,
    sizes: np.ndarray,
    ordered: np.ndarray,
    gradient: np.ndarray,
    curvature: np.ndarray,
    allowed: list[tuple[int, int]] | None = None,
) -> list[tuple[int, int, float]]:
    """Return pairs of columns with their FAST strength, strongest first.

    Bins of unordered columns are sorted by their mean gradient before the cuts are tried.

    Args:
        codes: Coarse bins, shape (n, columns).
        sizes: Number of bins of every column, shape (columns,).
        ordered: True for columns whose bins are ordered, shape (columns,).
        gradient: Derivative of the loss in the scores, shape (n, c).
        curvature: Second derivative of the loss in the scores, shape (n, c).
        allowed: Pairs of column numbers to rank; all when None.
    """
    columns = codes.shape[1]
    codes = codes.astype(np.int64)
    for j in np.flatnonzero(~np.asarray(ordered)):
        g = np.bincount(codes[:, j], gradient[:, 0], minlength=sizes[j])
        h = np.bincount(codes[:, j], curvature[:, 0], minlength=sizes[j])
        codes[:, j] = np.argsort(np.argsort(g / np.maximum(h, 1e-12), kind="stable"), kind="stable")[codes[:, j]]
    pairs = list(allowed if allowed is not None else combinations(range(columns), 2))
    shapes: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for a, b in pairs:
        shapes.setdefault((int(sizes[a]), int(sizes[b])), []).append((a, b))
    ranked = []
    for (rows, width), group in shapes.items():
        for start in range(0, len(group), PAIRS_AT_ONCE):
            chunk = group[start : start + PAIRS_AT_ONCE]
            sums = [np.empty((len(chunk), rows * width, gradient.shape[1])) for _ in range(2)]
            for i, (a, b) in enumerate(chunk):
                cell = codes[:, a] * width + codes[:, b]
                for values, table in zip((gradient, curvature), sums, strict=True):
                    for k in range(values.shape[1]):
                        table[i, :, k] = np.bincount(cell, values[:, k], minlength=rows * width)
            strengths = pair_strength(*[table.reshape(len(chunk), rows, width, -1) for table in sums])
            ranked += [(a, b, float(value)) for (a, b), value in zip(chunk, strengths, strict=True)]
    return sorted(ranked, key=lambda item: (-item[2], item[0], item[1]))
