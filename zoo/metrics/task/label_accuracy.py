"""Label accuracy: the share of labels that are predicted correctly.

Source: Tsoumakas, Katakis, Multi-Label Classification: An Overview, International Journal of Data Warehousing and
Mining 2007.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.metrics.task._answered import Answered
from zoo.metrics.task._task_score import TaskScore
from zoo.registry import register
from zoo.task import MultiLabel, Task


@register
class LabelAccuracy(TaskScore):
    """Mean over labels of the share of inputs for which they are predicted correctly; 1 minus the Hamming loss.

    ``exact match`` is the share of inputs of which every known label is predicted correctly.

    Example:
        >>> score = LabelAccuracy(MultiLabel(2))
        >>> score.update(torch.tensor([[2.0, -1.0]]), torch.tensor([[1.0, 1.0]]))
        >>> float(score.compute()["label_accuracy"])
        0.5
    """

    title = "Label accuracy"
    meaning = "mean over labels of the share of inputs for which they are predicted correctly"
    protocol = "macro-labels"
    inputs = {"logits": "finite", "y": "share or nan"}
    tasks = frozenset({"multilabel"})
    intervals = {"label_accuracy": ("", 0, 1)}
    correct: Tensor
    exact: Tensor

    def __init__(self, task: Task | int, names: Sequence[str] = ()) -> None:
        super().__init__(MultiLabel(task) if isinstance(task, int) else task, names)
        self._sum("correct", self.task.outputs)
        self._sum("exact")

    def _add_answers(self, answered: Answered) -> None:
        correct = answered.truth == answered.decision
        self._add("correct", correct & answered.known)
        self._add("exact", (correct | ~answered.known).all(1))

    def compute(self) -> dict[str, Tensor]:
        """Label accuracy, that of the majority predictor, and the share of exact matches."""
        known = self.known.double()
        share = self.counts.double() / known
        constant = torch.where(self.constant, share, 1 - share)
        return {
            "label_accuracy": (self.correct.double() / known)[known > 0].mean(),
            self.baseline_name: constant[known > 0].mean(),
            "exact match": self.exact.double() / self.samples,
            "support": self.samples,
        }
