"""The base class of scores of answers: what is read of a batch, and the majority predictor beside the score."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.metrics._argument_checks import check_kind
from zoo.metrics._value_checks import check_classes
from zoo.metrics.base import Record, Score, expect
from zoo.task import Classification, MultiLabel, Task


@dataclass(frozen=True)
class Answered:
    """Answers of b inputs, for c classes or labels.

    Attributes:
        probabilities: ``(b, c)`` float64, calibrated.
        truth: ``(b, c)`` bool, whether the class or label is right.
        decision: ``(b, c)`` bool, whether it was predicted.
        known: ``(b, c)`` bool, whether the truth is known; classes always are.
        y: ``(b,)`` int64 class or ``(b, l)`` labels.
    """

    probabilities: Tensor
    truth: Tensor
    decision: Tensor
    known: Tensor
    y: Tensor


class TaskScore(Score):
    """A score of predicted classes or labels with the same score of the majority predictor.

    The majority predictor always gives the frequencies of the classes in the training split (``task.counts``; where
    these are unknown, those of the scored samples), and so predicts the most frequent class.

    Args:
        task: what the model answers, or the number of its classes.
        names: of the classes or labels.
    """

    inputs = {"logits": "finite", "y": "class"}  # or labels
    requires = frozenset({"answers"})
    tasks = frozenset({"classification", "multilabel"})
    baseline_name = "majority predictor"
    counts: Tensor
    known: Tensor

    def __init__(self, task: Task | int, names: Sequence[str] = ()) -> None:
        super().__init__()
        self.task = Classification(task) if isinstance(task, int) else task
        self.output_names = tuple(names) or tuple(str(i) for i in range(self.task.outputs))
        self._sum("counts", self.task.outputs)
        self._sum("known", self.task.outputs)

    @property
    def is_binary(self) -> bool:
        """Whether there are two classes, of which the second is detected."""
        return isinstance(self.task, Classification) and self.task.classes == 2

    def update(self, logits: Tensor, y: Tensor) -> None:
        """Add a batch.

        Args:
            logits: ``(b, c)``.
            y: ``(b,)`` int64 true class, or ``(b, c)`` labels, NaN where unknown.

        Raises:
            ValueError: if a shape does not fit, a logit is not finite or a class is not one of the logits'.
        """
        answered = self._answered(logits, y)
        self._add("counts", answered.truth)
        self._add("known", answered.known)
        self._add("samples", torch.ones_like(answered.truth[:, 0], dtype=torch.int64))
        self._add_answers(answered)

    def _answered(self, logits: Tensor, y: Tensor) -> Answered:
        c = self.task.outputs
        expect("logits", logits, None, c)
        expect("y", y, len(logits), *self.task.y_shape)
        logits, y = logits.detach().to(self.device).double(), y.to(self.device)
        self._check(logits=logits)
        answers = self.task.answer(logits)
        assert answers.probabilities is not None
        if isinstance(self.task, MultiLabel):
            check_kind(self._field("y"), y, "share or nan")
            known = ~y.isnan()
            return Answered(answers.probabilities, (y == 1) & known, answers.prediction & known, known, y)
        check_kind(self._field("y"), y, "class")
        check_classes(self._field("y"), y, c)
        one = torch.eye(c, dtype=torch.bool, device=y.device)
        known = torch.ones(len(y), c, dtype=torch.bool, device=y.device)
        return Answered(answers.probabilities, one[y], one[answers.prediction], known, y)

    @abstractmethod
    def _add_answers(self, answered: Answered) -> None:
        """Add what a batch contributes to the sums of the score."""

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record."""
        self.update(record.explanation.logits, record.batch.targets)

    @property
    def frequencies(self) -> Tensor:
        """Share ``(c,)`` of each class or label in the training split, or else in the scored samples."""
        counts: tuple[int, ...] | None = getattr(self.task, "counts", None)
        if counts is None:
            return self.counts.double() / self.known.double()
        total = self.task.rows if isinstance(self.task, MultiLabel) else sum(counts)
        return torch.tensor(counts, dtype=torch.float64, device=self.device) / max(1, total)

    @property
    def constant(self) -> Tensor:
        """What the majority predictor predicts, ``(c,)`` bool."""
        q = self.frequencies.nan_to_num()
        if isinstance(self.task, MultiLabel):
            return q >= 0.5
        return torch.arange(len(q), device=q.device) == q.argmax()

    def describe(self, readouts: Mapping[str, float]) -> str:
        """Return the meaning, and the value of the majority predictor."""
        if self.baseline_name not in readouts:
            return self.meaning
        return f"{self.meaning}; {self.baseline_name} {readouts[self.baseline_name]:.4g}"
