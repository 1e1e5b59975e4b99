"""Macro F1: the mean over classes of the harmonic mean of precision and recall.

Source: van Rijsbergen, Information Retrieval, second edition, Butterworths 1979.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from zoo.metrics.task._answered import Answered
from zoo.metrics.task._task_score import TaskScore
from zoo.registry import register
from zoo.task import Task


@register
class MacroF1(TaskScore):
    """Mean F1 over the classes or labels that occur or are predicted.

    The same as scikit-learn's ``f1_score(average="macro")``, and torchmetrics' for classes that occur.

    Example:
        >>> import torch
        >>> score = MacroF1(2)
        >>> score.update(torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1]))
        >>> float(score.compute()["macro_f1"])
        1.0
    """

    title = "Macro F1"
    meaning = "mean over classes of the harmonic mean of precision and recall"
    protocol = "macro-f1"
    intervals = {"macro_f1": ("", 0, 1)}
    hits: Tensor
    predicted: Tensor

    def __init__(self, task: Task | int, names: Sequence[str] = ()) -> None:
        super().__init__(task, names)
        self._sum("hits", self.task.outputs)
        self._sum("predicted", self.task.outputs)

    def _add_answers(self, answered: Answered) -> None:
        self._count("hits", answered, answered.y, answered.predicted == answered.y)
        self._count("predicted", answered, answered.predicted)

    def compute(self) -> dict[str, Tensor]:
        """Macro F1 and that of the majority predictor."""
        always = self.constant
        return {
            "macro_f1": _macro(self.hits, self.predicted, self.counts),
            self.baseline_name: _macro(self.counts * always, self.known * always, self.counts),
            "support": self.samples,
        }


def _macro(hits: Tensor, predicted: Tensor, counts: Tensor) -> Tensor:
    total = (predicted + counts).double()
    return (2 * hits.double() / total)[total > 0].mean()
