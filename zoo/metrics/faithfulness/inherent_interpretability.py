"""Inherent interpretability: how much of its accuracy does a model keep with a few units alone?

Source: Shen et al., Enhancing Pre-trained Representation Classifiability can Boost its Interpretability, ICLR 2025.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.metrics._value_checks import check_classes
from zoo.metrics.base import expect, fraction
from zoo.metrics.concepts._policies import Decide
from zoo.metrics.faithfulness._ablation import Ablating, Ablation, partly, ranks
from zoo.registry import register


@register
class InherentInterpretability(Ablating):
    """Inherent interpretability score: area under the accuracy that sparse explanations retain, per unit of range.

    At sparsity ratio s the share 1 - s of units with the largest contributions to the predicted class is kept (rounded
    up), the others are ablated; what is retained is the accuracy of that over the accuracy of the model. After Shen et
    al., Enhancing Pre-trained Representation Classifiability can Boost its Interpretability, ICLR 2025, who train a
    classifier at each ratio; here the model's own decision is used.

    Further read-outs: ``raw`` the area itself, ``iis`` times the range of ratios; ``accuracy`` of the model; ``none``
    the share retained with all units ablated, the floor. ``curve/retained``: by ratio.

    Args:
        num_units: u.
        ablation: ``mean`` or ``zero``; see ``Ablating``.
        ratios: increasing, each from 0 to 1, at least two.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> score = InherentInterpretability(3, ablation="zero", ratios=[0.0, 0.5, 1.0])
        >>> strength = torch.tensor([[3.0, 2.0, 1.0]])
        >>> def decide(mask, value):  # class 0 where the strengths come to more than 2.5
        ...     total = torch.where(mask, value, strength).sum(-1, keepdim=True)
        ...     return torch.cat([total - 2.5, 0 * total], -1)
        >>> labels, ids = torch.tensor([0]), torch.tensor([0])
        >>> score.update(strength, labels, labels, ids, decide=decide)
        >>> score.compute()["curve/retained"].tolist()  # with 3, 2 and 0 units
        [1.0, 1.0, 0.0]
    """

    title = "Inherent interpretability"
    meaning = "mean share of the accuracy kept by the units of largest contribution, over sparsity ratios"
    axes = {"retained": ("units ablated, in steps of 10 %", "share of the accuracy kept")}
    inputs = {**Ablating.inputs, "y": "class"}
    protocol = "zoo-retention-v1"
    intervals = {"iis": ("", 0, math.inf)}
    RATIOS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    right: Tensor

    def __init__(self, num_units: int, *, ablation: Ablation = "mean", ratios: Sequence[float] = RATIOS) -> None:
        super().__init__(num_units, ablation)
        self.ratios = tuple(fraction("ratios", r) for r in ratios)
        if len(self.ratios) < 2 or any(a >= b for a, b in zip(self.ratios, self.ratios[1:], strict=False)):
            raise ValueError(f"ratios is {list(ratios)}; expected two or more numbers that increase")
        self.protocol += "" if self.ratios == self.RATIOS else "/ratios" + "-".join(f"{r:g}" for r in self.ratios)
        kept = ((1 - torch.tensor(self.ratios, dtype=torch.float64)) * num_units - 1e-9).ceil().long()
        self.sizes = torch.cat([kept, torch.tensor([num_units, 0])])
        self._sum("right", len(self.sizes))

    def update(
        self,
        contribution: Tensor,
        target: Tensor,
        y: Tensor,
        index: Tensor | None = None,
        *,
        decide: Decide,
        value: Tensor | None = None,
    ) -> None:
        """Add a batch; ``y`` ``(b,)`` true classes, ``index`` not used, the others as for ``InsertionDeletion``."""
        claim = self._checked(contribution, target, index)
        expect("y", y, len(claim))
        self._check(y=y)
        if len(claim):
            logits = partly(decide, ranks(claim), self.sizes, self.absent(claim, value), keep=True)
            check_classes(self._field("y"), y, logits.shape[-1])
            self._add("right", (logits.argmax(-1) == y.to(logits.device)).long().T.to(self.device))

    def compute(self) -> dict[str, Tensor]:
        """The area and its read-outs; see the class."""
        *_, full, none = right = self.right.double()
        retained, ratios = right[:-2] / full, torch.tensor(self.ratios, dtype=torch.float64, device=self.device)
        raw = torch.trapezoid(retained, ratios)
        return {
            "iis": raw / (ratios[-1] - ratios[0]),
            "raw": raw,
            "accuracy": full / self.samples,
            "none": none / full,
            "support": self.samples,
            "curve/retained": retained,
        }
