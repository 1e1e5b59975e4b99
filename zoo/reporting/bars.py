"""The horizontal bars of a page: contributions, logits and similarities as signed amounts on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Bar:
    """A signed amount drawn from a common zero.

    Attributes:
        zero: place of zero, in percent of the track.
        left: left end of the bar, in percent of the track.
        width: length of the bar, in percent of the track.
        side: ``for``, ``against`` or ``neither``; a class of the style sheet.
    """

    zero: float
    left: float
    width: float
    side: str

    @property
    def html(self) -> Markup:
        """The bar as HTML; the amount is written beside it."""
        places = zip("zlw", map(_short, (self.zero, self.left, self.width)), strict=True)
        style = ";".join(f"--{key}:{value}" for key, value in places if value != "0")
        return Markup('<i class="track {}" style="{}"></i>').format(self.side, style)


def _short(value: float) -> str:
    return f"{abs(value):.1f}".removesuffix(".0")  # no place is negative, but by rounding


def draw_bars(values: Sequence[float]) -> list[Bar]:
    """Return bars on one scale from one zero, placed so that the most negative value fits.

    Example:
        >>> [bar.side for bar in draw_bars([2.0, -1.0])]
        ['for', 'against']
    """
    low, high = min([0.0, *values]), max([0.0, *values])
    scale = 100 / ((high - low) or 1.0)
    zero = -low * scale
    return [Bar(zero, zero + min(0.0, value) * scale, abs(value) * scale, _side(value)) for value in values]


def draw_similarity(similarity: float) -> Bar:
    """Return the bar of a similarity: from 0, of full length at 1 and at -1.

    Example:
        >>> draw_similarity(-0.5).width
        50.0
    """
    return Bar(0.0, 0.0, 100 * min(1.0, abs(similarity)), _side(similarity))


def _side(value: float) -> str:
    return "for" if value > 0 else "against" if value < 0 else "neither"
