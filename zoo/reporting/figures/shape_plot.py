"""Shape functions of additive terms laid out for drawings: steps with bands and density, bars of labels, heat maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from zoo.reporting import heatmap
from zoo.reporting.chart import COLORS

if TYPE_CHECKING:
    from zoo.layers.additive import ColumnBins, Term

WIDTH = 300  # pixels of the value axis of a step curve
HEIGHT = 120  # pixels of its score axis
STRIP = 26  # pixels of the density below it
EDGE = 34  # pixels for the missing and the unknown bin beside it
MAX_LABELS = 12  # bars of a category
MAX_TERMS = 40  # drawings of a page
HEAVY_TAIL = 4.0  # times the range of the middle 96 % of the rows: then the axis is not to scale
MAX_TICK_TEXT = 34  # characters of all ticks together; of longer ones only the ends are written
DENSITY_BARS = 40
BinText = Callable[["ColumnBins", int], str]
ValueText = Callable[[str, float], str]
BAND = 2.0  # standard deviations


@dataclass(frozen=True)
class Bar:
    """A label with a score: where its bar lies on ``WIDTH`` pixels, its thickness by rows, its band, and words."""

    label: str
    left: float
    width: float
    thickness: float
    low: float
    high: float
    color: str
    words: str


@dataclass(frozen=True)
class Curve:
    """A step curve: path, path of its band, whether it is the only one, color and name."""

    path: str
    band: str
    color: str
    name: str


@dataclass(frozen=True)
class ShapePlot:
    """One term as drawn. ``kind`` is steps, bars or map; the fields of other kinds are empty.

    Attributes:
        name: of the term.
        kind: of the drawing.
        note: importance and what the axis shows.
        curves: of a number, one for each score.
        density: bars ``(x, width, height)`` of training rows along the axis.
        x_ticks: ``(x, label)``.
        y_ticks: ``(y, label)``.
        zero: height of the score 0.
        bars: of a category; of a number, its missing bin.
        picture: of a pair, a ``data:`` URI.
        axes: names of the two columns of a pair, each with its lowest and highest bin.
    """

    name: str
    kind: str
    note: str
    curves: Sequence[Curve] = ()
    density: Sequence[tuple[float, float, float]] = ()
    x_ticks: Sequence[tuple[float, str]] = ()
    y_ticks: Sequence[tuple[float, str]] = ()
    zero: float = 0.0
    bars: Sequence[Bar] = ()
    picture: str = ""
    axes: Sequence[tuple[str, str, str]] = ()


def shape_plots(
    terms: Sequence[Term],
    names: Sequence[str],
    text: BinText,
    value_text: ValueText,
    *,
    limit: int = MAX_TERMS,
) -> list[ShapePlot]:
    """Return the drawings of the most important terms, most important first.

    Args:
        terms: of a model.
        names: of the scores; empty for one score without a name.
        text: a bin in words.
        value_text: a number of a column, by its name, as people write it.
        limit: number of drawings.
    """
    importance = [float(term.importance()[0].mean()) for term in terms]
    order = sorted(range(len(terms)), key=lambda i: -importance[i])[:limit]
    plots = []
    for i in order:
        note = f"mean absolute contribution {importance[i]:.3g}"
        term = terms[i]
        if len(term.bins) == 2:
            plots += [_map(term, k, names, note, text) for k in range(term.table.shape[-1])]
        elif term.bins[0].kind == "number":
            plots.append(_steps(term, names, note, value_text))
        else:
            plots += [_bars(term, k, names, note, text) for k in range(term.table.shape[-1])]
    return plots


def _steps(term: Term, names: Sequence[str], note: str, value_text: ValueText) -> ShapePlot:
    axis = term.bins[0]
    edges, ticks, to_scale = _axis(axis, value_text)
    inner, counts = term.table[1:-1], term.counts[1:-1]
    spread = np.zeros_like(inner) if term.bands is None else BAND * term.bands[1:-1]
    single = inner.shape[1] == 1
    reach = spread if single else np.zeros_like(inner)
    missing = term.counts[0] > 0
    values = [inner - reach, inner + reach, np.zeros((1, 1)), *([term.table[:1]] if missing else [])]
    low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    high = high if high - low > 1e-9 else low + 1.0

    def up(value: float) -> float:
        return HEIGHT * (high - value) / (high - low)

    curves = []
    for k in range(inner.shape[1]):
        path = "M" + " L".join(_points(edges, [up(float(v)) for v in inner[:, k]]))
        band = ""
        if single and spread.any():
            upper = _points(edges, [up(float(v)) for v in (inner + spread)[:, k]])
            lower = _points(edges, [up(float(v)) for v in (inner - spread)[:, k]])
            band = "M" + " L".join([*upper, *reversed(lower)]) + " Z"
        name = names[k] if not single and k < len(names) else ""
        curves.append(Curve(path, band, COLORS[k % len(COLORS)], name))
    below = np.interp(np.linspace(0, WIDTH, DENSITY_BARS + 1), edges, np.concatenate([[0.0], np.cumsum(counts)]))
    rows = np.diff(below)
    heights = STRIP * rows / max(float(rows.max()), 1e-300)
    width = WIDTH / DENSITY_BARS
    strip = [(j * width, width, float(height)) for j, height in enumerate(heights) if height > 0]
    bars = [
        Bar("missing", 0.0, 0.0, 0.0, up(float(v)), 0.0, COLORS[k % len(COLORS)], f"missing: {float(v):+.3g}")
        for k, v in enumerate(term.table[0])
        if missing
    ]
    note += "" if to_scale else "; axis by rank and value, not to scale"
    y_ticks = [(up(v), f"{v:.2g}".replace("-", "−")) for v in (low, high)]
    return ShapePlot(term.name, "steps", note, curves, strip, ticks, y_ticks, up(0.0), bars)


def _points(edges: np.ndarray, heights: Sequence[float]) -> list[str]:
    return [f"{edges[j + n]:.1f},{height:.1f}" for j, height in enumerate(heights) for n in (0, 1)]


def _axis(axis: ColumnBins, value_text: ValueText) -> tuple[np.ndarray, list[tuple[float, str]], bool]:
    """Return the pixels of the edges of the value bins, ticks, and whether the axis is to scale."""
    ends = np.array([axis.minimum, *axis.cuts, axis.maximum])
    ends = np.maximum.accumulate(np.minimum(ends, max(axis.maximum, ends[-2] if len(ends) > 2 else axis.maximum)))
    counts = axis.counts[1:-1]
    rank = (np.cumsum(counts) - counts / 2) / max(float(counts.sum()), 1e-300)
    center = ends[:-1] / 2 + ends[1:] / 2
    low, high = np.interp([0.02, 0.98], rank, center) if len(center) > 1 else (ends[0], ends[-1])
    span = ends[-1] - ends[0]
    to_scale = not span > HEAVY_TAIL * max(high - low, 1e-300)
    if to_scale:
        share = (ends - ends[0]) / span if span > 0 else np.linspace(0, 1, len(ends))
    else:
        middle = (axis.positions[:-1] + axis.positions[1:]) / 2 if len(axis.positions) > 1 else np.zeros(0)
        share = np.concatenate([[0.0], middle, [1.0]])
    pixels = share * WIDTH
    chosen = np.unique([int(np.abs(share - at).argmin()) for at in (0, 0.25, 0.5, 0.75, 1)])
    labels = [value_text(axis.name, float(ends[j])) for j in chosen]
    if sum(map(len, labels)) > MAX_TICK_TEXT:
        chosen, labels = chosen[[0, -1]], [labels[0], labels[-1]]
    return pixels, [(float(pixels[j]), label) for j, label in zip(chosen, labels, strict=True)], to_scale


def _bars(term: Term, k: int, names: Sequence[str], note: str, text: BinText) -> ShapePlot:
    axis = term.bins[0]
    codes = [code for code in range(axis.size) if term.counts[code] > 0]
    kept = sorted(codes, key=lambda code: -term.counts[code])[:MAX_LABELS]
    if axis.kind != "ordinal":
        kept.sort(key=lambda code: -term.table[code, k])
    else:
        kept.sort()
    spread = np.zeros(axis.size) if term.bands is None else BAND * term.bands[:, k]
    values = term.table[:, k]
    low = min(0.0, *(float(values[c] - spread[c]) for c in kept)) if kept else 0.0
    high = max(0.0, *(float(values[c] + spread[c]) for c in kept)) if kept else 0.0
    scale = WIDTH / max(high - low, 1e-9)
    total = max(float(term.counts.sum()), 1e-300)
    bars = []
    for code in kept:
        value, share = float(values[code]), float(term.counts[code]) / total
        left = (min(value, 0.0) - low) * scale
        bars.append(
            Bar(
                text(axis, code),
                left,
                max(abs(value) * scale, 1.0),
                3 + 11 * share**0.5,
                (value - float(spread[code]) - low) * scale,
                (value + float(spread[code]) - low) * scale,
                COLORS[0] if value >= 0 else COLORS[1],
                f"{value:+.3g} ({100 * share:.3g} % of the rows)".replace("-", "−"),
            )
        )
    if len(codes) > len(kept):
        note += f"; {len(codes) - len(kept)} rarer values are not drawn"
    name = term.name if len(names) == 0 or term.table.shape[-1] == 1 else f"{term.name} ({names[k]})"
    return ShapePlot(name, "bars", note, bars=bars, zero=-low * scale)


def _map(term: Term, k: int, names: Sequence[str], note: str, text: BinText) -> ShapePlot:
    seen = [np.flatnonzero(term.counts.sum(1 - n) > 0) for n in range(2)]
    table = term.table[np.ix_(seen[0], seen[1])][..., k]
    counts = term.counts[np.ix_(seen[0], seen[1])]
    drawn = torch.from_numpy(np.where(counts > 0, table, 0.0)[::-1].copy())
    axes = [
        (bins.name, text(bins, int(codes[0])), text(bins, int(codes[-1])))
        for bins, codes in zip(term.bins, seen, strict=True)
    ]
    reach = float(np.abs(np.where(counts > 0, table, 0.0)).max())
    note += f"; from −{reach:.2g} (orange) to +{reach:.2g} (green); white where no training row fell"
    name = term.name if len(names) == 0 or term.table.shape[-1] == 1 else f"{term.name} ({names[k]})"
    picture = heatmap.data_uri(heatmap.signed(drawn, side=160)) if drawn.numel() else ""
    return ShapePlot(name, "map", note, picture=picture, axes=axes)
