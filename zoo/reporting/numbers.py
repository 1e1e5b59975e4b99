"""Formatted numbers: sums that are exact as printed, probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence

from zoo.explanation import Explanation, gather


def decimals(values: Sequence[float]) -> int:
    """Return the digits after the point that leave the largest value three significant ones, 2 to 6.

    Example:
        >>> decimals([0.0123])
        4
    """
    largest = max(map(abs, values), default=0.0)
    return 2 if largest == 0 else min(6, max(2, 2 - math.floor(math.log10(largest))))


def input_digits(explanations: Sequence[Explanation], i: int) -> int:
    """Return the digits after the point for all logits and contributions of input ``i``."""
    logits = explanations[0].logits[i].double()
    largest = [
        float(gather(e.contribution[i : i + 1], e.shown[i : i + 1]).abs().amax())
        for e in explanations
        if e.shown.numel()
    ]
    return max(decimals(logits.topk(min(5, len(logits))).values.tolist()), decimals(largest))


def whole(value: float, digits: int) -> int:
    """Return the value in steps of the last printed digit: sums of printed numbers are then exact."""
    return round(value * 10**digits)


def show(steps: int, digits: int, *, sign: bool = False) -> str:
    """Return a number of steps as printed, with a true minus, and with a plus if asked.

    Example:
        >>> show(-1250, 2), show(3, 2, sign=True)
        ('−12.50', '+0.03')
    """
    mark = "−" if steps < 0 else "+" if sign and steps > 0 else ""
    return f"{mark}{abs(steps) // 10**digits}.{abs(steps) % 10**digits:0{digits}d}"


def percent(chance: float) -> str:
    """Return a probability in percent, never as 0 % or 100 %.

    Example:
        >>> percent(0.12345), percent(1.0)
        ('12.3 %', 'over 99.9 %')
    """
    if chance >= 0.9995:
        return "over 99.9 %"
    return f"{100 * chance:.1f} %" if chance >= 0.0005 else "under 0.1 %"


def short_number(value: float) -> str:
    """Return a number with three digits, a true minus and no exponent; what is near 0 is said to be.

    Example:
        >>> short_number(-0.25), short_number(4e-5), short_number(0.0), short_number(12345678.0)
        ('−0.25', 'about 0', '0', '12345678')
    """
    if abs(value) < 5e-4:
        return "0" if value == 0 else "about 0"
    return (f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}").replace("-", "−")
