"""Sufficiency: how few units keep the answer?"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.metrics.base import count, expect
from zoo.metrics.concepts._policies import Decide
from zoo.metrics.faithfulness._ablation import Ablating, Ablation, partly, random_ranks, ranks
from zoo.registry import register


@register
class Sufficiency(Ablating):
    """Fewest units, largest contribution first, that keep the answer when all others are taken out; mean over inputs.

    Of all numbers of units where there are at most ``steps``; else of 0 to 16 and then of numbers that grow by a
    constant factor, so that the size is at most a step too large.

    Further read-outs: ``share`` of all units; ``median``; ``none`` share of inputs whose answer needs no unit at all;
    ``random`` the mean size in a random order.

    Args:
        num_units: u.
        ablation: ``mean`` or ``zero``; see ``Ablating``.
        steps: numbers of units tried, at least 32.

    Raises:
        ValueError: if an argument is out of range.
    """

    title = "Sufficiency"
    meaning = "fewest units, largest contribution first, that keep the predicted class"
    unit = "units"
    chance_readouts = ("random",)
    protocol = "zoo-sufficiency-v1"
    intervals = {"units": ("", 0, math.inf)}
    higher_is_better = False
    found: Tensor

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
        self._sum("found", 2, len(self.sizes))

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
        claim = self._checked(contribution, target)
        expect("index", index, len(claim))
        if not len(claim):
            return
        absent, rows = self.absent(claim, value), []
        for rank in (ranks(claim), random_ranks(index.to(claim.device), self.num_units)):
            kept = partly(decide, rank, self.sizes, absent, keep=True).argmax(-1) == target.to(claim.device)
            kept[-1] = True
            rows.append(F.one_hot(kept.int().argmax(0), len(self.sizes)))
        self._add("found", torch.stack(rows, 1).to(self.device))

    def compute(self) -> dict[str, Tensor]:
        """The size and its read-outs; see the class."""
        sizes = self.sizes.to(self.device)
        units, random = (self.found * sizes).sum(1) / self.samples.double()
        half = (2 * self.found[0].cumsum(0) >= self.samples).int().argmax()
        return {
            "units": units,
            "share": units / self.num_units,
            "median": sizes[half].double(),
            "none": self.found[0, 0] / self.samples.double(),
            "random": random,
            "support": self.samples,
        }
