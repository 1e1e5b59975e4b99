"""How much of an answer the units account for, in one sentence; and which rows of a sum add next to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo.reporting.context import PageContext

LITTLE = 0.01  # share of the sum of absolute amounts below which a row is folded


def share_sentence(units: float, base: float, *, many: str, what: str, start: str) -> str:
    """Return what part of ``units + base`` the units account for.

    Args:
        units: what all units add.
        base: the rest.
        many: what units are called, several of them.
        what: what both add up to, such as ``this difference``.
        start: what the rest is called.

    Example:
        >>> share_sentence(8.3, 1.7, many="concepts", what="this difference", start="starting value")
        'The concepts account for 83 % of this difference, the starting value for 17 %.'
        >>> share_sentence(5.0, -2.0, many="concepts", what="this difference", start="starting value")
        'The concepts account for more than all of this difference; the starting value points the other way.'
        >>> share_sentence(-1.0, 4.0, many="concepts", what="this difference", start="starting value")
        'The starting value alone accounts for this difference; the concepts together point the other way.'
    """
    total = units + base
    if total == 0:
        return f"The {many} and the {start} cancel out."
    share = units / total
    if share > 1.0005:
        return f"The {many} account for more than all of {what}; the {start} points the other way."
    if share < -0.0005:
        return f"The {start} alone accounts for {what}; the {many} together point the other way."
    shown = round(100 * min(max(share, 0.0), 1.0))
    if shown == 100:
        return f"The {many} account for all of {what}."
    return f"The {many} account for {shown} % of {what}, the {start} for {100 - shown} %."


def share_of_contrast(context: PageContext, i: int) -> str:
    """Return what part of the lead of a class over another the units account for, in a sentence; empty if unknown."""
    contrast = context.contrast
    if contrast is None or not contrast.is_exact:
        return ""
    total, base = float(contrast.difference[i]), float(contrast.base[i])
    target, against = (context.class_names[int(c[i])] for c in (contrast.target, contrast.against))
    what = f"the lead of “{target}”" if total > 0 else f"the gap to “{against}”"
    start = "starting value" if context.mean_strengths is not None else "base"
    return share_sentence(total - base, base, many=context.noun.many, what=what, start=start)


def adds_little(amounts: Sequence[float], everything: float) -> list[bool]:
    """Return which amounts are under 1 % of the sum of all absolute amounts; the largest never is.

    Example:
        >>> adds_little([5.0, -0.01, 2.0], 7.0)
        [False, True, False]
    """
    largest = max(map(abs, amounts), default=0.0)
    return [abs(amount) < LITTLE * everything and abs(amount) < largest for amount in amounts]
