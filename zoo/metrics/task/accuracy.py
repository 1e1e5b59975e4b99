"""Task accuracy: how good is the model at what it is for?"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from zoo.metrics.base import Record, Score, expect


class Accuracy(Score):
    """Share of inputs whose highest logit is that of the true class, in 0..1, and the mean ``cross_entropy`` in nats.

    Of several equal highest logits the first class counts as the answer.
    """

    protocol = "top1"
    intervals: ClassVar[dict[str, tuple[str, float, float]]] = {"accuracy": ("", 0, 1)}

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
            ValueError: if a shape does not fit or a class is not one of the logits'.
        """
        expect("logits", logits, None, None)
        expect("y", y, len(logits))
        logits, y = logits.detach().to(self.device).double(), y.to(self.device)
        if bool(((y < 0) | (y >= logits.shape[1])).any()):
            raise ValueError(
                f"y holds {int(y.min())} to {int(y.max())}; the logits have classes 0 to {logits.shape[1] - 1}"
            )
        self._add("correct", logits.argmax(1) == y)
        self._add("loss", cross_entropy(logits, y, reduction="none"))
        self._add("samples", torch.ones_like(y))

    def update_from(self, seen: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Count what a suite saw."""
        self.update(seen.explanation.logits, seen.batch.y)

    def compute(self) -> dict[str, Tensor]:
        """Accuracy and cross-entropy."""
        n = self.samples.double()
        return {"accuracy": self.correct / n, "cross_entropy": self.loss / n, "support": self.samples}
