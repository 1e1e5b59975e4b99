"""Evidence over a text: each token colored by its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

FAINT = 0.02  # share of the strongest evidence below which a token has no color


@dataclass(frozen=True)
class Span:
    """Tokens of one color.

    Attributes:
        text: their text.
        level: strength of the color in 0..1.
        side: ``for`` or ``against``.
        amount: the evidence, formatted.
    """

    text: str
    level: float = 0.0
    side: str = "for"
    amount: str = ""


def spans(pieces: Sequence[str], evidence: Tensor | None = None) -> list[Span]:
    """Return a text as spans, the color of each token scaled to the largest evidence in the text.

    Args:
        pieces: the texts of t tokens.
        evidence: ``(t or more,)``, positive for, negative against; None for no colors.

    Raises:
        ValueError: if there is less evidence than tokens.

    Example:
        >>> import torch
        >>> [span.side for span in spans(["good", "bad"], torch.tensor([1.0, -1.0]))]
        ['for', 'against']
    """
    texts = [piece.replace("\n", "⏎\n").replace("\t", "⇥") for piece in pieces]
    if evidence is None:
        return [Span("".join(texts))]
    if evidence.ndim != 1 or len(evidence) < len(pieces):
        raise ValueError(f"evidence is {tuple(evidence.shape)}; expected one number for each of {len(pieces)} tokens")
    values = evidence[: len(pieces)].double().tolist()
    top = max((abs(v) for v in values), default=0.0) or 1.0
    result: list[Span] = []
    for text, value in zip(texts, values, strict=True):
        level = abs(value) / top
        if level < FAINT and result and result[-1].level == 0:
            result[-1] = Span(result[-1].text + text)
        elif level < FAINT:
            result.append(Span(text))
        else:
            side = "for" if value > 0 else "against"
            result.append(Span(text, round(level**0.7, 3), side, f"{value:.3g}".replace("-", "−")))
    return result
