"""Exact intervals of proportions, and quantiles of studentized means that are skewed."""

from __future__ import annotations

import math

ROUNDING = 1e-9  # standard deviation, relative to the range of a score, below which all replicates are equal


def clopper_pearson(share: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a proportion (Clopper and Pearson, 1934); n may be an effective, fractional number.

    Args:
        share: observed proportion, in 0..1.
        n: number of trials.
        level: of confidence.

    Example:
        >>> low, high = clopper_pearson(1.0, 60)
        >>> round(low, 4), high
        (0.9404, 1.0)
    """
    from scipy.stats import beta

    tail = (1 - level) / 2
    right, wrong = share * n, (1 - share) * n
    low = float(beta.ppf(tail, right, wrong + 1)) if right > ROUNDING else 0.0
    high = float(beta.ppf(1 - tail, right + 1, wrong)) if wrong > ROUNDING else 1.0
    return low, high


def hall(quantile: float, skewness: float) -> float:
    """Quantile of a studentized mean with a skewness, from that of Student's t (Hall 1992, inverse cubic transform).

    Example:
        >>> round(hall(-2.0, 0.0), 3), round(hall(-2.0, 0.2), 3), round(hall(2.0, 0.2), 3)
        (-2.0, -2.396, 1.754)
    """
    if abs(skewness) < 1e-6:
        return quantile
    inner = 1 + skewness * (quantile - skewness / 6)
    return 3 / skewness * (math.copysign(abs(inner) ** (1 / 3), inner) - 1)
