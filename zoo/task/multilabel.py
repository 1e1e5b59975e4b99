"""Multi-label classification: any number of l labels, each of which is present or not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from zoo.task.base import Answers, Task, check_validation, describe_counts
from zoo.task.risk import RiskCoverage, risk_coverage_of
from zoo.task.task_options import TaskOptions
from zoo.task.temperature import fit_temperature
from zoo.task.threshold import cheapest_threshold, check_costs


@dataclass(frozen=True)
class MultiLabel(Task):
    """Any number of l labels, each of which is present or not. A label that is NaN in y is unknown.

    Attributes:
        labels: number of labels.
        weights: of present labels in the loss (``pos_weight``); None for equal ones.
        thresholds: probability of each label from which it is predicted; None for the sign of the logit.
        temperature: the logits are divided by it before the sigmoid.
        offset: of the labels, added to the logits before that, to correct ``weights``; None for none.
        abstain_below: confidence (the lowest of any label) below which the model abstains; 0 for never.
        counts: training samples with each label; None if unknown.
        rows: training samples; 0 if unknown.

    >>> MultiLabel(2).answer(torch.tensor([[2.0, -1.0]])).prediction
    tensor([[ True, False]])
    """

    labels: int
    weights: tuple[float, ...] | None = None
    thresholds: tuple[float, ...] | None = None
    temperature: float = 1.0
    offset: tuple[float, ...] | None = None
    abstain_below: float = 0.0
    counts: tuple[int, ...] | None = None
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
        for name, values in (("weights", self.weights), ("thresholds", self.thresholds)):
            if values is not None and (len(values) != self.labels or not all(0 < v < math.inf for v in values)):
                raise ValueError(f"the {name} are {values}; expected {self.labels} numbers above 0")
        if self.thresholds is not None and max(self.thresholds) >= 1:
            raise ValueError(f"the thresholds are {self.thresholds}; expected probabilities below 1")
        if self.offset is not None and (len(self.offset) != self.labels or not all(map(math.isfinite, self.offset))):
            raise ValueError(f"the offsets are {self.offset}; expected {self.labels} finite numbers")
        if self.counts is not None and (len(self.counts) != self.labels or min(self.counts) < 0):
            raise ValueError(f"the counts are {self.counts}; expected {self.labels} numbers, 0 or more")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"the temperature is {self.temperature}; expected a number above 0")
        if not 0 <= self.abstain_below <= 1:
            raise ValueError(f"abstain_below is {self.abstain_below}; expected a probability")

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
        weight = None if self.weights is None else torch.tensor(self.weights, dtype=logits.dtype, device=logits.device)
        target = torch.where(known, y, 0.0).to(logits.dtype)
        losses = functional.binary_cross_entropy_with_logits(logits, target, pos_weight=weight, reduction="none")
        return (losses * known).sum(1) / known.sum(1).clamp_min(1)

    def normalizer(self, y: Tensor) -> Tensor:
        """Return 1 for each sample ``(n,)`` of which a label is known, else 0."""
        return (~y.isnan()).any(1).float()

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the calibrated probabilities ``(n, l)`` of the labels."""
        return torch.sigmoid(self._corrected(logits) / self.temperature)

    def _corrected(self, logits: Tensor) -> Tensor:
        return logits if self.offset is None else logits + torch.tensor(self.offset).to(logits)

    def answer(self, logits: Tensor) -> Answers:
        """Return the labels, their probabilities and abstentions."""
        probabilities = self.probabilities(logits)
        prediction = logits >= 0
        if self.thresholds is not None:
            prediction = probabilities >= torch.tensor(self.thresholds).to(probabilities)
        abstained = None
        if self.abstain_below > 0:
            abstained = self.confidence(probabilities, prediction) < self.abstain_below
        return Answers(prediction, probabilities, abstained)

    @staticmethod
    def confidence(probabilities: Tensor, prediction: Tensor) -> Tensor:
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
            task = replace(task, abstain_below=task.risk_coverage(logits, y).at_most(options.max_risk))
        return task

    def texts(self, prediction: Tensor, names: Sequence[str]) -> list[str]:
        """Return the labels ``(n, l)`` that are present, with ``; `` between them; empty for none."""
        rows = (prediction == 1).tolist()
        return ["; ".join(name for name, on in zip(names, row, strict=True) if on) for row in rows]

    def describe_data(self, names: Sequence[str]) -> str:
        """Return the training samples with each label and their shares."""
        return "" if self.counts is None else describe_counts(self.counts, names, self.rows)

    def describe_fit(self, names: Sequence[str]) -> list[str]:
        """Return lines on what was chosen on validation samples."""
        lines = [f"temperature {self.temperature:.4g}"]
        if self.thresholds is not None:
            pairs = zip(names, self.thresholds, strict=True)
            lines += [f"{name!r} is predicted from a probability of {threshold:.4g}" for name, threshold in pairs]
        if self.abstain_below:
            lines.append(f"the model abstains below a confidence of {self.abstain_below:.4g}")
        return lines

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
        z = task._corrected(logits.detach().double())[known]
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

    def risk_coverage(self, logits: Tensor, y: Tensor) -> RiskCoverage:
        """Return the share of wrong labels of the most confident answers as a function of their share.

        Raises:
            ValueError: if there is no sample, or a logit is not finite.
        """
        self.check(logits, y)
        check_validation(logits)
        answers = replace(self, abstain_below=0.0).answer(logits.detach().double())
        assert answers.probabilities is not None
        known = ~y.isnan()
        wrong = ((answers.prediction != (y == 1)) & known).sum(1) / known.sum(1).clamp_min(1)
        return risk_coverage_of(self.confidence(answers.probabilities, answers.prediction), wrong)
