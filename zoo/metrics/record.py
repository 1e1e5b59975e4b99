"""The record of a batch: the samples and their explanation, made once and read by every score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from zoo.batch import Batch
from zoo.explanation import Explanation


@dataclass(frozen=True)
class Record:
    """One batch, explained once, as every score reads it.

    Attributes:
        batch: the samples.
        explanation: of the true class.
        gate: ``(b, k)`` bool, whether each shown unit makes a claim on the sample. Padding never does.
        peaks: ``(b, k, 2)`` int64 (x, y) pixel of each shown unit; None without a map or without part annotations.
        hits: ``(b, k, p)`` bool parts around each peak; None where ``peaks`` is None.
        ends: strengths ``(b, u)`` that stand for 0 and for 1 of every concept; None where units are not concepts.
        predicted: ``(b, m)`` predicted concepts as probabilities; None where ``ends`` is None.
        decide: logits ``(..., b, c)`` with strengths set, from mask and value ``(..., b, u)``; None where ``ends`` is
            None.
        uncertainty: ``(b, m)`` variances of the predicted concepts, on the model's own scale; None where the model has
            none beside the probabilities.
        correction: scores ``(b, g)`` of the concept groups by the model's own policy of corrections, from the mask and
            value ``(b, u)`` that are set; None where the model has no policy.
        features: ``(b, d)`` what the units are computed from; None where that is no vector.
        model: the model, for scores that ask it again; offers the contract.
    """

    batch: Batch
    explanation: Explanation
    gate: Tensor
    peaks: Tensor | None = None
    hits: Tensor | None = None
    ends: tuple[Tensor, Tensor] | None = None
    predicted: Tensor | None = None
    decide: Callable[[Tensor, Tensor], Tensor] | None = None
    uncertainty: Tensor | None = None
    correction: Callable[[Tensor, Tensor], Tensor] | None = None
    features: Tensor | None = None
    model: Any = None

    @property
    def located(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``peaks``, ``hits``, and the points ``(b, p, 2)`` and visibility ``(b, p)`` of the batch's parts.

        Raises:
            ValueError: if units or parts have no location.
        """
        points, visible = self.batch.points, self.batch.visible
        if self.peaks is None or self.hits is None or points is None or visible is None:
            raise ValueError("the record has no peaks and parts; expected units with maps and annotated parts")
        return self.peaks, self.hits, points, visible

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images, in pixels."""
        return self.batch.x.shape[-2], self.batch.x.shape[-1]

    @cached_property
    def predicted_contribution(self) -> tuple[Tensor, Tensor]:
        """Contributions ``(b, u)`` to the predicted class, and that class ``(b,)``.

        Inputs whose predicted class is not the one already explained are explained again, once for all scores.
        """
        explanation = self.explanation
        predicted, contribution = explanation.logits.argmax(1), explanation.contribution
        rows = (predicted != explanation.target).nonzero()[:, 0]
        if len(rows):
            again = self.model.explain(self.batch.x[rows], target=predicted[rows], shown=1).contribution.detach()
            contribution = contribution.index_copy(0, rows, again.to(contribution))
        return contribution, predicted
