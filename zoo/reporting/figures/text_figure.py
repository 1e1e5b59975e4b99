"""One explanation of a text as one picture: the end of the text, colored by each of the largest units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

from zoo.explanation import Explanation
from zoo.reporting.glossary import visible
from zoo.reporting.token_spans import Span, spans

LETTERS = 78  # in a line
LINE = 26  # pixels
EDGE = 14  # pixels of the margin
INK = (28, 32, 36)
QUIET = (91, 100, 109)
FOR = (0, 170, 135)
AGAINST = (235, 110, 20)


def text_figure(
    explanation: Explanation,
    i: int,
    pieces: Sequence[str],
    *,
    class_names: Sequence[str],
    notes: Mapping[int, str] | None = None,
    count: int = 3,
    labeled: bool = False,
) -> Image.Image:
    """Return a picture of input ``i`` of an explanation.

    Args:
        explanation: of several contexts.
        i: which of them.
        pieces: the texts of its tokens.
        class_names: c names.
        notes: a few words on units, by id.
        count: how many units to draw.
        labeled: whether the class is one of the text, and not its next token.

    Returns:
        The predicted class or token; for each unit its contribution, its note and where in the text it is active;
        then the sum.
    """
    explanation = explanation.detach().to("cpu")
    target, logit = int(explanation.target[i]), float(explanation.logits[i, explanation.target[i]])
    shown = [(slot, u) for slot, u in enumerate(explanation.shown[i].tolist()) if u >= 0][:count]
    pieces = [piece.replace("\n", " ") for piece in pieces]
    answer = f"Predicted class: “{class_names[target]}”" if labeled else ""
    answer = answer or f"Predicted next token: “{visible(class_names[target])}”"
    lines: list[list[Span] | str] = [_end(spans(pieces)), answer]
    for slot, u in shown:
        note = f", {notes[u]}" if notes and u in notes else ""
        lines += ["", f"{float(explanation.contribution[i, u]):+.2f}  {explanation.units.names[u]}{note}"]
        if explanation.where is not None:
            lines.append(_end(spans(pieces, explanation.where[i, slot])))
    rest = logit - sum(float(explanation.contribution[i, u]) for _, u in shown)
    lines += ["", f"{rest:+.2f}  all other units, base", f"={logit:6.2f}"]
    return _drawn(lines)


def _end(text: Sequence[Span]) -> list[Span]:
    """Return the last letters of a text, as many as fit in a line."""
    kept: list[Span] = []
    room = LETTERS
    for span in reversed(text):
        cut = span.text[-room:] if room > 0 else ""
        room -= len(cut)
        if cut:
            kept.append(Span(cut, span.level, span.side, span.amount))
    return kept[::-1]


def _drawn(lines: Sequence[list[Span] | str]) -> Image.Image:
    from matplotlib.font_manager import FontProperties, findfont

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
                color = tuple(round(255 + 0.62 * span.level * (c - 255)) for c in full)
                pen.rectangle((x, y, end, y + LINE - 5), fill=color)
            pen.text((x, y), span.text, fill=INK if span.level else QUIET, font=mono)
            x = end
    return sheet
