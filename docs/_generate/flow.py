"""Drawings of models as a row of steps: what goes in, what is computed, what is explained."""

from __future__ import annotations

from html import escape

WIDTH = 150  # of a box, in units of the drawing
GAP = 34
HEIGHT = 92
LINE = 17  # between lines of text
CHARACTERS = 20  # of a line in a box
UNITS = "*"  # marks the step that is explained


def flow(text: str) -> str:
    """Return the drawing of steps ``label, shape | label, shape | ...`` as one line of SVG.

    The step that begins with ``*`` holds the units, which an explanation shows.

    Example:
        >>> flow("row, (b d) | *shape functions, (b u) | sum").count("<rect")
        3
    """
    steps = [step.strip() for step in text.split("|")]
    width = len(steps) * (WIDTH + GAP) - GAP
    parts = [_step(step, i * (WIDTH + GAP)) for i, step in enumerate(steps)]
    arrows = [_arrow(i * (WIDTH + GAP) + WIDTH) for i in range(len(steps) - 1)]
    label = escape(text.replace(UNITS, ""), quote=True)
    start = f'<div><svg class="flow" viewBox="-2 -2 {width + 4} {HEIGHT + 4}" role="img" aria-label="{label}">'
    return "".join([start, *parts, *arrows, "</svg></div>"])


def _step(step: str, left: int) -> str:
    units = step.startswith(UNITS)
    label, _, shape = (part.strip() for part in step.removeprefix(UNITS).partition(","))
    rows = [(row, "label") for row in _lines(label)] + ([(shape, "shape")] if shape else [])
    top = HEIGHT / 2 - (len(rows) - 1) * LINE / 2
    texts = [
        f'<text class="{kind}" x="{left + WIDTH / 2:g}" y="{top + i * LINE:g}">{escape(row)}</text>'
        for i, (row, kind) in enumerate(rows)
    ]
    box = f'<rect class="{"units" if units else "step"}" x="{left}" y="0" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
    return box + "".join(texts)


def _lines(label: str) -> list[str]:
    rows = [""]
    for word in label.split():
        if rows[-1] and len(rows[-1]) + 1 + len(word) > CHARACTERS:
            rows.append(word)
        else:
            rows[-1] = f"{rows[-1]} {word}".strip()
    return rows


def _arrow(left: int) -> str:
    y, end = HEIGHT / 2, left + GAP - 4
    return f'<path d="M{left + 4} {y:g}H{end}m-6 -5l6 5l-6 5"/>'
