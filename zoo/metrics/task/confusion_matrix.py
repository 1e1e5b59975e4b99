"""The confusion matrix, and the class of which the smallest share is found.

Source: standard definition; the lowest recall as its headline is chosen here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix, multilabel_confusion_matrix

from zoo.metrics.task._answered import Answered
from zoo.metrics.task._task_score import TaskScore
from zoo.registry import register
from zoo.task import Classification, Task

LARGEST = 100  # classes of which the whole matrix is kept
UNKNOWN = -1  # a label that is not counted


@register
class ConfusionMatrix(TaskScore):
    """How often each class is predicted for each class; its headline is the lowest recall of any class.

    ``table/confusion matrix`` ``(c, c)`` has a row for each true class and a column for each predicted one; of labels
    ``(l, 4)`` true negatives, false positives, false negatives, true positives. Of more than 100 classes there is none.

    Example:
        >>> score = ConfusionMatrix(2, ("well", "ill"))
        >>> score.update(torch.tensor([[2.0, 0.0]] * 4), torch.tensor([0, 0, 0, 1]))
        >>> score.compute()["table/confusion matrix"].tolist()
        [[3, 0], [1, 0]]
    """

    title = "Lowest class recall"
    meaning = "of the class that is found least, the share of its inputs that are predicted correctly"
    protocol = "min-recall"
    no_interval = "the class that is found least differs between replicates"
    hits: Tensor
    matrix: Tensor

    def __init__(self, task: Task | int, names: Sequence[str] = ()) -> None:
        super().__init__(task, names)
        c = self.task.outputs
        width = 0 if c > LARGEST else c if isinstance(self.task, Classification) else 4
        self._sum("hits", c)
        self._sum("matrix", c * width)

    def _add_answers(self, answered: Answered) -> None:
        self._count("hits", answered, answered.y, answered.predicted == answered.y)
        c = self.task.outputs
        if not len(self.matrix) or not len(answered.y):
            return
        if isinstance(self.task, Classification):
            matrix = multiclass_confusion_matrix(answered.predicted, answered.y, c, validate_args=False)
        else:
            truth = torch.where(answered.known, answered.truth.long(), UNKNOWN)
            decision = answered.decision.long()
            matrix = multilabel_confusion_matrix(decision, truth, c, ignore_index=UNKNOWN, validate_args=False)
        self.matrix = self.matrix + matrix.flatten()

    def compute(self) -> dict[str, Tensor]:
        """Lowest recall, that of the majority predictor, and recall and matrix of all classes."""
        present = self.counts > 0
        recall = (self.hits.double() / self.counts)[present]
        none = recall.new_tensor(torch.nan)
        constant = self.constant.double()[present]
        out = {
            "lowest recall": recall.min() if len(recall) else none,
            self.baseline_name: constant.min() if len(constant) else none,
            "classes never found": (recall == 0).sum(),
        }
        if len(self.matrix):
            out["table/confusion matrix"] = self.matrix.unflatten(0, (self.task.outputs, -1))
        return out | {"support": self.samples}

    def remark(self, value: float, more: Mapping[str, float]) -> str:
        """Name the class that is found least, as a warning if none of its inputs is found."""
        recall = (self.hits.double() / self.counts).nan_to_num(2.0)
        k = int(recall.argmin())
        what = "class" if self.task.kind == "classification" else "label"
        line = f"{what} {self.output_names[k]!r}: {int(self.hits[k])} of {int(self.counts[k])} found"
        never = int(more["classes never found"])
        if not never:
            return line
        others = f", and none of {never - 1} other{'s' if never > 2 else ''}" if never > 1 else ""
        return f"WARNING: {line}{others}"
