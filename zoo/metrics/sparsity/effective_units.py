"""Effective units: how many units does a reader have to read?

Source: defined here; the Gini coefficient as in Hurley, Rickard, Comparing Measures of Sparsity, IEEE Transactions on
Information Theory 2009.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.metrics.base import ANY_TASK, Record, Score, count, expect, fraction
from zoo.registry import register


@register
class EffectiveUnits(Score):
    """Fewest units that carry a share of the absolute contribution of an input, averaged over inputs.

    Further read-outs: ``gini`` mean Gini coefficient of the absolute contributions (0 all alike, towards 1 one unit
    alone) and ``entropy`` mean entropy of their shares, in nats (0 one unit alone, log u all alike), both without the
    inputs that have no contribution; ``dead`` share of units that never contribute. Per unit: ``unit/used`` number of
    inputs to which the unit contributes, ``unit/mass`` mean share of the absolute contribution.

    Args:
        num_units: u.
        share: of the absolute contribution to carry, above 0 and at most 1. The id printed adds it where it is not 0.9:
            ``zoo-size-v1/share0.5``.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> score = EffectiveUnits(3)
        >>> score.update(torch.tensor([[9.0, 1.0, 0.0], [1.0, -1.0, 1.0]]))  # 1 unit carries 90 %; 3 are needed
        >>> float(score.compute()["effective_units"])
        2.0
    """

    title = "Effective units"
    meaning = "fewest units that carry 90 % of the absolute contribution of an input"
    unit = "units"
    unit_readouts = {"used": "inputs to which the unit contributes", "mass": "mean share of the absolute contribution"}
    requires = frozenset({"units"})
    tasks = ANY_TASK
    inputs = {"contribution": "finite"}
    protocol = "zoo-size-v1"
    intervals = {"effective_units": ("", 0, math.inf)}
    higher_is_better = False
    count: Tensor
    alive: Tensor
    gini: Tensor
    entropy: Tensor
    used: Tensor
    mass: Tensor

    def __init__(self, num_units: int, *, share: float = 0.9) -> None:
        super().__init__()
        self.num_units, self.share = count("num_units", num_units), fraction("share", share, zero=False)
        self.protocol = self._variant(type(self).protocol, share=self.share)
        self._sum("count")
        self._sum("alive")
        for name in ("gini", "entropy"):
            self._sum(name, dtype=torch.float64)
        self._sum("used", num_units)
        self._sum("mass", num_units, dtype=torch.float64)

    def update(self, contribution: Tensor) -> None:
        """Add a batch.

        Args:
            contribution: ``(b, u)`` what each unit adds to the answer.

        Raises:
            ValueError: if the shape does not fit or a number is not finite.
        """
        expect("contribution", contribution, None, self.num_units)
        self._check(contribution=contribution)
        weight = contribution.detach().to(self.device).double().abs()
        ranked = weight.sort(1).values
        total = ranked.sum(1, keepdim=True)
        carried = ranked.flip(1).cumsum(1) / total.clamp_min(torch.finfo(torch.float64).tiny)
        short = (carried < self.share * (1 - 1e-12)) & (total > 0)
        rank = torch.arange(1, self.num_units + 1, device=self.device) * 2 - self.num_units - 1
        gini = (ranked * rank).sum(1) / (self.num_units * total[:, 0])
        alive = total[:, 0] > 0
        self._add("count", short.sum(1) + alive)
        self._add("samples", torch.ones_like(alive, dtype=torch.int64))
        self.alive = self.alive + alive.sum()
        self.gini = self.gini + torch.where(alive, gini, 0).sum()
        self.used = self.used + (weight > 0).sum(0)
        shares = torch.where(alive[:, None], weight / total, 0)
        self.entropy = self.entropy - torch.special.xlogy(shares, shares).sum()
        self.mass = self.mass + shares.sum(0)

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record."""
        self.update(record.explanation.contribution)

    def compute(self) -> dict[str, Tensor]:
        """The size and its read-outs; see the class."""
        return {
            "effective_units": self.count / self.samples.double(),
            "gini": self.gini / self.alive,
            "entropy": self.entropy / self.alive,
            "dead": (self.used == 0).double().mean(),
            "support": self.samples,
            "unit/used": self.used,
            "unit/mass": self.mass / self.samples,
        }
