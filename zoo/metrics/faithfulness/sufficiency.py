"""Sufficiency: how few units keep the predicted class?

Source: DeYoung et al., ERASER: A Benchmark to Evaluate Rationalized NLP Models, ACL 2020 (the idea); the number of
units is defined here.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.metrics._value_checks import check_classes
from zoo.metrics.base import count
from zoo.metrics.concepts._policies import Decide
from zoo.metrics.faithfulness._ablation import Ablating, Ablation, partly, random_ranks, ranks
from zoo.registry import register


@register
class Sufficiency(Ablating):
    """Fewest units, largest contribution first, that keep the predicted class without the others; mean.

    Every number of units is tried where there are at most ``steps``; else 0 to 16 and then numbers that grow by a
    constant factor, so that the result is at most a step too large.

    Further read-outs: ``share`` of all units; ``median``; ``none`` share of inputs whose predicted class needs no unit;
    ``random`` the mean number in a random order.

    Args:
        num_units: u.
        ablation: ``mean`` or ``zero``; see ``Ablating``.
        steps: numbers of units tried, at least 32.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> score = Sufficiency(3, ablation="zero")
        >>> strength = torch.tensor([[3.0, 2.0, 1.0]])
        >>> def decide(mask, value):  # class 0 where the strengths come to more than 2.5
        ...     total = torch.where(mask, value, strength).sum(-1, keepdim=True)
        ...     return torch.cat([total - 2.5, 0 * total], -1)
        >>> labels, ids = torch.tensor([0]), torch.tensor([0])
        >>> score.update(strength, labels, labels, ids, decide=decide)
        >>> float(score.compute()["units"])  # the first unit alone, 3 of 2.5
        1.0
    """

    title = "Sufficiency"
    meaning = "fewest units, largest contribution first, that keep the predicted class"
    unit = "units"
    chance_readouts = ("random",)
    protocol = "zoo-sufficiency-v1"
    intervals = {"units": ("", 0, math.inf)}
    higher_is_better = False
    sufficient: Tensor

    def __init__(self, num_units: int, *, ablation: Ablation = "mean", steps: int = 50) -> None:
        super().__init__(num_units, ablation)
        if count("steps", steps) < 32:
            raise ValueError(f"steps is {steps}; expected at least 32")
        self.protocol = self._variant(type(self).protocol, ablation=ablation, steps=steps)
        self.sizes = torch.arange(num_units + 1)
        if num_units > steps:
            power = torch.linspace(0, 1, steps - 16, dtype=torch.float64)
            grown = (16 * (num_units / 16) ** power).round().long()
            self.sizes = torch.cat([torch.arange(17), grown]).unique()
        self._sum("sufficient", 2, len(self.sizes))

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
        """Add a batch; arguments as for ``InsertionDeletion``."""
        claim = self._checked(contribution, target, index)
        if not len(claim):
            return
        absent = self.absent(claim, value)
        rows = []
        for rank in (ranks(claim), random_ranks(index.to(claim.device), self.num_units)):
            logits = partly(decide, rank, self.sizes, absent, keep=True)
            check_classes(self._field("target"), target, logits.shape[-1])
            kept = logits.argmax(-1) == target.to(claim.device)
            kept[-1] = True
            rows.append(F.one_hot(kept.int().argmax(0), len(self.sizes)))
        self._add("sufficient", torch.stack(rows, 1).to(self.device))

    def compute(self) -> dict[str, Tensor]:
        """The size and its read-outs; see the class."""
        sizes = self.sizes.to(self.device)
        units, random = (self.sufficient * sizes).sum(1) / self.samples.double()
        half = (2 * self.sufficient[0].cumsum(0) >= self.samples).int().argmax()
        return {
            "units": units,
            "share": units / self.num_units,
            "median": sizes[half].double(),
            "none": self.sufficient[0, 0] / self.samples.double(),
            "random": random,
            "support": self.samples,
        }
