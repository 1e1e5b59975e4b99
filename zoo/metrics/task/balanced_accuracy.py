"""Balanced accuracy: the mean over classes of the share of their samples that are found.

Source: Brodersen, Ong, Stephan, Buhmann, The Balanced Accuracy and Its Posterior Distribution, ICPR 2010.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from zoo.metrics.task._answered import Answered
from zoo.metrics.task._task_score import TaskScore
from zoo.registry import register
from zoo.task import Task


@register
class BalancedAccuracy(TaskScore):
    """Mean recall over the classes that occur; a predictor that always gives one class reaches 1 / c.

    The same as scikit-learn's ``balanced_accuracy_score``.

    Example:
        >>> import torch
        >>> score = BalancedAccuracy(2)
        >>> score.update(torch.tensor([[2.0, 0.0]] * 4), torch.tensor([0, 0, 0, 1]))
        >>> float(score.compute()["balanced_accuracy"])
        0.5
    """

    title = "Balanced accuracy"
    meaning = "mean over classes of the share of their inputs that are predicted correctly"
    protocol = "macro-recall"
    tasks = frozenset({"classification"})
    intervals = {"balanced_accuracy": ("", 0, 1)}
    hits: Tensor

    def __init__(self, task: Task | int, names: Sequence[str] = ()) -> None:
        super().__init__(task, names)
        self._sum("hits", self.task.outputs)

    def _add_answers(self, answered: Answered) -> None:
        self._count("hits", answered, answered.y, answered.predicted == answered.y)

    def compute(self) -> dict[str, Tensor]:
        """Balanced accuracy and that of the majority predictor."""
        present = self.counts > 0
        recall = self.hits.double() / self.counts.double()
        return {
            "balanced_accuracy": recall[present].mean(),
            self.baseline_name: self.constant.double()[present].mean(),
            "support": self.samples,
        }
