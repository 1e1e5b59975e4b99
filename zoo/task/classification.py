"""Classification: one of c classes, calibrated, with a threshold between two and with abstention."""

from __future__ import annotations

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
class Classification(DiscreteTask):
    """One of c classes; binary is c = 2, an additive score s being the logits ``(-s/2, s/2)``.

    Attributes:
        classes: number of classes.
        smoothing: share of the target that is spread over all classes (label smoothing).
        threshold: of binary tasks: probability of class 1 from which it is predicted; None for the largest logit.

    The others are those of ``zoo.task.discrete.DiscreteTask``. The predicted class of three or more is that of the
    largest logit, with or without ``offset``.

    >>> task = Classification(2, threshold=0.2)
    >>> task.answer(torch.tensor([[1.0, 0.0]])).prediction  # the probability of class 1 is 0.27
    tensor([1])
    """

    classes: int
    smoothing: float = 0.0
    threshold: float | None = None

    kind: ClassVar[str] = "classification"
    metric_names: ClassVar[tuple[str, ...]] = (
        "accuracy",
        "balanced_accuracy",
        "auroc",
        "average_precision",
        "macro_f1",
        "log_loss",
        "brier",
        "calibration_error",
        "confusion_matrix",
    )
    y_dtype: ClassVar[torch.dtype] = torch.int64

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise ValueError(f"a classification has {self.classes} classes; expected 2 or more")
        super().__post_init__()
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"the label smoothing is {self.smoothing}; expected 0 or more and below 1")
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise ValueError(f"the threshold is {self.threshold}; expected a probability between 0 and 1")
        if self.threshold is not None and self.classes > 2:
            raise ValueError(f"a threshold is given with {self.classes} classes; it decides between two alone")

    @property
    def outputs(self) -> int:
        """One logit for each class."""
        return self.classes

    def loss(self, logits: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the mean cross-entropy, weighted by class and by sample ``(n,)`` where there are weights."""
        if weight is not None or self.smoothing:
            return super().loss(logits, y, weight)
        self.check(logits, y)
        return functional.cross_entropy(logits, y, weight=self.loss_weights(logits))

    def losses(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the cross-entropy ``(n,)``, times the weight of the class."""
        return functional.cross_entropy(
            logits, y, weight=self.loss_weights(logits), label_smoothing=self.smoothing, reduction="none"
        )

    def normalizer(self, y: Tensor) -> Tensor:
        """Return the weight ``(n,)`` of the class of each sample."""
        weight = self.loss_weights(torch.ones((), device=y.device))
        return super().normalizer(y) if weight is None else weight[y]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the calibrated probabilities ``(n, c)`` of the classes."""
        return torch.softmax(self.corrected(logits) / self.temperature, 1)

    def decide(self, logits: Tensor, probabilities: Tensor) -> Tensor:
        """Return the class ``(n,)`` of the largest logit, or the one that the threshold gives."""
        return logits.argmax(1) if self.threshold is None else reaches(probabilities[:, 1], self.threshold).long()

    def errors(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Return 1 for each wrong class ``(n,)``, else 0."""
        return (prediction != y).double()

    def explained(self, logits: Tensor) -> Tensor:
        """Return the predicted class ``(n,)``."""
        return logits.argmax(1) if self.threshold is None else self.decide(logits, self.probabilities(logits))

    def confidence(self, probabilities: Tensor, prediction: Tensor) -> Tensor:
        """Return the confidence ``(n,)`` of predictions ``(n,)``: the probability of the predicted class.

        With a threshold t it is 1 minus the expected cost of the answer, a false positive costing 2 t and a false
        negative 2 (1 - t): lowest at the threshold, and the probability of the predicted class for t = 0.5.
        """
        if self.threshold is None:
            return probabilities.gather(1, prediction[:, None])[:, 0]
        negative, positive = probabilities.unbind(1)
        cost = torch.where(prediction == 1, negative * self.threshold, positive * (1 - self.threshold))
        return 1 - 2 * cost

    def intercept_correction(self) -> Tensor:
        """Return what is added to the logits ``(c,)`` so that a model trained with class weights is calibrated.

        Weights w train the model on class frequencies in proportion to ``w_c p_c``, so that its logits are too large by
        ``log w_c``. The mean of the correction is 0.
        """
        correction = -torch.tensor(self.weights or (1.0,) * self.classes, dtype=torch.float64).log()
        return correction - correction.mean()

    def fitted(
        self, logits: Tensor, y: Tensor, weight: Tensor | None, options: TaskOptions, names: Sequence[str] = ()
    ) -> Classification:
        """Return the task with temperature, threshold of least cost and confidence of abstention."""
        task = replace(self, temperature=1.0, offset=None, threshold=None, abstain_below=0.0)
        if options.calibrate:
            task = task.calibrate(logits, y, weight)
        if options.cost is not None:
            task = task.choose_threshold(logits, y, weight, **options.costs(names))
        if options.max_risk is not None:
            task = task.choose_abstention(logits, y, max_risk=options.max_risk)
        return task

    def texts(self, prediction: Tensor, names: Sequence[str]) -> list[str]:
        """Return the names of classes ``(n,)``."""
        indices: list[int] = prediction.tolist()
        return [names[k] for k in indices]

    def describe_data(self, names: Sequence[str]) -> str:
        """Return the training samples of each class and their shares."""
        return self.describe_counts(names, sum(self.counts or ()))

    def describe_decision(self, names: Sequence[str]) -> list[str]:
        """Return one line on the threshold, if there is one."""
        if self.threshold is None:
            return []
        return [f"{names[1]!r} is predicted from a probability of {self.threshold:.4g}"]

    def calibrate(self, logits: Tensor, y: Tensor, weight: Tensor | None = None) -> Classification:
        """Return the task with the temperature of least log loss on validation samples, class weights corrected.

        Args:
            logits: ``(n, c)``, of validation samples.
            y: ``(n,)``.
            weight: ``(n,)`` of the samples; None for equal ones.

        Raises:
            ValueError: if there is no sample, or a logit is not finite.
        """
        self.check(logits, y)
        check_validation(logits)
        offset = None if self.weights is None else tuple(self.intercept_correction().tolist())
        task = replace(self, offset=offset)
        return replace(task, temperature=fit_temperature(task.corrected(logits.detach().double()), y, weight))

    def choose_threshold(
        self,
        logits: Tensor,
        y: Tensor,
        weight: Tensor | None = None,
        *,
        false_positive: float = 1.0,
        false_negative: float = 1.0,
    ) -> Classification:
        """Return the task with the threshold of least cost on validation samples, see ``cheapest_threshold``.

        Args:
            logits: ``(n, 2)``, of validation samples.
            y: ``(n,)``.
            weight: ``(n,)`` of the samples; None for equal ones.
            false_positive: cost of predicting 1 where 0 is right.
            false_negative: cost of predicting 0 where 1 is right.

        Raises:
            ValueError: if the task is not binary, a cost is not above 0, or there is no sample.
        """
        if self.classes != 2:
            raise ValueError(f"a threshold decides between two classes; there are {self.classes}")
        check_costs(false_positive, false_negative)
        self.check(logits, y)
        check_validation(logits)
        p = self.probabilities(logits.detach().double())[:, 1]
        costs = {"false_positive": false_positive, "false_negative": false_negative}
        return replace(self, threshold=cheapest_threshold(p, y, weight, **costs))
