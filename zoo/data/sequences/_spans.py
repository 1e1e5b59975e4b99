"""Spans of tags in the IOB2 scheme: ``B-X`` begins a span of kind X, ``I-X`` goes on with it, ``O`` is outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Spans(NamedTuple):
    """Spans, one entry for each position ``(n,)``: 0 where no span begins.

    Attributes:
        size: positions of the span that begins here.
        kind: its kind, counted from 1.
    """

    size: Tensor
    kind: Tensor


class Found(NamedTuple):
    """Shares of spans: of those given, how many are right; of the true ones, how many are found; their harmonic mean.

    0 where there are none to count.
    """

    precision: float
    recall: float
    f1: float


def as_iob2(tags: Sequence[str]) -> list[str]:
    """The tags of a sequence with ``B-`` at the beginning of every span.

    In IOB1 a span begins with ``I-`` unless one of its kind ends just before it; IOB2 stays as it is.
    """
    before, found = "O", []
    for tag in tags:
        begins = tag.startswith("I-") and before[2:] != tag[2:]
        found.append(f"B-{tag[2:]}" if begins else tag)
        before = tag
    return found


def kinds_of(tags: Sequence[str]) -> list[str]:
    """The kinds that tags speak of, in order."""
    return sorted({tag[2:] for tag in tags if tag != "O"})


def spans(said: Tensor, tags: Sequence[str], first: Tensor) -> Spans:
    """The spans of tagged sequences, strictly: an ``I-X`` that goes on with no span of kind X is outside.

    Args:
        said: ``(n,)`` code of the tag at each position, sequence after sequence.
        tags: what codes mean: ``O``, ``B-X``, ``I-X``; anything else is outside.
        first: ``(n,)`` bool, where a sequence begins.
    """
    names = kinds_of([tag for tag in tags if tag[:2] in ("B-", "I-")])
    kind_of = torch.tensor([names.index(tag[2:]) + 1 if tag[:2] in ("B-", "I-") else 0 for tag in tags])
    kind, inside = kind_of[said], torch.tensor([tag.startswith("I-") for tag in tags])[said]
    begins = (kind > 0) & ~inside
    same = torch.zeros_like(begins)
    same[1:] = kind[1:] == kind[:-1]
    goes_on = inside & same & ~first  # with what stands before, be that a span or not
    run = (~goes_on).long().cumsum(0) - 1
    size = torch.bincount(run, minlength=1)[run] if len(run) else run
    return Spans(size * begins, kind * begins)


def compare(truth: Spans, said: Spans, *, among: Tensor | None = None, kind: int | None = None) -> Found:
    """How well spans are found: one is right if beginning, size and kind are.

    Args:
        truth: the true ones.
        said: those given.
        among: ``(n,)`` bool, the positions whose spans count; None for all.
        kind: the kind that counts; None for all.
    """
    here = torch.ones_like(truth.kind, dtype=torch.bool) if among is None else among
    true, given = (here & (s.kind > 0 if kind is None else s.kind == kind) for s in (truth, said))
    right = int((true & given & (truth.size == said.size) & (truth.kind == said.kind)).sum())
    precision, recall = right / max(1, int(given.sum())), right / max(1, int(true.sum()))
    return Found(precision, recall, 2 * precision * recall / max(precision + recall, 1e-12))


def figures(truth: Spans, said: Spans, begins: Tensor, *, kinds: Sequence[str], room: int) -> dict[str, float]:
    """How well spans are found: all of them, those of each kind, those in sentences of up to ``room`` words.

    Args:
        truth: the true ones.
        said: those given.
        begins: ``(n,)`` bool, where a sentence begins.
        kinds: names of the kinds.
        room: the published figures leave longer sentences out.
    """
    which = begins.long().cumsum(0) - 1
    short = torch.bincount(which)[which] <= room
    every, some = compare(truth, said), compare(truth, said, among=short)
    told = {"precision of spans": every.precision, "recall of spans": every.recall, "F1 of spans": every.f1}
    told |= {f"F1 of {name}": compare(truth, said, kind=i).f1 for i, name in enumerate(kinds, 1)}
    return told | {f"F1 up to {room} words": some.f1, f"sentences up to {room} words": float((begins & short).sum())}
