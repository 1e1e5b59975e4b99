"""Task accuracy: how good is the model at what it is for?

Source: standard definition; ties as in ``argmax``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from zoo.metrics._value_checks import check_classes
from zoo.metrics.base import Record, Score, expect
from zoo.registry import register
from zoo.task import Classification, Task


@register
class Accuracy(Score):
    """Share of inputs whose highest logit is that of the true class, in 0..1, and the mean ``cross_entropy`` in nats.

    Of several equal highest logits the first class counts as the answer; a task with a threshold decides by that.

    Args:
        task: what the model answers, for its threshold and the majority predictor; None for neither.

    Example:
        >>> score = Accuracy()
        >>> score.update(torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1, 1, 1]))
        >>> float(score.compute()["accuracy"])
        0.5
    """

    title = "Accuracy"
    meaning = "share of inputs whose predicted class is the true class"
    inputs = {"logits": "finite", "y": "class"}
    protocol = "top1"
    intervals = {"accuracy": ("", 0, 1)}
    correct: Tensor
    loss: Tensor

    majority: Tensor

    def __init__(self, task: Task | None = None) -> None:
        super().__init__()
        self.task = task
        counts = task.counts if isinstance(task, Classification) else None
        self.constant = None if counts is None else max(range(len(counts)), key=lambda k: counts[k])
        self._sum("majority")
        self._sum("correct")
        self._sum("loss", dtype=torch.float64)

    def update(self, logits: Tensor, y: Tensor) -> None:
        """Count a batch.

        Args:
            logits: ``(b, c)``.
            y: ``(b,)`` int64 true class.

        Raises:
            ValueError: if a shape does not fit, a logit is not finite or a class is not one of the logits'.
        """
        expect("logits", logits, None, None)
        expect("y", y, len(logits))
        logits, y = logits.detach().to(self.device), y.to(self.device)
        self._check(logits=logits, y=y)
        check_classes(self._field("y"), y, logits.shape[1])
        highest, answer = logits.max(1)  # the first of equal logits, and faster than argmax
        if isinstance(self.task, Classification) and self.task.threshold is not None:
            answer = self.task.explained(logits.double())
        self._add("correct", answer == y)
        if self.constant is not None:
            self._add("majority", y == self.constant)
        self._add("loss", _cross_entropy(logits, highest, y))
        self._add("samples", torch.ones_like(y))

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Count the samples of a record."""
        self.update(record.explanation.logits, record.batch.targets)

    def compute(self) -> dict[str, Tensor]:
        """Accuracy and cross-entropy."""
        n = self.samples.double()
        majority = {} if self.constant is None else {"majority predictor": self.majority / n}
        return {
            "accuracy": self.correct / n,
            "cross_entropy": self.loss / n,
            **majority,
            "support": self.samples,
        }

    def describe(self, readouts: Mapping[str, float]) -> str:
        """Return the meaning, and the accuracy of always giving the most frequent class of the training split."""
        if "majority predictor" not in readouts:
            return self.meaning
        return f"{self.meaning}; majority predictor {readouts['majority predictor']:.4g}"

    def remark(self, value: float, more: dict[str, float]) -> str:
        """Warn where the most frequent class alone is at least as accurate."""
        if value > more.get("majority predictor", -1.0):
            return ""
        return f"WARNING: always giving the most frequent class has an accuracy of {more['majority predictor']:.4g}"


def _cross_entropy(logits: Tensor, highest: Tensor, y: Tensor) -> Tensor:
    """Return the cross-entropy ``(b,)`` in float64, from logits ``(b, c)`` and the highest of each input ``(b,)``."""
    below = logits.double() - highest.double()[:, None]
    true = below.gather(1, y[:, None])[:, 0]
    return below.exp_().sum(1).log_() - true
