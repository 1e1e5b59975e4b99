"""The bars of the shown units of an input, and how their contributions add up to the logit."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup
from torch import Tensor

from zoo.explanation import Explanation
from zoo.registry import register
from zoo.reporting import heatmap
from zoo.reporting.album import Album
from zoo.reporting.bars import Bar, draw_bars
from zoo.reporting.context import PageContext
from zoo.reporting.numbers import input_digits, short_number, show, whole
from zoo.reporting.panel import Panel
from zoo.reporting.shares import adds_little
from zoo.reporting.token_spans import Span, spans

UNFOLDED = 3  # units of an input that are shown unfolded where a page has several inputs


@dataclass(frozen=True)
class Row:
    """One shown unit: its name, its contribution, the pictures or the marked text that exist, and a note on it."""

    name: str
    owner: str | None
    strength: str
    amount: str
    bar: Bar
    evidence: Markup | None
    patch: Markup | None
    origin: Markup | None
    caption: str | None
    template: bool
    note: str | None
    text: list[Span] | None
    source_text: list[Span] | None


@dataclass(frozen=True)
class Case:
    """The shown units for one class, then ``(label, amount)`` lines that sum to the total as printed.

    The first ``unfolded`` units add more than next to nothing.
    """

    target: str
    rows: list[Row]
    lines: list[tuple[str, str]]
    total: str
    adds_up: bool
    unfolded: int


@register
class Contributions(Panel):
    """The shown units for the first explained class, then, folded, for any other class that is explained."""

    order = 20
    region = "input"

    def render(self, context: PageContext) -> str:
        """Return units and sums.

        Raises:
            ValueError: if an explanation is not finite.
        """
        i = context.input_index
        by_target = {int(e.target[i]): e for e in reversed(context.explanations)}
        first = int(context.explanation.target[i])
        digits = input_digits(context.explanations, i)
        cases = [case(context, by_target[c], digits) for c in (first, *(c for c in by_target if c != first))]
        return self.fill(
            cases=cases,
            answer=context.answers[i].target,
            quantity=context.quantity,
            noun=context.noun,
            signed=context.vocabulary.signed,
            has_units=len(context.vocabulary) > 0,
            method=context.explanation.method,
            fold=UNFOLDED if context.count > 1 else None,
            said_before=i > 0,
        )


def case(context: PageContext, explanation: Explanation, digits: int) -> Case:
    """Return the shown units of one explanation of the current input, and their sum.

    Units whose printed contribution is 0 are not listed, but counted among the others.

    Args:
        context: of one input.
        explanation: one of ``context.explanations``.
        digits: digits after the point.

    Raises:
        ValueError: if the explanation is not finite.
    """
    i = context.input_index
    noun, target = context.noun, int(explanation.target[i])
    contribution = explanation.contribution[i].double()
    if not bool(contribution.isfinite().all()):
        raise ValueError(f"Explanation of input {i} is not finite; a page needs finite logits, contributions and base")
    ids = [(slot, u) for slot, u in enumerate(explanation.shown[i].tolist()) if u >= 0]
    slots = [(slot, u) for slot, u in ids if whole(contribution[u].item(), digits)]
    slots = slots[: UNFOLDED if context.brief else None]
    shown = [contribution[u].item() for _, u in slots]
    others = contribution.sum().item() - sum(shown)
    base, logit = explanation.base[i].item(), explanation.logits[i, target].item()
    if not math.isfinite(sum(shown) + others + base + logit):
        raise ValueError(f"Explanation of input {i} is not finite; a page needs finite logits, contributions and base")

    rest = len(explanation.units) - len(slots)
    amounts = [whole(v, digits) for v in shown]
    lines: list[tuple[str, int]] = []
    if slots:
        lines.append((f"{len(slots)} {noun.one if len(slots) == 1 else noun.many} listed above", sum(amounts)))
    if rest:
        lines.append((f"{rest} other {noun.one if rest == 1 else noun.many}", whole(others, digits)))
    lines.append((context.starting_value, whole(base, digits)))
    total = whole(logit, digits)
    gap = total - sum(amount for _, amount in lines)
    exact = abs(sum(shown) + others + base - logit) < 10**-digits
    if gap:
        lines.append(("rounding of the numbers above" if exact else "not captured by this sum", gap))

    rows = [
        _row(context, explanation, slot, u, show(amount, digits, sign=True), bar)
        for (slot, u), amount, bar in zip(slots, amounts, draw_bars(shown), strict=True)
    ]
    return Case(
        target=context.class_names[target],
        rows=rows,
        lines=[(label, show(amount, digits, sign=True)) for label, amount in lines],
        total=show(total, digits),
        adds_up=explanation.method == "exact" and exact,
        unfolded=max(1, adds_little(shown, float(contribution.abs().sum())).count(False)),
    )


def _row(context: PageContext, explanation: Explanation, slot: int, unit: int, amount: str, bar: Bar) -> Row:
    """Return the row of the unit in one slot of ``shown``."""
    i = context.input_index
    units, where = explanation.units, explanation.where
    source = context.sources.get(unit)
    owner = -1 if units.owner is None else int(units.owner[unit])
    evidence = text = origin = patch = None
    name, album = units.names[unit], context.album
    written = context.source_texts[i].get(unit) if context.source_texts else None
    if where is not None and context.pictures is not None:
        evidence = evidence_drawing(album, where[i, slot], context.pictures[i], name, signed=units.signed)
    if where is not None and where.ndim == 3 and context.tokens is not None:
        text = spans(context.tokens[i], where[i, slot])
    if source is not None:
        what = "Template" if source.is_template else "Training sample"
        origin = album.picture(source.picture, f"{what} of {name}", frame=source.box)
    if source is not None and source.box is not None:
        patch = album.picture(source.picture, f"Source patch of {name}", box=source.box)
    return Row(
        name=name,
        owner=context.class_names[owner] if owner >= 0 and context.class_names[owner] not in name else None,
        strength=(context.strength_words[i].get(unit) if context.strength_words else None)
        or strength_text(explanation.strength[i, unit].item(), binary=units.binary),
        amount=amount,
        bar=bar,
        evidence=evidence,
        patch=patch,
        origin=origin,
        caption=source.caption if source else None,
        template=source is not None and source.is_template,
        note=context.notes[i].get(unit) if context.notes else None,
        text=text,
        source_text=None if written is None else spans(written.pieces, written.evidence),
    )


def strength_text(strength: float, *, binary: bool) -> str:
    """Return the strength of a unit in words; a binary unit is selected or not, and no number has an exponent.

    Example:
        >>> strength_text(1.0, binary=True), strength_text(-0.25, binary=False), strength_text(4e-5, binary=False)
        ('selected', 'strength −0.25', 'strength about 0')
        >>> strength_text(12345678.0, binary=False)
        'strength 12345678'
    """
    if binary and strength in (0, 1):
        return "selected" if strength else "not selected"
    return f"strength {short_number(strength)}"


def evidence_drawing(album: Album, evidence: Tensor, picture: Tensor, name: str, *, signed: bool) -> Markup | None:
    """Return the picture under a heat map with a frame, or under two colors; None if evidence is no plane."""
    if evidence.ndim != 2:
        return None
    frame = None if signed else heatmap.box(evidence, (picture.shape[-2], picture.shape[-1]))
    label = f"Input, colored where {name} is active"
    return album.picture(picture, label, evidence=evidence, signed=signed, frame=frame)
