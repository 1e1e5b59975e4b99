"""Insertion and deletion of units: the probability of the predicted class with few units, and without them.

Source: Petsiuk, Das, Saenko, RISE, BMVC 2018 (for pixels); for units it is defined here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.metrics._value_checks import check_classes
from zoo.metrics.base import count
from zoo.metrics.concepts._policies import Decide
from zoo.metrics.faithfulness._ablation import Ablating, Ablation, partly, random_ranks, ranks
from zoo.registry import register

CURVES = ("deletion", "insertion", "random deletion", "random insertion")


@register
class InsertionDeletion(Ablating):
    """Area under the insertion curve minus area under the deletion curve of units ordered by contribution.

    Units are ablated, largest contribution first (deletion), or all but the first are (insertion); the curves are the
    mean probability of the predicted class, against the share of units, 0..1. An uninformative order has expectation 0;
    the ``random`` curves, of one random order for each sample id, show it.

    Further read-outs: ``insertion``, ``deletion`` the two areas; ``random gap``, ``random insertion``, ``random
    deletion`` the same of random orders. ``curve/...`` the four curves, from no unit to all.

    Args:
        num_units: u.
        ablation: ``mean`` or ``zero``; see ``Ablating``.
        steps: of equal share in a curve; of one unit each where there are fewer units.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> score = InsertionDeletion(3, ablation="zero")
        >>> strength = torch.tensor([[3.0, 2.0, 1.0]])
        >>> def decide(mask, value):  # class 0 where the strengths come to more than 2.5
        ...     total = torch.where(mask, value, strength).sum(-1, keepdim=True)
        ...     return torch.cat([1e3 * (total - 2.5), 0 * total], -1)
        >>> labels, ids = torch.tensor([0]), torch.tensor([0])
        >>> score.update(strength, labels, labels, ids, decide=decide)
        >>> score.compute()["curve/deletion"].tolist()  # probability with 0, 1, 2 and 3 units ablated
        [1.0, 1.0, 0.0, 0.0]
    """

    title = "Insertion and deletion"
    meaning = "area between the insertion and deletion curves of units ordered by contribution; chance is 0"
    axes = {"*": ("share of units inserted or deleted, in equal steps", "probability of the predicted class")}
    protocol = "zoo-unit-curves-v1"
    intervals = {"gap": ("", -1, 1)}
    curves: Tensor

    def __init__(self, num_units: int, *, ablation: Ablation = "mean", steps: int = 50) -> None:
        super().__init__(num_units, ablation)
        self.protocol = self._variant(type(self).protocol, ablation=ablation, steps=count("steps", steps))
        places = torch.linspace(0, num_units, min(steps, num_units) + 1, dtype=torch.float64)
        self.sizes = places.round().long()
        self._sum("curves", len(CURVES), len(self.sizes), dtype=torch.float64)

    def update(
        self,
        contribution: Tensor,
        target: Tensor,
        y: Tensor | None,
        index: Tensor,
        *,
        decide: Decide,
        value: Tensor | None = None,
    ) -> None:
        """Add a batch.

        Args:
            contribution: ``(b, u)`` to the logit of ``target``.
            target: ``(b,)`` predicted class.
            y: not used.
            index: ``(b,)`` int64 identity of each sample, from which its random order is drawn.
            decide: logits ``(..., b, c)`` from mask and strengths ``(..., b, u)``.
            value: ``(u,)`` or ``(b, u)`` strengths of ablated units; None for those of ``ablation``.

        Raises:
            ValueError: if a shape does not fit.
        """
        claim = self._checked(contribution, target, index)
        if not len(claim):
            return
        probabilities = []
        absent = self.absent(claim, value)
        target = target.to(claim.device)
        for rank in (ranks(claim), random_ranks(index.to(claim.device), self.num_units)):
            for keep in (False, True):
                logits = partly(decide, rank, self.sizes, absent, keep=keep)
                check_classes(self._field("target"), target, logits.shape[-1])
                chance = logits.double().softmax(-1).gather(2, target.expand(logits.shape[:2])[..., None])
                probabilities.append(chance[..., 0].T)
        self._add("curves", torch.stack(probabilities, 1).to(self.device))

    def compute(self) -> dict[str, Tensor]:
        """The gap and its read-outs; see the class."""
        share = self.sizes.double().to(self.device) / self.num_units
        curves = dict(zip(CURVES, self.curves / self.samples.double(), strict=True))
        area = {name: torch.trapezoid(curve, share) for name, curve in curves.items()}
        return {
            "gap": area["insertion"] - area["deletion"],
            "insertion": area["insertion"],
            "deletion": area["deletion"],
            "random gap": area["random insertion"] - area["random deletion"],
            "random insertion": area["random insertion"],
            "random deletion": area["random deletion"],
            "support": self.samples,
            **{f"curve/{name}": curve for name, curve in curves.items()},
        }
