"""Shared part of classification and multi-label tasks: calibrated probabilities, abstention, risk and coverage."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor

from zoo.task.base import Answers, Task, check_validation, describe_counts
from zoo.task.risk import RiskCoverage, risk_coverage_of
from zoo.task.threshold import reaches


@dataclass(frozen=True)
class DiscreteTask(Task):
    """A task whose outputs are classes or labels with a probability each.

    Attributes:
        weights: of the classes or labels in the loss; None for equal ones.
        temperature: the logits are divided by it before they become probabilities.
        offset: added to the logits before that, one number for each output, so that a model trained with weights gives
            calibrated probabilities. None for none.
        abstain_below: confidence below which the model abstains; 0 for never.
        counts: training samples of each class, or with each label; None if unknown.
    """

    weights: tuple[float, ...] | None = field(default=None, kw_only=True)
    temperature: float = field(default=1.0, kw_only=True)
    offset: tuple[float, ...] | None = field(default=None, kw_only=True)
    abstain_below: float = field(default=0.0, kw_only=True)
    counts: tuple[int, ...] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        n = self.outputs
        if self.weights is not None and (len(self.weights) != n or not all(0 < w < math.inf for w in self.weights)):
            raise ValueError(f"the weights in the loss are {self.weights}; expected {n} finite numbers above 0")
        if self.offset is not None and (len(self.offset) != n or not all(map(math.isfinite, self.offset))):
            raise ValueError(f"the offsets are {self.offset}; expected {n} finite numbers")
        if self.counts is not None and (len(self.counts) != n or min(self.counts) < 0):
            raise ValueError(f"the counts are {self.counts}; expected {n} numbers, 0 or more")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"the temperature is {self.temperature}; expected a finite number above 0")
        if not 0 <= self.abstain_below <= 1:
            raise ValueError(f"abstain_below is {self.abstain_below}; expected a probability")

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the calibrated probabilities ``(n, c)`` of logits ``(n, c)``."""

    @abstractmethod
    def decide(self, logits: Tensor, probabilities: Tensor) -> Tensor:
        """Return the predicted class ``(n,)`` or labels ``(n, l)`` of logits and probabilities ``(n, c)``."""

    @abstractmethod
    def confidence(self, probabilities: Tensor, prediction: Tensor) -> Tensor:
        """Return the confidence ``(n,)`` in predictions, from the probabilities ``(n, c)``."""

    @abstractmethod
    def errors(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Return the share ``(n,)`` of each prediction that is wrong."""

    @abstractmethod
    def describe_decision(self, names: Sequence[str]) -> list[str]:
        """Return one line for each threshold that was chosen on validation samples."""

    def corrected(self, logits: Tensor) -> Tensor:
        """Return the logits ``(n, c)`` with the offset, which corrects for the weights in the loss."""
        return logits if self.offset is None else logits + logits.new_tensor(self.offset)

    def loss_weights(self, like: Tensor) -> Tensor | None:
        """Return the weights ``(c,)`` of the loss with type and device of a tensor, or None."""
        return None if self.weights is None else torch.tensor(self.weights, dtype=like.dtype, device=like.device)

    def answer(self, logits: Tensor) -> Answers:
        """Return predictions, probabilities and abstentions of logits ``(n, c)``."""
        probabilities = self.probabilities(logits)
        prediction = self.decide(logits, probabilities)
        abstained = None
        if self.abstain_below > 0:
            abstained = ~reaches(self.confidence(probabilities, prediction), self.abstain_below)
        return Answers(prediction, probabilities, abstained)

    def risk_coverage(self, logits: Tensor, y: Tensor) -> RiskCoverage:
        """Return the error rate of the most confident answers as a function of their share.

        Args:
            logits: ``(n, c)``.
            y: ``(n,)`` classes or ``(n, l)`` labels.

        Raises:
            ValueError: if there is no sample, or a logit is not finite.
        """
        self.check(logits, y)
        check_validation(logits)
        logits = logits.detach().double()
        probabilities = self.probabilities(logits)
        prediction = self.decide(logits, probabilities)
        return risk_coverage_of(self.confidence(probabilities, prediction), self.errors(prediction, y))

    def choose_abstention(self, logits: Tensor, y: Tensor, *, max_risk: float) -> Self:
        """Return the task with the confidence of largest coverage whose risk on validation samples is low enough.

        Raises:
            ValueError: if no share of the answers has a risk of at most ``max_risk``.
        """
        return replace(self, abstain_below=self.risk_coverage(logits, y).at_most(max_risk))

    def describe_counts(self, names: Sequence[str], total: int) -> str:
        """Return the training samples of each class or label and their shares of a total."""
        return "" if self.counts is None else describe_counts(self.counts, names, total)

    def describe_fit(self, names: Sequence[str]) -> list[str]:
        """Return lines on what was chosen on validation samples."""
        lines = [f"temperature {self.temperature:.4g}", *self.describe_decision(names)]
        if self.abstain_below:
            lines.append(f"the model abstains below a confidence of {self.abstain_below:.4g}")
        return lines
