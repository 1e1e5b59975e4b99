"""Task accuracy: how good is the model at what it is for?"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from zoo.metrics._checks import check_classes
from zoo.metrics.base import Record, Score, expect
from zoo.registry import register


@register
class Accuracy(Score):
    """Share of inputs whose highest logit is that of the true class, in 0..1, and the mean ``cross_entropy`` in nats.

    Of several equal highest logits the first class counts as the answer.

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

    def __init__(self) -> None:
        super().__init__()
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
        logits, y = logits.detach().to(self.device).double(), y.to(self.device)
        self._check(logits=logits, y=y)
        check_classes(self._field("y"), y, logits.shape[1])
        self._add("correct", logits.argmax(1) == y)
        self._add("loss", cross_entropy(logits, y, reduction="none"))
        self._add("samples", torch.ones_like(y))

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Count the samples of a record."""
        self.update(record.explanation.logits, record.batch.y)

    def compute(self) -> dict[str, Tensor]:
        """Accuracy and cross-entropy."""
        n = self.samples.double()
        return {"accuracy": self.correct / n, "cross_entropy": self.loss / n, "support": self.samples}
