"""Multi-label classification: any number of l labels, each of which is present or not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from zoo.task.base import check_validation
from zoo.task.discrete import DiscreteTask
from zoo.task.task_options import TaskOptions
from zoo.task.temperature import fit_temperature
from zoo.task.threshold import cheapest_threshold, check_costs, reaches


@dataclass(frozen=True)
class MultiLabel(DiscreteTask):
    """Any number of l labels, each of which is present or not. A label that is NaN in y is unknown.

    Attributes:
        labels: number of labels.
        thresholds: probability of each label from which it is predicted; None for the sign of the logit.
        rows: training samples; 0 if unknown.

    The others are those of ``zoo.task.discrete.DiscreteTask``; ``weights`` are those of present labels
    (``pos_weight``), and the confidence of an answer is the lowest of any label.

    >>> MultiLabel(2).answer(torch.tensor([[2.0, -1.0]])).prediction
    tensor([[ True, False]])
    """

    labels: int
    thresholds: tuple[float, ...] | None = None
    rows: int = 0

    kind: ClassVar[str] = "multilabel"
    metric_names: ClassVar[tuple[str, ...]] = (
        "label_accuracy",
        "auroc",
        "average_precision",
        "macro_f1",
        "log_loss",
        "brier",
        "calibration_error",
        "confusion_matrix",
    )
    y_dtype: ClassVar[torch.dtype] = torch.float32

    def __post_init__(self) -> None:
        if self.labels < 1:
            raise ValueError(f"a multi-label task has {self.labels} labels; expected 1 or more")
        super().__post_init__()
        if self.thresholds is not None and len(self.thresholds) != self.labels:
            raise ValueError(f"the thresholds are {self.thresholds}; expected {self.labels} probabilities")
        if self.thresholds is not None and not all(0 < t < 1 for t in self.thresholds):
            raise ValueError(f"the thresholds are {self.thresholds}; expected probabilities between 0 and 1")

    @property
    def outputs(self) -> int:
        """One logit for each label."""
        return self.labels

    @property
    def y_shape(self) -> tuple[int, ...]:
        """``(l,)``."""
        return (self.labels,)

    def losses(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the binary cross-entropy ``(n,)``, the mean over labels; an unknown label, NaN, has no loss."""
        known = ~y.isnan()
        weight = self.loss_weights(logits)
        target = torch.where(known, y, 0.0).to(logits.dtype)
        losses = functional.binary_cross_entropy_with_logits(logits, target, pos_weight=weight, reduction="none")
        return (losses * known).sum(1) / known.sum(1).clamp_min(1)

    def normalizer(self, y: Tensor) -> Tensor:
        """Return 1 for each sample ``(n,)`` of which a label is known, else 0."""
        return (~y.isnan()).any(1).float()

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the calibrated probabilities ``(n, l)`` of the labels."""
        return torch.sigmoid(self.corrected(logits) / self.temperature)

    def decide(self, logits: Tensor, probabilities: Tensor) -> Tensor:
        """Return the labels ``(n, l)`` whose logit is 0 or more, or whose probability reaches their threshold."""
        if self.thresholds is None:
            return logits >= 0
        return reaches(probabilities, probabilities.new_tensor(self.thresholds))

    def errors(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Return the share ``(n,)`` of the known labels that are predicted wrongly."""
        known = ~y.isnan()
        return ((prediction != (y == 1)) & known).sum(1) / known.sum(1).clamp_min(1)

    def confidence(self, probabilities: Tensor, prediction: Tensor) -> Tensor:
        """Return the lowest probability ``(n,)`` of any label's prediction ``(n, l)``."""
        return torch.where(prediction, probabilities, 1 - probabilities).min(1).values

    def fitted(
        self, logits: Tensor, y: Tensor, weight: Tensor | None, options: TaskOptions, names: Sequence[str] = ()
    ) -> MultiLabel:
        """Return the task with temperature, one threshold of least cost a label, and confidence of abstention."""
        task = replace(self, temperature=1.0, offset=None, thresholds=None, abstain_below=0.0)
        if options.calibrate:
            task = task.calibrate(logits, y, weight)
        if options.cost is not None:
            task = task.choose_thresholds(logits, y, weight, **options.costs())
        if options.max_risk is not None:
            task = task.choose_abstention(logits, y, max_risk=options.max_risk)
        return task

    def texts(self, prediction: Tensor, names: Sequence[str]) -> list[str]:
        """Return the labels ``(n, l)`` that are present, with ``; `` between them; empty for none."""
        rows = (prediction == 1).tolist()
        return ["; ".join(name for name, on in zip(names, row, strict=True) if on) for row in rows]

    def describe_data(self, names: Sequence[str]) -> str:
        """Return the training samples with each label and their shares."""
        return self.describe_counts(names, self.rows)

    def describe_decision(self, names: Sequence[str]) -> list[str]:
        """Return one line on each threshold."""
        if self.thresholds is None:
            return []
        pairs = zip(names, self.thresholds, strict=True)
        return [f"{name!r} is predicted from a probability of {threshold:.4g}" for name, threshold in pairs]

    def calibrate(self, logits: Tensor, y: Tensor, weight: Tensor | None = None) -> MultiLabel:
        """Return the task with the one temperature of least log loss on validation samples, weights corrected.

        Raises:
            ValueError: if there is no sample, or a logit is not finite.
        """
        self.check(logits, y)
        check_validation(logits)
        offset = None if self.weights is None else tuple(-math.log(w) for w in self.weights)
        task = replace(self, offset=offset)
        known = ~y.isnan()
        z = task.corrected(logits.detach().double())[known]
        pairs = torch.stack([-z / 2, z / 2], 1)  # a label is a class of two
        each = None if weight is None else weight[:, None].expand_as(y)[known]
        return replace(task, temperature=fit_temperature(pairs, y[known].long(), each))

    def choose_thresholds(
        self,
        logits: Tensor,
        y: Tensor,
        weight: Tensor | None = None,
        *,
        false_positive: float = 1.0,
        false_negative: float = 1.0,
    ) -> MultiLabel:
        """Return the task with the threshold of least cost of each label, see ``cheapest_threshold``.

        Raises:
            ValueError: if a cost is not above 0, or there is no sample.
        """
        check_costs(false_positive, false_negative)
        self.check(logits, y)
        check_validation(logits)
        p = self.probabilities(logits.detach().double())
        known = ~y.isnan()
        costs = {"false_positive": false_positive, "false_negative": false_negative}
        thresholds = tuple(
            cheapest_threshold(p[k, i], y[k, i], None if weight is None else weight[k], **costs)
            for i, k in enumerate(known.unbind(1))
        )
        return replace(self, thresholds=thresholds)
