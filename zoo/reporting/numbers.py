"""Numbers as people read them: bars on one scale, sums that hold as printed, chances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """A signed amount drawn from a common zero: percent of the track, and which way it points."""

    zero: float
    left: float
    width: float
    side: str


def spread(values: Sequence[float]) -> list[Bar]:
    """Bars on one scale and from one zero, which sits where the most negative value needs it."""
    low, high = min([0.0, *values]), max([0.0, *values])
    scale = 100 / ((high - low) or 1.0)
    zero = -low * scale
    sides = {True: "for", False: "against"}
    return [Bar(zero, zero + min(0.0, v) * scale, abs(v) * scale, sides[v > 0] if v else "neither") for v in values]


def decimals(values: Sequence[float]) -> int:
    """Digits after the point that leave the largest value three significant ones; at least 2, at most 6."""
    largest = max(map(abs, values), default=0.0)
    return 2 if largest == 0 else min(6, max(2, 2 - math.floor(math.log10(largest))))


def whole(value: float, digits: int) -> int:
    """The value counted in steps of the last printed digit: sums of printed numbers are then exact."""
    return round(value * 10**digits)


def show(steps: int, digits: int, *, sign: bool = False) -> str:
    """A count of steps as printed, with a true minus, and with a plus if asked."""
    mark = "−" if steps < 0 else "+" if sign and steps > 0 else ""
    return f"{mark}{abs(steps) // 10**digits}.{abs(steps) % 10**digits:0{digits}d}"


def percent(chance: float) -> str:
    """A probability in words that never claim certainty."""
    if chance >= 0.9995:
        return "over 99.9 %"
    return f"{100 * chance:.1f} %" if chance >= 0.0005 else "under 0.1 %"
