"""The base class of scores of numbers: sums of errors, and those of the mean predictor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from zoo.metrics.base import Record, Score, expect
from zoo.task import Regression, Task


class RegressionScore(Score):
    """A score of predicted numbers with the same score of the mean predictor, the mean of the training split.

    Args:
        task: the regression; None for a mean of 0 and a standard deviation of 1.
        names: of the number.
    """

    inputs = {"logits": "finite", "y": "finite"}
    requires = frozenset({"answers"})
    tasks = frozenset({"regression"})
    baseline_name = "mean predictor"
    squared: Tensor
    absolute: Tensor
    centered: Tensor
    centered_squared: Tensor
    centered_absolute: Tensor

    def __init__(self, task: Task | None = None, names: Sequence[str] = ()) -> None:
        super().__init__()
        self.task = task if isinstance(task, Regression) else Regression()
        self.output_names = tuple(names)
        for name in ("squared", "absolute", "centered", "centered_squared", "centered_absolute"):
            self._sum(name, dtype=torch.float64)

    def update(self, logits: Tensor, y: Tensor) -> None:
        """Add a batch.

        Args:
            logits: ``(b, 1)`` predicted numbers, in units of y.
            y: ``(b,)`` true numbers.

        Raises:
            ValueError: if a shape does not fit or a number is not finite.
        """
        expect("logits", logits, None, 1)
        expect("y", y, len(logits))
        logits, y = logits.detach().to(self.device).double(), y.to(self.device).double()
        self._check(logits=logits, y=y)
        error = logits[:, 0] - y
        from_mean = y - self.task.mean
        self._add("squared", error.square())
        self._add("absolute", error.abs())
        self._add("centered", from_mean)
        self._add("centered_squared", from_mean.square())
        self._add("centered_absolute", from_mean.abs())
        self._add("samples", torch.ones_like(y, dtype=torch.int64))

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record."""
        self.update(record.explanation.logits, record.batch.targets)

    def describe(self, readouts: Mapping[str, float]) -> str:
        """Return the meaning, and the value of the mean predictor."""
        if self.baseline_name not in readouts:
            return self.meaning
        return f"{self.meaning}; {self.baseline_name} {readouts[self.baseline_name]:.4g}"
