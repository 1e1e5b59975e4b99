"""What a page says about one input: the contract turned into words, bars, sums and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from zoo.explanation import Explanation, gather
from zoo.reporting import heatmap
from zoo.reporting.glossary import GLOSSARY
from zoo.reporting.numbers import Bar, decimals, percent, show, spread, whole
from zoo.reporting.token_spans import Span, spans
from zoo.reporting.unit_source import Source

RIVALS = 5  # classes whose scores are drawn beside the answer


@dataclass(frozen=True)
class Row:
    """One shown unit: its words, its amount, the pictures or the marked text that exist, and a note on it."""

    name: str
    owner: str | None
    strength: str
    amount: str
    bar: Bar
    here: str | None
    piece: str | None
    origin: str | None
    caption: str | None
    portrait: bool
    note: str | None
    text: list[Span] | None = None


@dataclass(frozen=True)
class Why:
    """The case for one class: the shown units, then ``(label, amount)`` lines that sum to the total as printed."""

    target: str
    rows: list[Row]
    lines: list[tuple[str, str]]
    total: str
    adds_up: bool


@dataclass(frozen=True)
class Rival:
    """One class beside the others."""

    name: str
    logit: str
    chance: str
    bar: Bar


@dataclass(frozen=True)
class Card:
    """Everything a page says about one input; ``right`` is None where the truth is unknown."""

    number: int
    picture: str | None
    thumb: str | None
    answer: str
    chance: str
    truth: str | None
    right: bool | None
    cases: list[Why]
    rivals: list[Rival]
    details: Sequence[tuple[str, str]]
    text: list[Span] | None = None
    trace: Sequence[tuple[str, Sequence[str]]] = ()
    sums: Sequence[tuple[str, Sequence[str]]] = ()


def card(
    i: int,
    explanations: Sequence[Explanation],
    *,
    pictures: Tensor | None,
    class_names: Sequence[str],
    truth: Tensor | None,
    sources: Mapping[int, Source],
    notes: Sequence[Mapping[int, str]] = (),
    details: Sequence[Sequence[tuple[str, str]]] = (),
    tokens: Sequence[Sequence[str]] = (),
    traces: Sequence[Sequence[tuple[str, Sequence[str]]]] = (),
    sums: Sequence[Sequence[tuple[str, Sequence[float]]]] = (),
) -> Card:
    """The card of input ``i``; a second explanation of the same class is left out.

    Args:
        i: which of the b inputs.
        explanations: the main explanation, then any others of the same inputs.
        pictures: ``(b, 3, s, s)`` in 0..1.
        class_names: c names.
        truth: ``(b,)`` true classes.
        sources: where units came from, by unit id.
        notes: for each input, a few words on some of its units, by unit id.
        details: for each input that is a row of a table, names and values.
        tokens: for each input that is a text, the texts of its tokens.
        traces: for each input what was computed on the way: names and values along it.
        sums: for each input what each unit adds to each class, the last row the sum.
    """
    logits = explanations[0].logits[i].double()
    answer = int(logits.argmax())
    picture = None if pictures is None else pictures[i]
    cases = {int(e.target[i]): e for e in reversed(explanations)}
    first = int(explanations[0].target[i])
    order = [first, *(c for c in cases if c != first)]
    chances = [percent(p) for p in logits.softmax(0).tolist()]
    top: list[int] = logits.topk(min(RIVALS, len(logits))).indices.tolist()
    largest = [
        float(gather(e.contribution[i : i + 1], e.shown[i : i + 1]).abs().amax())
        for e in explanations
        if e.shown.numel()
    ]
    digits = max(decimals(logits[top].tolist()), decimals(largest))
    bars = spread(logits[top].tolist())
    return Card(
        number=i + 1,
        picture=picture if picture is None else heatmap.data_uri(heatmap.image(picture, side=256)),
        thumb=picture if picture is None else heatmap.data_uri(heatmap.image(picture, side=64)),
        answer=class_names[answer],
        chance=chances[answer],
        truth=None if truth is None else class_names[int(truth[i])],
        right=None if truth is None else int(truth[i]) == answer,
        cases=[
            why(
                i,
                cases[c],
                picture=picture,
                class_names=class_names,
                sources=sources,
                digits=digits,
                notes=notes[i] if notes else {},
                tokens=tokens[i] if tokens else None,
            )
            for c in order
        ],
        rivals=[
            Rival(class_names[c], show(whole(logits[c].item(), digits), digits), chances[c], bar)
            for c, bar in zip(top, bars, strict=True)
        ],
        details=details[i] if details else (),
        text=spans(tokens[i]) if tokens else None,
        trace=traces[i] if traces else (),
        sums=[("", class_names), *((n, [f"{v:+.3f}" for v in row]) for n, row in sums[i])] if sums else (),
    )


def why(
    i: int,
    told: Explanation,
    *,
    picture: Tensor | None,
    class_names: Sequence[str],
    sources: Mapping[int, Source],
    digits: int,
    notes: Mapping[int, str],
    tokens: Sequence[str] | None = None,
) -> Why:
    """The case that one explanation makes for the class it explains, for input ``i``."""
    word, target = GLOSSARY[told.units.kind], int(told.target[i])
    slots: list[tuple[int, int]] = [(slot, u) for slot, u in enumerate(told.shown[i].tolist()) if u >= 0]
    given = told.contribution[i].double()
    shown = [given[u].item() for _, u in slots]
    others, base, logit = given.sum().item() - sum(shown), told.base[i].item(), told.logits[i, target].item()
    if not math.isfinite(sum(shown) + others + base + logit):
        raise ValueError(f"Explanation of input {i} is not finite; a page needs finite logits, contributions and base")

    bars, rest = spread(shown), len(told.units) - len(slots)
    amounts = [whole(v, digits) for v in shown]
    lines = [(f"{len(slots)} {word.one if len(slots) == 1 else word.many} listed above", sum(amounts))] * bool(slots)
    lines += [(f"{rest} other {word.one if rest == 1 else word.many}", whole(others, digits))] * bool(rest)
    start = f"starting value, owed to no {word.one}" if len(told.units) else "all of it, unexplained"
    lines += [(start, whole(base, digits))]
    total = whole(logit, digits)
    gap = total - sum(amount for _, amount in lines)
    rounding = abs(sum(shown) + others + base - logit) < 10**-digits
    lines += [("rounding of the numbers above" if rounding else "what this sum does not capture", gap)] * bool(gap)

    rows = []
    for (slot, u), amount, bar in zip(slots, amounts, bars, strict=True):
        source, owner = sources.get(u), -1 if told.units.owner is None else int(told.units.owner[u])
        piece = source and source.cutout()
        rows.append(
            Row(
                name=told.units.names[u],
                owner=class_names[owner] if owner >= 0 else None,
                strength=present(told.strength[i, u].item(), told.units.kind),
                amount=show(amount, digits, sign=True),
                bar=bar,
                here=place(told.where[i, slot], picture, signed=word.signed)
                if told.where is not None and picture is not None
                else None,
                piece=piece and heatmap.data_uri(piece),
                origin=source and heatmap.data_uri(source.whole()),
                caption=source and source.caption,
                portrait=source is not None and source.portrait,
                note=notes.get(u),
                text=spans(tokens, told.where[i, slot])
                if tokens is not None and told.where is not None and told.where.ndim == 3
                else None,
            )
        )
    signed = [(label, show(amount, digits, sign=True)) for label, amount in lines]
    return Why(class_names[target], rows, signed, show(total, digits), told.method == "exact" and rounding)


def present(strength: float, kind: str) -> str:
    """How present a unit is, in words: a code is there or not."""
    if kind == "code" and strength in (0, 1):
        return "picked" if strength else "not picked"
    return f"strength {strength:.3g}".replace("-", "−")


def place(evidence: Tensor, picture: Tensor, *, signed: bool) -> str | None:
    """The picture under heat, its strongest part framed, or under two colours; None if evidence is no plane."""
    if evidence.ndim != 2:
        return None
    if signed:
        return heatmap.data_uri(heatmap.signed(evidence, picture))
    frame = heatmap.box(evidence, (picture.shape[-2], picture.shape[-1]))
    return heatmap.data_uri(heatmap.overlay(picture, evidence, frame=frame))
