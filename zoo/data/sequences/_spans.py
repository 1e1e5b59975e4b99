"""Spans of tags in the IOB2 scheme: ``B-X`` begins a span of kind X, ``I-X`` continues it, ``O`` is outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Spans(NamedTuple):
    """Spans as one entry for each position ``(n,)``, 0 where no span begins.

    Attributes:
        size: number of positions of the span that begins here.
        kind: kind of the span, from 1.
    """

    size: Tensor
    kind: Tensor


class SpanScores(NamedTuple):
    """Precision, recall and F1 of spans; 0 where there are no spans."""

    precision: float
    recall: float
    f1: float


def as_iob2(tags: Sequence[str]) -> list[str]:
    """Return the tags of a sequence with ``B-`` at the beginning of every span.

    In IOB1 a span begins with ``I-`` unless one of its kind ends just before it; IOB2 does not change.

    Example:
        >>> as_iob2(["I-PER", "I-PER", "O", "I-LOC"])
        ['B-PER', 'I-PER', 'O', 'B-LOC']
    """
    before = "O"
    converted: list[str] = []
    for tag in tags:
        begins = tag.startswith("I-") and before[2:] != tag[2:]
        converted.append(f"B-{tag[2:]}" if begins else tag)
        before = tag
    return converted


def kinds_of(tags: Sequence[str]) -> list[str]:
    """Return the kinds of tags, sorted."""
    return sorted({tag[2:] for tag in tags if tag != "O"})


def find_spans(codes: Tensor, tags: Sequence[str], first: Tensor) -> Spans:
    """Return the spans of tagged sequences; an ``I-X`` that does not continue a span of kind X is outside.

    Args:
        codes: ``(n,)`` code of the tag at each position of consecutive sequences.
        tags: tag of each code: ``O``, ``B-X``, ``I-X``; anything else is outside.
        first: ``(n,)`` bool, whether a sequence begins.
    """
    names = kinds_of([tag for tag in tags if tag[:2] in ("B-", "I-")])
    kind_of = torch.tensor([names.index(tag[2:]) + 1 if tag[:2] in ("B-", "I-") else 0 for tag in tags])
    kind = kind_of[codes]
    inside = torch.tensor([tag.startswith("I-") for tag in tags])[codes]
    begins = (kind > 0) & ~inside
    same = torch.zeros_like(begins)
    same[1:] = kind[1:] == kind[:-1]
    continues = inside & same & ~first  # the previous position, whether in a span or not
    run = (~continues).long().cumsum(0) - 1
    size = torch.bincount(run, minlength=1)[run] if len(run) else run
    return Spans(size * begins, kind * begins)


def compare(truth: Spans, predicted: Spans, *, among: Tensor | None = None, kind: int | None = None) -> SpanScores:
    """Return scores of predicted spans; a span is correct if its beginning, size and kind are.

    Args:
        truth: true spans.
        predicted: predicted spans.
        among: ``(n,)`` bool, positions whose spans count; None for all.
        kind: the kind that counts; None for all.
    """
    counted = torch.ones_like(truth.kind, dtype=torch.bool) if among is None else among
    true, given = (counted & (s.kind > 0 if kind is None else s.kind == kind) for s in (truth, predicted))
    correct = int((true & given & (truth.size == predicted.size) & (truth.kind == predicted.kind)).sum())
    precision = correct / max(1, int(given.sum()))
    recall = correct / max(1, int(true.sum()))
    return SpanScores(precision, recall, 2 * precision * recall / max(precision + recall, 1e-12))


def span_metrics(
    truth: Spans, predicted: Spans, begins: Tensor, *, kinds: Sequence[str], max_words: int
) -> dict[str, float]:
    """Return scores of all spans, of those of each kind, and of those in sentences of up to ``max_words`` words.

    Args:
        truth: true spans.
        predicted: predicted spans.
        begins: ``(n,)`` bool, whether a sentence begins.
        kinds: names of the kinds.
        max_words: published results leave out longer sentences.
    """
    sentence = begins.long().cumsum(0) - 1
    short = torch.bincount(sentence)[sentence] <= max_words
    total = compare(truth, predicted)
    in_short = compare(truth, predicted, among=short)
    metrics = {"precision of spans": total.precision, "recall of spans": total.recall, "F1 of spans": total.f1}
    metrics |= {f"F1 of {name}": compare(truth, predicted, kind=i).f1 for i, name in enumerate(kinds, 1)}
    metrics[f"F1 up to {max_words} words"] = in_short.f1
    metrics[f"sentences up to {max_words} words"] = float((begins & short).sum())
    return metrics
