"""What a model answers: loss, link, prediction and calibration of classification, regression and multi-label tasks."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURES = (0.05, 20.0)  # range in which the temperature is sought
RegressionLoss = Literal["squared", "huber"]


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


@dataclass(frozen=True)
class RiskCoverage:
    """Error rate of the answers that are kept when the least confident ones are withheld.

    Attributes:
        threshold: ``(k,)`` confidences, descending; answers at least as confident are kept.
        coverage: ``(k,)`` share of inputs that are answered.
        risk: ``(k,)`` share of wrong answers among them.
    """

    threshold: Tensor
    coverage: Tensor
    risk: Tensor

    @property
    def area(self) -> float:
        """Area under the risk as a function of the coverage (AURC), a step function; lower is better."""
        width = torch.diff(self.coverage, prepend=self.coverage.new_zeros(1))
        return float((self.risk * width).sum())


class Task(ABC):
    """What a model answers with, and how right answers are defined.

    Attributes:
        kind: name of the task in configs and checkpoints.
        metric_names: names of its metrics, the first being the main one.
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

    def loss(self, logits: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the mean loss over samples; with sample weights ``(n,)`` their weighted mean.

        Raises:
            ValueError: if the shapes or the dtype of the targets do not fit.
        """
        self.check(logits, y)
        losses = self.losses(logits, y)
        normal = self.normalizer(y)
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


@dataclass(frozen=True)
class Classification(Task):
    """One of c classes; binary is c = 2, an additive score s being the logits ``(-s/2, s/2)``.

    Attributes:
        classes: number of classes.
        weights: of the classes in the loss; None for equal ones.
        smoothing: share of the target that is spread over all classes (label smoothing).
        temperature: the logits are divided by it before the softmax.
        threshold: of binary tasks: probability of class 1 from which it is predicted.
        abstain_below: confidence below which the model abstains; 0 for never.

    >>> task = Classification(2, threshold=0.2)
    >>> task.answer(torch.tensor([[1.0, 0.0]])).prediction  # the probability of class 1 is 0.27
    tensor([1])
    """

    classes: int
    weights: tuple[float, ...] | None = None
    smoothing: float = 0.0
    temperature: float = 1.0
    threshold: float = 0.5
    abstain_below: float = 0.0

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
        if self.weights is not None and (
            len(self.weights) != self.classes or not all(math.isfinite(w) and w > 0 for w in self.weights)
        ):
            raise ValueError(f"the class weights are {self.weights}; expected {self.classes} numbers above 0")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"the label smoothing is {self.smoothing}; expected 0 or more and below 1")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"the temperature is {self.temperature}; expected a number above 0")
        if not 0 < self.threshold < 1:
            raise ValueError(f"the threshold is {self.threshold}; expected a probability between 0 and 1")
        if self.threshold != 0.5 and self.classes > 2:
            raise ValueError(f"a threshold is given with {self.classes} classes; it decides between two alone")
        if not 0 <= self.abstain_below <= 1:
            raise ValueError(f"abstain_below is {self.abstain_below}; expected a probability")

    @property
    def outputs(self) -> int:
        """One logit for each class."""
        return self.classes

    def _weight(self, like: Tensor) -> Tensor | None:
        return None if self.weights is None else torch.tensor(self.weights, dtype=like.dtype, device=like.device)

    def losses(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the cross-entropy ``(n,)``, times the weight of the class."""
        return functional.cross_entropy(
            logits, y, weight=self._weight(logits), label_smoothing=self.smoothing, reduction="none"
        )

    def normalizer(self, y: Tensor) -> Tensor:
        """Return the weight ``(n,)`` of the class of each sample."""
        weight = self._weight(torch.ones((), device=y.device))
        return super().normalizer(y) if weight is None else weight[y]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the calibrated probabilities ``(n, c)`` of the classes."""
        return torch.softmax(logits / self.temperature, 1)

    def answer(self, logits: Tensor) -> Answers:
        """Return class, probabilities and abstentions."""
        probabilities = self.probabilities(logits)
        prediction = (probabilities[:, 1] >= self.threshold).long() if self.threshold != 0.5 else logits.argmax(1)
        abstained = None
        if self.abstain_below > 0:
            abstained = self.confidence(probabilities) < self.abstain_below
        return Answers(prediction, probabilities, abstained)

    @staticmethod
    def confidence(probabilities: Tensor) -> Tensor:
        """Return the probability ``(n,)`` of the most probable class."""
        return probabilities.max(1).values

    def intercept_correction(self) -> Tensor:
        """Return what is added to the logits ``(c,)`` so that a model trained with class weights is calibrated.

        Weights w train the model on class frequencies in proportion to ``w_c p_c``, so that its logits are too large by
        ``log w_c``. The mean of the correction is 0.
        """
        correction = -torch.tensor(self.weights or (1.0,) * self.classes, dtype=torch.float64).log()
        return correction - correction.mean()

    def calibrate(self, logits: Tensor, y: Tensor) -> Classification:
        """Return the task with the temperature of least log loss on validation samples.

        The log loss is convex in 1 / temperature, which is found by bisection of its derivative. At the ends of
        ``TEMPERATURES`` the end is taken, for example where every sample is classified correctly.

        Args:
            logits: ``(n, c)``, of validation samples.
            y: ``(n,)``.

        Raises:
            ValueError: if there is no sample, or a logit is not finite.
        """
        self.check(logits, y)
        _expect_finite(logits)
        z = logits.detach().double()
        right = z.gather(1, y[:, None])[:, 0]

        def slope(beta: float) -> float:
            """Derivative of the mean log loss by beta = 1 / temperature."""
            return float(((torch.softmax(z * beta, 1) * z).sum(1) - right).mean())

        low, high = 1 / TEMPERATURES[1], 1 / TEMPERATURES[0]
        if slope(low) >= 0:
            return replace(self, temperature=TEMPERATURES[1])
        if slope(high) <= 0:
            return replace(self, temperature=TEMPERATURES[0])
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if slope(middle) < 0 else (low, middle)
        return replace(self, temperature=2 / (low + high))

    def choose_threshold(
        self, logits: Tensor, y: Tensor, *, false_positive: float = 1.0, false_negative: float = 1.0
    ) -> Classification:
        """Return the task with the threshold of least cost on validation samples.

        Of thresholds of equal cost the one nearest to ``false_positive / (false_positive + false_negative)`` is taken,
        which is best where the probabilities are calibrated.

        Args:
            logits: ``(n, 2)``, of validation samples.
            y: ``(n,)``.
            false_positive: cost of predicting 1 where 0 is right.
            false_negative: cost of predicting 0 where 1 is right.

        Raises:
            ValueError: if the task is not binary, a cost is not above 0, or there is no sample.
        """
        if self.classes != 2:
            raise ValueError(f"a threshold decides between two classes; there are {self.classes}")
        if not (0 < false_positive < math.inf and 0 < false_negative < math.inf):
            raise ValueError(f"the costs are {false_positive} and {false_negative}; expected numbers above 0")
        self.check(logits, y)
        _expect_finite(logits)
        p = torch.softmax(logits.detach().double() / self.temperature, 1)[:, 1]
        order = p.argsort()
        p, positive = p[order], y[order].double()
        missed = torch.cat([positive.new_zeros(1), positive.cumsum(0)])  # the first i samples are predicted 0
        false_alarms = (1 - positive).sum() - torch.cat([positive.new_zeros(1), (1 - positive).cumsum(0)])
        cost = false_positive * false_alarms + false_negative * missed
        edges = torch.cat([p.new_zeros(1), p, p.new_ones(1)])
        possible = edges[1:] > edges[:-1]  # a threshold lies between different probabilities
        middle = (edges[1:] + edges[:-1]) / 2
        ideal = false_positive / (false_positive + false_negative)
        nearest = torch.full_like(middle, ideal).clamp(edges[:-1], edges[1:])
        inside = (nearest > edges[:-1]) & (nearest < edges[1:])
        candidate = torch.where(inside, nearest, middle)
        cost = torch.where(possible, cost, torch.inf)
        best = (cost <= cost.min() * (1 + 1e-12)).nonzero()[:, 0]
        chosen = best[(candidate[best] - ideal).abs().argmin()]
        return replace(self, threshold=float(candidate[chosen].clamp(1e-6, 1 - 1e-6)))

    def risk_coverage(self, logits: Tensor, y: Tensor) -> RiskCoverage:
        """Return the error rate of the most confident answers as a function of their share.

        Args:
            logits: ``(n, c)``.
            y: ``(n,)``.

        Raises:
            ValueError: if there is no sample, or a logit is not finite.
        """
        self.check(logits, y)
        _expect_finite(logits)
        answers = replace(self, abstain_below=0.0).answer(logits.detach().double())
        assert answers.probabilities is not None
        confidence, order = self.confidence(answers.probabilities).sort(descending=True, stable=True)
        wrong = (answers.prediction != y)[order].double().cumsum(0)
        count = torch.arange(1, len(y) + 1, dtype=torch.float64, device=y.device)
        last = torch.ones_like(confidence, dtype=torch.bool)  # answers of equal confidence are kept together
        last[:-1] = confidence[1:] < confidence[:-1]
        return RiskCoverage(confidence[last], (count / len(y))[last], (wrong / count)[last])

    def choose_abstention(self, logits: Tensor, y: Tensor, *, max_risk: float) -> Classification:
        """Return the task with the confidence of largest coverage whose risk on validation samples is low enough.

        Raises:
            ValueError: if no share of the answers has a risk of at most ``max_risk``.
        """
        curve = self.risk_coverage(logits, y)
        good = (curve.risk <= max_risk).nonzero()[:, 0]
        if not len(good):
            raise ValueError(
                f"no share of the answers has an error rate of at most {max_risk}; the lowest is {curve.risk.min():.3g}"
            )
        return replace(self, abstain_below=float(curve.threshold[good[-1]]))


@dataclass(frozen=True)
class Regression(Task):
    """A number. The one logit, its contributions and base are in units of y.

    Attributes:
        loss_name: ``squared``, or ``huber``, which is linear beyond ``delta`` standard deviations.
        delta: of the Huber loss, in standard deviations of y.
        mean: of y over the training split: the mean predictor.
        std: of y over the training split; the loss is measured in it, so that learning rates do not depend on units.
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

    def losses(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return half the squared error or the Huber loss ``(n,)``, in standard deviations of y."""
        error = (logits[:, 0] - y) / self.std
        if self.loss_name == "squared":
            return error.square() / 2
        return functional.huber_loss(error, torch.zeros_like(error), delta=self.delta, reduction="none")

    def answer(self, logits: Tensor) -> Answers:
        """Return the number."""
        return Answers(logits[:, 0])


@dataclass(frozen=True)
class MultiLabel(Task):
    """Any number of l labels, each of which is present or not.

    Attributes:
        labels: number of labels.
        weights: of present labels in the loss (``pos_weight``); None for equal ones.
        thresholds: probability of each label from which it is predicted; None for one half.
        temperature: the logits are divided by it before the sigmoid.
    """

    labels: int
    weights: tuple[float, ...] | None = None
    thresholds: tuple[float, ...] | None = None
    temperature: float = 1.0

    kind: ClassVar[str] = "multilabel"
    metric_names: ClassVar[tuple[str, ...]] = (
        "auroc",
        "average_precision",
        "macro_f1",
        "accuracy",
        "log_loss",
        "calibration_error",
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
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"the temperature is {self.temperature}; expected a number above 0")

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
        losses = functional.binary_cross_entropy_with_logits(
            logits, torch.where(known, y, 0.0), pos_weight=weight, reduction="none"
        )
        return (losses * known).sum(1) / known.sum(1).clamp_min(1)

    def normalizer(self, y: Tensor) -> Tensor:
        """Return 1 for each sample ``(n,)`` of which a label is known, else 0."""
        return (~y.isnan()).any(1).float()

    def answer(self, logits: Tensor) -> Answers:
        """Return the labels and their probabilities."""
        probabilities = torch.sigmoid(logits / self.temperature)
        if self.thresholds is None:
            return Answers(logits >= 0, probabilities)
        return Answers(probabilities >= torch.tensor(self.thresholds).to(probabilities), probabilities)

    def calibrate(self, logits: Tensor, y: Tensor) -> MultiLabel:
        """Return the task with the one temperature of least log loss on validation samples.

        Raises:
            ValueError: if there is no sample, or a logit is not finite.
        """
        self.check(logits, y)
        _expect_finite(logits)
        known = ~y.isnan()
        z = logits.detach().double()[known]
        pairs = torch.stack([-z / 2, z / 2], 1)  # a label is a class of two
        fitted = Classification(2).calibrate(pairs, y[known].long())
        return replace(self, temperature=fitted.temperature)


TASKS: dict[str, type[Task]] = {task.kind: task for task in (Classification, Regression, MultiLabel)}


def task_from(config: Mapping[str, Any]) -> Task:
    """Return the task that ``to_config`` described.

    Raises:
        ValueError: if the kind or an argument is not known.

    >>> task_from({"kind": "classification", "classes": 3}).outputs
    3
    """
    config = dict(config)
    kind = config.pop("kind", None)
    if kind not in TASKS:
        raise ValueError(f"a task is of kind {kind!r}; expected one of {', '.join(TASKS)}")
    try:
        return TASKS[kind](**{key: tuple(v) if isinstance(v, list) else v for key, v in config.items()})
    except TypeError as error:
        raise ValueError(f"the task {kind!r} cannot be built: {error}") from error


def balanced_weights(counts: Sequence[int]) -> tuple[float, ...]:
    """Return class weights ``n / (c * n_c)`` of scikit-learn's ``class_weight="balanced"``.

    Raises:
        ValueError: if a class has no sample.

    >>> balanced_weights([1, 3])
    (2.0, 0.6666666666666666)
    """
    if not counts or min(counts) < 1:
        raise ValueError(f"the classes have {list(counts)} samples; expected at least one each")
    total = sum(counts)
    return tuple(total / (len(counts) * count) for count in counts)


def _expect_finite(logits: Tensor) -> None:
    if not len(logits):
        raise ValueError("there are no validation samples; hold out a share with data.val=0.1")
    if not bool(logits.isfinite().all()):
        i = int((~logits.isfinite()).any(1).nonzero()[0, 0])
        raise ValueError(f"the logits of sample {i} are {logits[i].tolist()}; expected finite numbers")
