"""Mutual information of codes from histograms, and AUROC of columns."""

from __future__ import annotations

import numpy as np

BINS = 32  # of a value, at most
PER_BIN = 20  # samples of a bin, at least


def bins(values: np.ndarray) -> np.ndarray:
    """Return the bin ``(n, m)`` of each value among bins of equal frequency; equal values share one.

    Example:
        >>> bins(np.arange(60.0)[:, None]).max()
        np.int64(2)
    """
    n = len(values)
    number = int(np.clip(n // PER_BIN, 2, BINS))
    ordered = np.sort(values, axis=0)
    edges = ordered[(np.arange(1, number) * n) // number]
    return np.stack([np.searchsorted(edges[:, j], values[:, j], side="right") for j in range(values.shape[1])], 1)


def information(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the mutual information ``(p, q)`` in nats of columns ``(n, p)`` and ``(n, q)`` of codes, -1 for unknown.

    Example:
        >>> code = np.arange(100)[:, None] % 2
        >>> bool(abs(information(code, code) - np.log(2)) < 0.01)
        True
    """
    left, right = _one_hot(a), _one_hot(b)
    joint = np.einsum("npx,nqy->pqxy", left, right, optimize=True).astype(np.float64)  # counts, exact
    total = joint.sum((2, 3), keepdims=True).clip(1)
    rows, columns = joint.sum(3, keepdims=True), joint.sum(2, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(joint > 0, joint * np.log(joint * total / (rows * columns)), 0)
    filled = [(table > 0).sum((2, 3)) for table in (rows, columns, joint)]
    correction = (filled[0] + filled[1] - filled[2] - 1) / (2 * total[..., 0, 0])
    return terms.sum((2, 3)) / total[..., 0, 0] + correction


def aurocs(value: np.ndarray, labels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the AUROC ``(m,)`` of values ``(n, m)`` against labels of 0 and 1; NaN for labels of one kind.

    Example:
        >>> value, labels = np.array([[0.1], [0.4], [0.3], [0.9]]), np.array([[0], [0], [1], [1]])
        >>> aurocs(value, labels, labels >= 0).tolist()
        [0.75]
    """
    from scipy.stats import rankdata

    rank = rankdata(np.where(known, value, np.nan), axis=0, nan_policy="omit")
    true = known & (labels == 1)
    ones, zeros = true.sum(0).astype(float), (known & (labels == 0)).sum(0)
    defined = (ones > 0) & (zeros > 0)
    area = np.where(true, rank, 0).sum(0) - ones * (ones + 1) / 2
    return np.where(defined, area / np.where(defined, ones * zeros, 1), np.nan)


def _one_hot(codes: np.ndarray) -> np.ndarray:
    return (codes[..., None] == np.arange(max(1, int(codes.max(initial=0)) + 1))).astype(np.float32)
