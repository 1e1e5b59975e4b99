"""Completeness: do the contributions and the base add up to the logit they explain?

Source: Sundararajan, Taly, Yan, Axiomatic Attribution for Deep Networks, ICML 2017 (the axiom); the gaps are defined
here.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.metrics.base import ANY_TASK, Record, Score, expect
from zoo.registry import register


@register
class Completeness(Score):
    """Gap between a logit z and the sum of its explanation, relative to the logit: abs(z - base - sum c) / abs(z).

    Summed in float64. ``gap``, the headline, is the mean over inputs, ``max`` the largest, ``absolute`` the largest
    before division. A logit near 0 makes its own relative gap, and with it ``gap`` and ``max``, arbitrarily large
    (at exactly 0: 0 if it is matched exactly, infinity otherwise). ``pooled``, the sum of absolute gaps over the sum
    of abs(z), is not affected: where ``gap`` is large and ``pooled`` and ``absolute`` are small, a logit was near 0. An
    explanation with the method "exact" stays below 1e-5 in float32 and 1e-10 in float64 for logits away from 0.

    Example:
        >>> score = Completeness()
        >>> score.update(torch.tensor([2.0]), torch.tensor([0.5]), torch.tensor([[1.0, 0.25]]))
        >>> float(score.compute()["gap"])
        0.125
    """

    title = "Completeness"
    meaning = "gap between a logit and the sum of its explanation, relative to the logit; 0 is exact"
    requires = frozenset({"units"})
    tasks = ANY_TASK
    inputs = {"answer": "finite", "base": "finite", "contribution": "finite"}
    protocol = "zoo-completeness-v1"
    higher_is_better = False
    intervals = {
        "gap": ("", 0, math.inf),
        "pooled": ("", 0, math.inf),
    }
    total: Tensor
    gaps: Tensor
    answers: Tensor
    largest: Tensor
    absolute: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "gaps", "answers"):
            self._sum(name, dtype=torch.float64)
        for name in ("largest", "absolute"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="max")

    def update(self, answer: Tensor, base: Tensor, contribution: Tensor) -> None:
        """Add a batch.

        Args:
            answer: ``(b,)`` the logit explained.
            base: ``(b,)`` the part of it that no unit accounts for.
            contribution: ``(b, u)`` what each unit adds.

        Raises:
            ValueError: if the shapes do not fit or a number is not finite.
        """
        expect("contribution", contribution, None, None)
        expect("answer", answer, len(contribution))
        expect("base", base, len(contribution))
        self._check(answer=answer, base=base, contribution=contribution)
        answer, base, contribution = (x.detach().to(self.device).double() for x in (answer, base, contribution))
        gap = (answer - base - contribution.sum(1)).abs()
        relative = torch.where(gap == 0, 0, gap / answer.abs())
        self._add("total", relative)
        self._add("gaps", gap)
        self._add("answers", answer.abs())
        self._add("samples", torch.ones_like(gap, dtype=torch.int64))
        if len(gap):
            self.largest = torch.maximum(self.largest, relative.max())
            self.absolute = torch.maximum(self.absolute, gap.max())

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record."""
        explanation = record.explanation
        self.update(
            explanation.logits.gather(1, explanation.target[:, None])[:, 0], explanation.base, explanation.contribution
        )

    def compute(self) -> dict[str, Tensor]:
        """The gap and its read-outs; see the class."""
        return {
            "gap": self.total / self.samples,
            "max": self.largest,
            "absolute": self.absolute,
            "pooled": torch.where(self.gaps == 0, 0, self.gaps / self.answers),
            "support": self.samples,
        }
