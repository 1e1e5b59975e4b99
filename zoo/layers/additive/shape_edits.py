"""Edits of the values of a shape function: over some of its bins, on plain arrays; n bins.

Wang, Kale, Nori, Stella, Nunnally, Chau, Vorvoreanu, Wortman Vaughan, Caruana, Interpretability, Then What? Editing
Machine Learning Models to Reflect Human Knowledge and Values, KDD 2022 (GAM Changer), has move, set, interpolate,
monotone and delete.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.layers.additive.columns.bins import ColumnBins
from zoo.paths import did_you_mean

TINY = 1e-9  # share of the mean weight that a bin without training rows counts


def flattened(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean of ``values`` ``(n,)`` by ``weights`` ``(n,)`` in every bin.

    Example:
        >>> flattened(np.array([0.0, 4.0]), np.array([3.0, 1.0])).tolist()
        [1.0, 1.0]
    """
    return np.full_like(values, np.average(values, weights=_positive(weights)))


def interpolated(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the straight line from the first to the last value over ascending ``places`` ``(n,)``.

    Example:
        >>> interpolated(np.array([0.0, 9.0, 4.0]), np.array([0.0, 1.0, 4.0])).tolist()
        [0.0, 1.0, 4.0]
    """
    line = np.interp(places, places[[0, -1]], values[[0, -1]])
    line[[0, -1]] = values[[0, -1]]
    return line


def monotone(values: np.ndarray, weights: np.ndarray, *, increasing: bool) -> np.ndarray:
    """Return the monotone values that are nearest in weighted squares (pool adjacent violators).

    Example:
        >>> monotone(np.array([0.0, 3.0, 1.0]), np.array([1.0, 1.0, 3.0]), increasing=True).tolist()
        [0.0, 1.5, 1.5]
    """
    sign = 1.0 if increasing else -1.0
    pools: list[tuple[float, float, int]] = []  # mean, weight, number of bins
    for value, weight in zip(sign * values, _positive(weights), strict=True):
        pool = (float(value), float(weight), 1)
        while pools and pools[-1][0] > pool[0]:
            mean, total, count = pools.pop()
            both = total + pool[1]
            pool = ((mean * total + pool[0] * pool[1]) / both, both, count + pool[2])
        pools.append(pool)
    return sign * np.repeat([mean for mean, _, _ in pools], [count for _, _, count in pools])


def smoothed(values: np.ndarray, weights: np.ndarray, strength: float) -> np.ndarray:
    """Return z that minimizes sum w (z - values)^2 + strength * mean(w) * sum of squared second differences of z.

    Example:
        >>> smoothed(np.array([0.0, 3.0, 0.0]), np.ones(3), 1e9).round(4).tolist()  # a straight line
        [1.0, 1.0, 1.0]
    """
    weights = _positive(weights)
    curvature = np.diff(np.eye(len(values)), 2, axis=0)
    matrix = np.diag(weights) + strength * weights.mean() * curvature.T @ curvature
    return np.linalg.solve(matrix, weights * values)


def _positive(weights: np.ndarray) -> np.ndarray:
    mean = float(weights.mean())
    return np.maximum(weights, TINY * mean) if mean > 0 else np.ones_like(weights)


def places_of(axis: ColumnBins) -> np.ndarray:
    """Return the places ``(m,)`` of the m bins of values: the middle of each between the training values, or 1 to m.

    Example:
        >>> places_of(ColumnBins("x", "number", cuts=np.array([2.0, 4.0]), minimum=0.0, maximum=10.0)).tolist()
        [1.0, 3.0, 7.0]
    """
    count = axis.size - 2
    if axis.kind != "number" or not np.isfinite([axis.minimum, axis.maximum]).all():
        return np.arange(1.0, count + 1)
    edges = np.array([min(axis.minimum, *axis.cuts), *axis.cuts, max(axis.maximum, *axis.cuts)])
    if not len(axis.cuts):
        edges = np.array([axis.minimum, axis.maximum])
    places = (edges[:-1] + edges[1:]) / 2
    return places if (np.diff(places) > 0).all() else np.arange(1.0, count + 1)


def read_bins(axis: ColumnBins, given: Any, names: Sequence[str]) -> np.ndarray:
    """Return the ascending numbers of the bins of a column that a person named.

    Args:
        axis: the bins.
        given: a number, a name, a range of values ``25..40``, names between commas, or a list of numbers and names.
        names: of all bins, in words.

    Raises:
        ValueError: if there is no such bin; the message names the nearest.

    Example:
        >>> axis = ColumnBins("age", "number", cuts=np.array([20.0, 30.0, 40.0]))
        >>> names = [axis.text(code) for code in range(axis.size)]
        >>> read_bins(axis, "25..40", names).tolist(), read_bins(axis, ["missing", 4], names).tolist()
        ([2, 3], [0, 4])
    """
    if isinstance(given, str) and given not in names:
        low, dots, high = given.partition("..")
        if dots and axis.kind == "number":
            return _in_range(axis, low, high)
        given = [part.strip() for part in given.split(",")]
    parts = list(given) if isinstance(given, list | tuple) else [given]
    codes = set()
    for part in parts:
        if isinstance(part, int) and not isinstance(part, bool):
            if not 0 <= part < axis.size:
                raise ValueError(f"column {axis.name!r} has no bin {part}; expected 0 to {axis.size - 1}")
            codes.add(part)
        elif isinstance(part, str) and part in names:
            codes.add(list(names).index(part))
        elif isinstance(part, str) and part.isascii() and part.isdecimal() and int(part) < axis.size:
            codes.add(int(part))
        else:
            near = did_you_mean(str(part), list(names)) or ","
            values = ", a range such as 25..40" if axis.kind == "number" else ""
            raise ValueError(
                f"column {axis.name!r} has no bin {part!r}{near} expected names or numbers of bins{values}"
            )
    if not codes:
        raise ValueError(f"no bin of column {axis.name!r} is given; leave bins out for all of them")
    return np.array(sorted(codes))


def _in_range(axis: ColumnBins, low: str, high: str) -> np.ndarray:
    try:
        a, b = float(low or "-inf"), float(high or "inf")
    except ValueError as error:
        raise ValueError(f"bins is {f'{low}..{high}'!r}; expected a range of numbers such as 25..40") from error
    if not a <= b:
        raise ValueError(f"bins is {f'{low}..{high}'!r}; expected the smaller number first")
    lows, highs = np.array([-np.inf, *axis.cuts]), np.array([*axis.cuts, np.inf])
    inside = (lows < b) & (highs > a) if a < b else (lows <= a) & (a < highs)
    return 1 + np.flatnonzero(inside)
