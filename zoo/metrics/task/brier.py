"""Brier score: the mean squared error of calibrated probabilities.

Source: Brier, Verification of Forecasts Expressed in Terms of Probability, Monthly Weather Review 1950.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.metrics.task._answered import Answered
from zoo.metrics.task._task_score import TaskScore
from zoo.registry import register
from zoo.task import Task


@register
class Brier(TaskScore):
    """Mean squared difference of the probability and 0 or 1.

    Of two classes it is that of the second one (0 to 1), of more classes the sum over all (0 to 2), as in
    scikit-learn's ``brier_score_loss``; of labels the mean over labels.

    Example:
        >>> score = Brier(2)
        >>> score.update(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
        >>> float(score.compute()["brier"])
        0.25
    """

    title = "Brier score"
    meaning = "mean squared error of the calibrated probabilities"
    protocol = "brier1950"
    few_decide = True
    higher_is_better = False
    error: Tensor

    def __init__(self, task: Task | int, names: Sequence[str] = ()) -> None:
        super().__init__(task, names)
        multi = self.task.kind == "classification" and not self.is_binary
        self.intervals = {"brier": ("", 0, 2 if multi else 1)}
        self._sum("error", self.task.outputs, dtype=torch.float64)

    def _add_answers(self, answered: Answered) -> None:
        error = (answered.probabilities - answered.truth.double()).square()
        self._add("error", torch.where(answered.known, error, 0.0))

    def compute(self) -> dict[str, Tensor]:
        """Brier score and that of the majority predictor."""
        q, n, known = self.frequencies, self.counts.double(), self.known.double()
        constant = n * (1 - q).square() + (known - n) * q.square()
        return {"brier": self._mean(self.error), self.baseline_name: self._mean(constant), "support": self.samples}

    def _mean(self, error: Tensor) -> Tensor:
        share = error / self.known
        if self.task.kind == "multilabel":
            return share[self.known > 0].mean()
        return share[1] if self.is_binary else share.sum()
