"""Answers of a model beside the truth, as the scores of answers read them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from zoo.task import Answers, Classification, Task


@dataclass(frozen=True)
class Answered:
    """Answers of b inputs, for c classes or labels. What no score reads is not computed.

    Attributes:
        task: what is answered.
        logits: ``(b, c)`` float64.
        y: ``(b,)`` int64 class or ``(b, l)`` labels.
    """

    task: Task
    logits: Tensor
    y: Tensor

    @cached_property
    def _answers(self) -> Answers:
        return self.task.answer(self.logits)

    @property
    def probabilities(self) -> Tensor:
        """Calibrated probabilities ``(b, c)`` float64."""
        assert self._answers.probabilities is not None
        return self._answers.probabilities

    @cached_property
    def predicted(self) -> Tensor:
        """Predicted classes ``(b,)`` int64; of labels ``(b, l)`` bool, false where the truth is unknown."""
        if isinstance(self.task, Classification):
            return self.task.explained(self.logits)
        return self._answers.prediction & self.known

    @cached_property
    def known(self) -> Tensor:
        """Whether the truth is known, ``(b, c)`` bool; classes always are."""
        if isinstance(self.task, Classification):
            return torch.ones_like(self.logits, dtype=torch.bool)
        return ~self.y.isnan()

    @cached_property
    def truth(self) -> Tensor:
        """Whether the class or label is right, ``(b, c)`` bool."""
        if isinstance(self.task, Classification):
            return one_hot(self.y, self.logits.shape[1])
        return (self.y == 1) & self.known

    @cached_property
    def decision(self) -> Tensor:
        """Whether the class or label was predicted, ``(b, c)`` bool."""
        if isinstance(self.task, Classification):
            return one_hot(self.predicted, self.logits.shape[1])
        return self.predicted


def one_hot(y: Tensor, c: int) -> Tensor:
    """Return ``(b, c)`` bool of classes ``(b,)``.

    Example:
        >>> one_hot(torch.tensor([1, 0]), 2).tolist()
        [[False, True], [True, False]]
    """
    return torch.zeros(len(y), c, dtype=torch.bool, device=y.device).scatter_(1, y[:, None], value=True)
