"""AUROC: how often an input of a class has a higher probability of it than an input of another class.

Source: Hanley, McNeil, The Meaning and Use of the Area under a Receiver Operating Characteristic (ROC) Curve, Radiology
1982.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc

from zoo.metrics.task._curves import RankingScore, weighted_auroc
from zoo.registry import register


@register
class Auroc(RankingScore):
    """Area under the ROC curve; of more than two classes, or of labels, the mean one against the rest.

    Example:
        >>> score = Auroc(2)
        >>> score.update(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]), torch.tensor([0, 1, 0]))
        >>> float(score.compute()["auroc"])
        1.0
    """

    title = "AUROC"
    meaning = "probability that an input of a class is ranked above one that is not of it"
    protocol = "ovr-macro"
    key = "auroc"
    exact = staticmethod(binary_auroc)
    area = staticmethod(weighted_auroc)

    def _constant(self, share: Tensor) -> Tensor:
        return torch.full_like(share, 0.5)
