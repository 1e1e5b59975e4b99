"""Evidence over a text: each token under a colour as strong as its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

FAINT = 0.02  # share of the strongest evidence below which a token has no colour


@dataclass(frozen=True)
class Span:
    """Tokens under one colour: ``level`` in 0..1 says how strong, ``side`` which, ``amount`` the number."""

    text: str
    level: float = 0.0
    side: str = "for"
    amount: str = ""


def spans(pieces: Sequence[str], evidence: Tensor | None = None) -> list[Span]:
    """A text as spans, the colour of each token scaled to the strongest evidence in the text.

    Args:
        pieces: the texts of t tokens.
        evidence: ``(t or more,)``, positive for, negative against; None for no colours.

    Raises:
        ValueError: if there is less evidence than tokens.
    """
    texts = [piece.replace("\n", "⏎\n").replace("\t", "⇥") for piece in pieces]
    if evidence is None:
        return [Span("".join(texts))]
    if evidence.ndim != 1 or len(evidence) < len(pieces):
        raise ValueError(f"evidence is {tuple(evidence.shape)}; expected one number for each of {len(pieces)} tokens")
    values = evidence[: len(pieces)].double().tolist()
    top = max((abs(v) for v in values), default=0.0) or 1.0
    found: list[Span] = []
    for text, value in zip(texts, values, strict=True):
        level = abs(value) / top
        if level < FAINT and found and found[-1].level == 0:
            found[-1] = Span(found[-1].text + text)
        elif level < FAINT:
            found.append(Span(text))
        else:
            side = "for" if value > 0 else "against"
            found.append(Span(text, round(level**0.7, 3), side, f"{value:.3g}".replace("-", "−")))
    return found
