"""Completeness: do the contributions and the base add up to the answer they explain?"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.metrics.base import Record, Score, expect
from zoo.registry import register


@register
class Completeness(Score):
    """Gap between an answer and the sum of its explanation, relative to the answer: abs(z - base - sum c) / abs(z).

    Summed in float64. ``gap``, the headline, is the mean over inputs, ``max`` the largest, ``absolute`` the largest
    before division. An answer near 0 makes its own relative gap, and with it ``gap`` and ``max``, arbitrarily large
    (at exactly 0: 0 if it is matched exactly, infinity otherwise). ``pooled``, the sum of absolute gaps over the sum
    of abs(z), does not: where ``gap`` is large beside small ``pooled`` and ``absolute``, some answer was near 0. An
    explanation by the promise "exact" stays below 1e-5 in float32 and 1e-10 in float64 for answers away from 0.
    """

    title = "Completeness"
    meaning = "gap between a logit and the sum of its explanation, relative to the logit; 0 is exact"
    requires = frozenset({"units"})
    protocol = "zoo-completeness-v1"
    higher_is_better = False
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
            base: ``(b,)`` what no unit claims.
            contribution: ``(b, u)`` what each unit adds.

        Raises:
            ValueError: if the shapes do not fit.
        """
        expect("contribution", contribution, None, None)
        expect("answer", answer, len(contribution))
        expect("base", base, len(contribution))
        answer, base, contribution = (x.detach().to(self.device).double() for x in (answer, base, contribution))
        gap = (answer - base - contribution.sum(1)).abs()
        relative = torch.where(gap == 0, 0, gap / answer.abs())
        self.total = self.total + relative.sum()
        self.gaps, self.answers = self.gaps + gap.sum(), self.answers + answer.abs().sum()
        self.samples = self.samples + len(gap)
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
