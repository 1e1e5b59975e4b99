"""The base class of scores of answers: what is read of a batch, and the majority predictor beside the score.

Scores are sums over samples in float64, from which the replicates of their intervals are made; torchmetrics keeps no
sums of single samples and divides in float32. The tests compare each score with torchmetrics and scikit-learn, the
benchmarks its speed. Where no interval is made of sums, torchmetrics itself counts (``confusion_matrix``) and ranks
(``auroc``, ``average_precision``).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from zoo.metrics._argument_checks import check_kind
from zoo.metrics._value_checks import check_classes
from zoo.metrics.base import Record, Score, expect
from zoo.metrics.task._answered import Answered
from zoo.task import Classification, MultiLabel, Task


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
    known_labels: Tensor

    def __init__(self, task: Task | int, names: Sequence[str] = ()) -> None:
        super().__init__()
        self.task = Classification(task) if isinstance(task, int) else task
        self.output_names = tuple(names) or tuple(str(i) for i in range(self.task.outputs))
        self._sum("counts", self.task.outputs)
        if isinstance(self.task, MultiLabel):
            self._sum("known_labels", self.task.outputs)

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
        self._count("counts", answered, answered.y)
        if isinstance(self.task, MultiLabel):
            self._add("known_labels", answered.known)
        self._add("samples", torch.ones(len(y), dtype=torch.int64, device=self.device))
        self._add_answers(answered)

    def _answered(self, logits: Tensor, y: Tensor) -> Answered:
        c = self.task.outputs
        expect("logits", logits, None, c)
        expect("y", y, len(logits), *self.task.y_shape)
        logits, y = logits.detach().to(self.device), y.to(self.device)
        self._check(logits=logits)
        if isinstance(self.task, MultiLabel):
            check_kind(self._field("y"), y, "share or nan")
        else:
            check_kind(self._field("y"), y, "class")
            check_classes(self._field("y"), y, c)
        return Answered(self.task, logits.double(), y)

    def _count(self, name: str, answered: Answered, classes: Tensor, where: Tensor | None = None) -> None:
        """Add samples to a sum over classes ``(c,)``.

        Args:
            name: of the sum.
            answered: the batch.
            classes: ``(b,)`` int64 class to which each sample is added; of labels ``(b, l)``, 1 where it is added.
            where: ``(b,)`` bool, the samples that are added; of labels ``(b, l)``. None for all.
        """
        if isinstance(self.task, MultiLabel):
            rows = (classes == 1) & answered.known
            self._add(name, rows if where is None else rows & where)
        else:
            kept = torch.ones_like(classes, dtype=torch.bool) if where is None else where
            self._add(name, kept[:, None], at=classes[:, None])

    @property
    def known(self) -> Tensor:
        """Number ``(c,)`` of samples whose class or label is known."""
        return self.known_labels if isinstance(self.task, MultiLabel) else self.samples.expand(self.task.outputs)

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
