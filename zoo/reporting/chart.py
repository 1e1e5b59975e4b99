"""Curves as one small drawing, SVG text that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 480, 200
STYLES = ("", "6 3", "2 3", "8 3 2 3", "1 2")
COLOURS = ("#00795f", "#b84a00", "#5b5bd6", "#8a6d00", "#a3307c")


@dataclass(frozen=True)
class Line:
    """A curve as drawn: its name, colour, dashes, the points of its path, and its last value in words."""

    name: str
    colour: str
    dash: str
    points: str
    last: str


@dataclass(frozen=True)
class Chart:
    """Curves over 0, 1, ... n steps on one scale; ``ticks`` are (height in the drawing, words)."""

    title: str
    x: str
    steps: int
    lines: list[Line]
    ticks: list[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT


def chart(curves: Mapping[str, Sequence[float]], *, title: str, x: str) -> Chart:
    """Lay out curves of equal length.

    Args:
        curves: values at 0, 1, ... steps, by name.
        title: what the values are.
        x: what a step is.

    Raises:
        ValueError: if there are none, or their lengths differ.
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
        dash = STYLES[i // len(COLOURS) % len(STYLES)]
        lines.append(Line(name.replace("_", " "), COLOURS[i % len(COLOURS)], dash, points, f"{values[-1]:.3g}"))
    ticks = [(up(v), f"{v:.3g}") for v in (low, (low + high) / 2, high)]
    return Chart(title, x, steps, lines, ticks)
