"""Regression: a number; the logit, its contributions and base are in units of y."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from zoo.task.base import Answers, Task
from zoo.task.task_options import TaskOptions

RegressionLoss = Literal["squared", "huber"]


@dataclass(frozen=True)
class Regression(Task):
    """A number. The one logit, its contributions and base are in units of y.

    A head computes standard deviations from the mean; ``scale`` and ``shift`` bring them to units of y.

    Attributes:
        loss_name: ``squared``, or ``huber``, which is linear beyond ``delta`` standard deviations.
        delta: of the Huber loss, in standard deviations of y.
        mean: of y over the training split: the mean predictor.
        std: of y over the training split; the loss is measured in it, so that learning rates do not depend on units.

    >>> Regression(mean=20.0, std=10.0).answer(torch.tensor([[25.0]])).prediction
    tensor([25.])
    """

    loss_name: RegressionLoss = "squared"
    delta: float = 1.0
    mean: float = 0.0
    std: float = 1.0

    kind: ClassVar[str] = "regression"
    metric_names: ClassVar[tuple[str, ...]] = ("r2", "rmse", "mae")
    y_dtype: ClassVar[torch.dtype] = torch.float32

    def __post_init__(self) -> None:
        if self.loss_name not in get_args(RegressionLoss):
            raise ValueError(f"the loss is {self.loss_name!r}; expected one of {', '.join(get_args(RegressionLoss))}")
        if not (math.isfinite(self.delta) and self.delta > 0):
            raise ValueError(f"delta is {self.delta}; expected a number above 0")
        if not (math.isfinite(self.mean) and math.isfinite(self.std) and self.std > 0):
            raise ValueError(f"y has mean {self.mean}, std {self.std}; expected finite numbers, std above 0")

    @property
    def outputs(self) -> int:
        """One."""
        return 1

    @property
    def scale(self) -> float:
        """The standard deviation of y."""
        return self.std

    @property
    def shift(self) -> float:
        """The mean of y."""
        return self.mean

    def losses(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return half the squared error or the Huber loss ``(n,)``, in standard deviations of y."""
        error = (logits[:, 0] - y) / self.std
        if self.loss_name == "squared":
            return error.square() / 2
        return functional.huber_loss(error, torch.zeros_like(error), delta=self.delta, reduction="none")

    def answer(self, logits: Tensor) -> Answers:
        """Return the number."""
        return Answers(logits[:, 0])

    def texts(self, prediction: Tensor, names: Sequence[str]) -> list[str]:
        """Return numbers ``(n,)`` with six significant digits."""
        return [f"{value:.6g}" for value in prediction.tolist()]

    def describe_data(self, names: Sequence[str]) -> str:
        """Return mean and standard deviation of y."""
        return f"{names[0] if names else 'target'}: mean {self.mean:.5g}, standard deviation {self.std:.5g}"

    def fitted(
        self, logits: Tensor, y: Tensor, weight: Tensor | None, options: TaskOptions, names: Sequence[str] = ()
    ) -> Regression:
        """Return the task itself: nothing is chosen on validation samples."""
        return self
