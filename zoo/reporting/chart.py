"""Curves laid out for one SVG drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH = 480  # pixels
HEIGHT = 200  # pixels
STYLES = ("", "6 3", "2 3", "8 3 2 3", "1 2")
COLORS = ("#00795f", "#b84a00", "#5b5bd6", "#8a6d00", "#a3307c")


@dataclass(frozen=True)
class Line:
    """A curve as drawn: name, color, dashes, the points of its path, and its last value, formatted."""

    name: str
    color: str
    dash: str
    points: str
    last: str


@dataclass(frozen=True)
class Chart:
    """Curves over 0, 1, ... n steps on one scale; ``ticks`` are (height in the drawing, label)."""

    title: str
    x: str
    steps: int
    lines: list[Line]
    ticks: list[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT


def chart(curves: Mapping[str, Sequence[float]], *, title: str, x: str) -> Chart:
    """Return curves of equal length, laid out.

    Args:
        curves: values at 0, 1, ... steps, by name.
        title: label of the values.
        x: label of the steps.

    Raises:
        ValueError: if there are none, or their lengths differ.

    Example:
        >>> chart({"accuracy": [0.5, 1.0]}, title="accuracy", x="steps").lines[0].points
        '0.0,200.0 480.0,0.0'
    """
    lengths = {len(values) for values in curves.values()}
    if len(lengths) != 1 or min(lengths) < 2:
        raise ValueError(f"curves have {sorted(lengths) or 'no'} points; expected the same number, 2 or more")
    steps = lengths.pop() - 1
    every = [v for values in curves.values() for v in values]
    low, high = min(every), max(every)
    low, high = (low, high) if high - low > 1e-9 else (low - 0.5, high + 0.5)

    def up(value: float) -> float:
        return HEIGHT - HEIGHT * (value - low) / (high - low)

    lines = []
    for i, (name, values) in enumerate(curves.items()):
        points = " ".join(f"{WIDTH * n / steps:.1f},{up(v):.1f}" for n, v in enumerate(values))
        dash = STYLES[i // len(COLORS) % len(STYLES)]
        lines.append(Line(name.replace("_", " "), COLORS[i % len(COLORS)], dash, points, f"{values[-1]:.3g}"))
    ticks = [(up(v), f"{v:.3g}") for v in (low, (low + high) / 2, high)]
    return Chart(title, x, steps, lines, ticks)
