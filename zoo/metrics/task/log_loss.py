"""Log loss: the negative logarithm of the calibrated probability of what is right.

Source: Good, Rational Decisions, Journal of the Royal Statistical Society B 1952.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.metrics.task._answered import Answered
from zoo.metrics.task._task_score import TaskScore
from zoo.registry import register
from zoo.task import MultiLabel, Task


@register
class LogLoss(TaskScore):
    """Mean negative logarithm of the probability of the true class, or of every known label; in nats.

    The log loss of a model that is nearly always right, with high confidence, is decided by rare wrong answers: where
    the samples have none of them, no interval of an unbounded mean can cover.

    The probabilities are calibrated (``Task.answer``); the cross-entropy of ``accuracy`` is that of the raw logits.

    Example:
        >>> score = LogLoss(2)
        >>> score.update(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
        >>> round(float(score.compute()["log_loss"]), 4)
        0.6931
    """

    title = "Log loss"
    meaning = "mean negative log probability of what is right, calibrated"
    unit = "nats"
    protocol = "log-loss"
    higher_is_better = False
    intervals = {"log_loss": ("", 0, torch.inf)}
    loss: Tensor

    def __init__(self, task: Task | int, names: Sequence[str] = ()) -> None:
        super().__init__(task, names)
        self._sum("loss", self.task.outputs, dtype=torch.float64)

    def _add_answers(self, answered: Answered) -> None:
        tiny = torch.finfo(torch.float64).tiny
        if isinstance(self.task, MultiLabel):
            p = torch.where(answered.truth, answered.probabilities, 1 - answered.probabilities)
            self._add("loss", torch.where(answered.known, -p.clamp_min(tiny).log(), 0.0))
        else:
            p = answered.probabilities.gather(1, answered.y[:, None])
            self._add("loss", -p.clamp_min(tiny).log(), at=answered.y[:, None])

    def compute(self) -> dict[str, Tensor]:
        """Log loss and that of the majority predictor."""
        q, n, known = self.frequencies, self.counts.double(), self.known.double()
        if isinstance(self.task, MultiLabel):
            entropy = -(torch.xlogy(n, q) + torch.xlogy(known - n, 1 - q))
            value, baseline = (self.loss / known)[known > 0].mean(), (entropy / known)[known > 0].mean()
        else:
            value, baseline = self.loss.sum() / self.samples, -torch.xlogy(n, q).sum() / self.samples
        return {"log_loss": value, self.baseline_name: baseline, "support": self.samples}
