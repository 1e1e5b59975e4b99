"""The base class of tasks, and the answers that they give."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

if TYPE_CHECKING:
    from zoo.task.risk import RiskCoverage
    from zoo.task.task_options import TaskOptions


MANY = 12  # classes from which only the most and least frequent ones are listed


@dataclass(frozen=True)
class Answers:
    """Answers to n inputs.

    Attributes:
        prediction: ``(n,)`` int64 class, ``(n,)`` float number, or ``(n, l)`` bool labels.
        probabilities: ``(n, c)`` of the classes or labels, calibrated; None for regression.
        abstained: ``(n,)`` bool, inputs whose confidence is below the threshold of abstention; None without one.
    """

    prediction: Tensor
    probabilities: Tensor | None = None
    abstained: Tensor | None = None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Answers:
        """Return the same answers on ``device``."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {k: v.to(device, non_blocking=non_blocking) for k, v in tensors.items() if v is not None}
        return replace(self, **moved)


class Task(ABC):
    """What a model answers with, and how right answers are defined. Shapes: n inputs, c logits.

    Attributes:
        kind: name of the task in configs and checkpoints.
        metric_names: names of its scores, the first being the main one.
        y_dtype: dtype of ``Batch.y``.
    """

    kind: ClassVar[str]
    metric_names: ClassVar[tuple[str, ...]]
    y_dtype: ClassVar[torch.dtype]

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Number of logits."""

    @property
    def y_shape(self) -> tuple[int, ...]:
        """Shape of the target of one sample."""
        return ()

    @property
    def scale(self) -> float:
        """What the output of a head is multiplied by, so that its unit is that of y."""
        return 1.0

    @property
    def shift(self) -> float:
        """What is then added to the output of a head."""
        return 0.0

    @abstractmethod
    def losses(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the loss ``(n,)`` of each sample, class weights included.

        Args:
            logits: ``(n, outputs)``.
            y: ``(n, *y_shape)``.
        """

    @abstractmethod
    def answer(self, logits: Tensor) -> Answers:
        """Return the answers that logits ``(n, outputs)`` mean."""

    @abstractmethod
    def fitted(
        self, logits: Tensor, y: Tensor, weight: Tensor | None, options: TaskOptions, names: Sequence[str] = ()
    ) -> Task:
        """Return the task with all that is chosen on validation samples: temperature, thresholds, abstention.

        Args:
            logits: ``(n, outputs)``, of validation samples.
            y: ``(n, *y_shape)``.
            weight: ``(n,)`` of the samples; None for equal ones.
            options: what the user declared, such as the costs of errors.
            names: of the classes or labels.

        Raises:
            ValueError: if there is no sample, a logit is not finite, or an option cannot be fulfilled.
        """

    @abstractmethod
    def texts(self, prediction: Tensor, names: Sequence[str]) -> list[str]:
        """Return predictions, or targets ``(n, ...)``, as people read them.

        Args:
            prediction: as in ``Answers``, or ``y``.
            names: of the outputs.
        """

    def describe_data(self, names: Sequence[str]) -> str:
        """Return how the training samples are balanced, in a few words; empty if unknown.

        Args:
            names: of the outputs.
        """
        return ""

    def describe_fit(self, names: Sequence[str]) -> list[str]:
        """Return lines on what was chosen on validation samples."""
        return []

    def risk_coverage(self, logits: Tensor, y: Tensor) -> RiskCoverage | None:
        """Return the error rate of the most confident answers as a function of their share; None if undefined."""
        return None

    def explained(self, logits: Tensor) -> Tensor:
        """Return the column ``(n,)`` of the logits that an explanation is of where none is asked for."""
        return logits.argmax(1)

    def loss(self, logits: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the mean loss over samples; with sample weights ``(n,)`` their weighted mean.

        Raises:
            ValueError: if the shapes or the dtype of the targets do not fit.
        """
        self.check(logits, y)
        losses = self.losses(logits, y)
        normal = self.normalizer(y).to(losses)
        if weight is not None:
            losses, normal = losses * weight, normal * weight
        return losses.sum() / normal.sum().clamp_min(torch.finfo(losses.dtype).tiny)

    def normalizer(self, y: Tensor) -> Tensor:
        """Return what the losses ``(n,)`` are divided by the sum of."""
        return torch.ones(len(y), device=y.device)

    def check(self, logits: Tensor, y: Tensor) -> None:
        """Refuse logits and targets that do not fit together.

        Raises:
            ValueError: naming the shape and dtype, and what was expected.
        """
        if logits.ndim != 2 or logits.shape[1] != self.outputs:
            raise ValueError(f"logits are {tuple(logits.shape)}; expected (n, {self.outputs}) for {self.kind}")
        if y.shape != (len(logits), *self.y_shape):
            raise ValueError(f"y is {tuple(y.shape)}; expected {(len(logits), *self.y_shape)} for {self.kind}")
        if y.dtype != self.y_dtype:
            raise ValueError(f"y is {y.dtype}; expected {self.y_dtype} for {self.kind}")

    def to_config(self) -> dict[str, Any]:
        """Return plain values for YAML: the kind and the fields that differ from their defaults."""
        config: dict[str, Any] = {"kind": self.kind}
        for field in fields(self):  # pyright: ignore[reportArgumentType]
            value = getattr(self, field.name)
            if value != field.default:
                config[field.name] = list(value) if isinstance(value, tuple) else value
        return config


def describe_counts(counts: Sequence[int], names: Sequence[str], total: int) -> str:
    """Return counts with their shares of a total; of many classes the most and the least frequent ones.

    >>> describe_counts([97, 3], ["well", "ill"], 100)
    'well 97 (97 %), ill 3 (3 %)'
    """
    order = sorted(range(len(counts)), key=lambda i: -counts[i]) if len(counts) > MANY else range(len(counts))
    shares = [f"{names[i]} {counts[i]} ({100 * counts[i] / max(1, total):.3g} %)" for i in order]
    if len(shares) > MANY:
        shares = [*shares[: MANY // 2], "...", *shares[-MANY // 2 :]]
    return ", ".join(shares)


def check_validation(logits: Tensor) -> None:
    """Refuse validation logits ``(n, c)`` that nothing can be chosen on.

    Raises:
        ValueError: if there is none, or one is not finite.
    """
    if not len(logits):
        raise ValueError("there are no validation samples; hold out a share with data.val=0.1")
    if not bool(logits.isfinite().all()):
        i = int((~logits.isfinite()).any(1).nonzero()[0, 0])
        raise ValueError(f"the logits of sample {i} are {logits[i].tolist()}; expected finite numbers")
