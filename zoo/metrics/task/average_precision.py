"""Average precision: the precision of a ranking by probability, averaged over recall.

Source: Zhu, Recall, Precision and Average Precision, technical report of the University of Waterloo 2004.
"""

from __future__ import annotations

from torch import Tensor
from torchmetrics.functional.classification import binary_average_precision

from zoo.metrics.task._curves import RankingScore, weighted_average_precision
from zoo.registry import register


@register
class AveragePrecision(RankingScore):
    """Average precision of the second of two classes; of more classes, or of labels, the mean one against the rest.

    A constant score has the share of the class as its average precision.

    Example:
        >>> import torch
        >>> score = AveragePrecision(2)
        >>> score.update(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]), torch.tensor([0, 1, 0]))
        >>> float(score.compute()["average_precision"])
        1.0
    """

    title = "Average precision"
    meaning = "mean precision of the ranking by the probability of a class"
    protocol = "ovr-macro-ap"
    key = "average_precision"
    exact = staticmethod(binary_average_precision)
    area = staticmethod(weighted_average_precision)

    def _constant(self, share: Tensor) -> Tensor:
        return share
