"""One explanation of a text as one picture, for a card or a paper: its end, marked by each of the strongest units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.font_manager import FontProperties, findfont
from PIL import Image, ImageDraw, ImageFont

from zoo.explanation import Explanation
from zoo.reporting.glossary import visible
from zoo.reporting.token_spans import Span, spans

LETTERS, LINE, EDGE = 78, 26, 14  # letters in a line; pixels of a line and of the margin
INK, QUIET, FOR, AGAINST = (28, 32, 36), (91, 100, 109), (0, 170, 135), (235, 110, 20)


def text_figure(
    explanation: Explanation,
    i: int,
    pieces: Sequence[str],
    *,
    class_names: Sequence[str],
    notes: Mapping[int, str] | None = None,
    count: int = 3,
) -> Image.Image:
    """Draw input ``i`` of an explanation.

    Args:
        explanation: of several contexts.
        i: which of them.
        pieces: the texts of its tokens.
        class_names: c names.
        notes: a few words on units, by id.
        count: how many units to draw.

    Returns:
        What comes next; for each unit what it adds, what is known of it, and where in the text it is on; then the sum.
    """
    told = explanation.detach().to("cpu")
    target, logit = int(told.target[i]), float(told.logits[i, told.target[i]])
    shown = [(slot, u) for slot, u in enumerate(told.shown[i].tolist()) if u >= 0][:count]
    pieces = [piece.replace("\n", " ") for piece in pieces]
    lines: list[list[Span] | str] = [_end(spans(pieces)), f"What comes next: “{visible(class_names[target])}”"]
    for slot, u in shown:
        note = f", {notes[u]}" if notes and u in notes else ""
        lines += ["", f"{float(told.contribution[i, u]):+.2f}  {told.units.names[u]}{note}"]
        if told.where is not None:
            lines.append(_end(spans(pieces, told.where[i, slot])))
    rest = logit - sum(float(told.contribution[i, u]) for _, u in shown)
    lines += ["", f"{rest:+.2f}  all else", f"={logit:6.2f}"]
    return _drawn(lines)


def _end(text: Sequence[Span]) -> list[Span]:
    """The last letters of a text, as many as fit in a line."""
    found, room = [], LETTERS
    for span in reversed(text):
        cut = span.text[-room:] if room > 0 else ""
        room -= len(cut)
        if cut:
            found.append(Span(cut, span.level, span.side, span.amount))
    return found[::-1]


def _drawn(lines: Sequence[list[Span] | str]) -> Image.Image:
    fonts = (
        findfont(FontProperties(family=[name])) for name in ("DejaVu Sans Mono", "DejaVu Sans")
    )  # matplotlib's own
    mono, plain = (ImageFont.truetype(file, 16) for file in fonts)
    step = mono.getlength("m")
    width = max([LETTERS * step, *(plain.getlength(line) for line in lines if isinstance(line, str))])
    sheet = Image.new("RGB", (round(width) + 2 * EDGE, LINE * len(lines) + 2 * EDGE), "white")
    pen = ImageDraw.Draw(sheet)
    for row, line in enumerate(lines):
        x, y = float(EDGE), EDGE + row * LINE
        if isinstance(line, str):
            pen.text((x, y), line, fill=INK, font=plain)
            continue
        for span in line:
            end = x + step * len(span.text)
            if span.level:
                full = FOR if span.side == "for" else AGAINST
                colour = tuple(round(255 + 0.62 * span.level * (c - 255)) for c in full)
                pen.rectangle((x, y, end, y + LINE - 5), fill=colour)
            pen.text((x, y), span.text, fill=INK if span.level else QUIET, font=mono)
            x = end
    return sheet
