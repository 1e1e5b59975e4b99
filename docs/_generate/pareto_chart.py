"""A scatter chart of the accuracy lost against a score, with its Pareto front, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

LEFT, TOP, WIDTH, HEIGHT = 46, 14, 330, 190  # of the area of points, in pixels
SIZE = 10  # of all letters, in pixels
LETTER = 5.4  # width of one


@dataclass(frozen=True)
class Point:
    """One checkpoint.

    Attributes:
        name: shown beside the point where there is room, and always as its title.
        x: the score.
        lost: points of accuracy that are lost to the black box.
        color: of its family.
    """

    name: str
    x: float
    lost: float
    color: str


def front(points: Sequence[Point], *, higher: bool) -> list[Point]:
    """Return the points that no other point beats in one and equals in the other, ordered by the score.

    Args:
        points: any number.
        higher: whether a higher score is better; a lower loss always is.

    Example:
        >>> points = [Point("a", 1, 0, ""), Point("b", 2, 1, ""), Point("c", 1, 1, "")]
        >>> [point.name for point in front(points, higher=True)]
        ['a', 'b']
    """
    sign = 1 if higher else -1

    def beaten(p: Point) -> bool:
        return any(sign * q.x >= sign * p.x and q.lost <= p.lost and (q.x, q.lost) != (p.x, p.lost) for q in points)

    return sorted((p for p in points if not beaten(p)), key=lambda p: (p.x, p.lost))


def chart(points: Sequence[Point], title: str, *, higher: bool, log: bool) -> str:
    """Return a figure; empty for fewer than two points.

    Args:
        points: to draw; up is less accuracy lost.
        title: of the horizontal axis.
        higher: whether a higher score is better.
        log: whether the horizontal axis is logarithmic.
    """
    if len(points) < 2:
        return ""
    scale = math.log10 if log else float
    left, right = _ends([scale(p.x) for p in points])
    low, high = _ends([p.lost for p in points])
    place = {
        p.name: (
            LEFT + WIDTH * (scale(p.x) - left) / (right - left),
            TOP + HEIGHT * (p.lost - low) / (high - low),
        )
        for p in points
    }
    best = front(points, higher=higher)
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in (place[p.name] for p in best))
    marks = [f'<path d="M{line}" fill="none" stroke="#94a3b8" stroke-dasharray="4 3"/>']
    for p in points:
        x, y = place[p.name]
        edge = ' stroke="#0f172a" stroke-width="1.5"' if p in best else ""
        text = escape(f"{p.name}: {p.x:.3g}, {p.lost:.2g} points lost")
        marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{p.color}"{edge}><title>{text}</title></circle>')
    marks += _labels([*best, *(p for p in points if p not in best)], place)
    ends = [10**left, 10**right] if log else [left, right]
    caption = (
        f"Points of accuracy lost to the black box (up is better) against {title}"
        f" ({'higher' if higher else 'lower'} is better). Dashed: no checkpoint is better in both; tasks differ."
    )
    return (
        f'<figure><svg width="{LEFT + WIDTH + 10}" height="{TOP + HEIGHT + 22}" role="img"'
        f' aria-label="{escape(caption)}" font-size="{SIZE}">{_axes(ends, (low, high))}{"".join(marks)}</svg>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _axes(ends: Sequence[float], lost: tuple[float, float]) -> str:
    bottom = TOP + HEIGHT
    return (
        f'<path d="M{LEFT} {TOP}V{bottom}H{LEFT + WIDTH}" fill="none" stroke="#64748b"/>'
        f'<text x="{LEFT}" y="{bottom + 14}">{ends[0]:.3g}</text>'
        f'<text x="{LEFT + WIDTH}" y="{bottom + 14}" text-anchor="end">{ends[1]:.3g}</text>'
        f'<text x="{LEFT - 4}" y="{TOP + 8}" text-anchor="end">{lost[0]:.2g}</text>'
        f'<text x="{LEFT - 4}" y="{bottom}" text-anchor="end">{lost[1]:.2g}</text>'
    )


def _labels(points: Sequence[Point], place: dict[str, tuple[float, float]]) -> list[str]:
    """Return the names of the points that have room, the first ones first: right of the point, or left of it."""
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in place.values()]
    texts = []
    for p in points:
        x, y = place[p.name]
        width = LETTER * len(p.name)
        for start, anchor in ((x + 7, "start"), (x - 7 - width, "end")):
            box = (start, y - SIZE / 2, start + width, y + SIZE / 2)
            inside = box[0] > LEFT and box[2] < LEFT + WIDTH + 8
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                at = x + 7 if anchor == "start" else x - 7
                texts.append(f'<text x="{at:.1f}" y="{y + 3:.1f}" text-anchor="{anchor}">{escape(p.name)}</text>')
                break
    return texts


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _ends(values: Sequence[float]) -> tuple[float, float]:
    margin = 0.05 * (max(values) - min(values)) or 1.0
    return min(values) - margin, max(values) + margin
