"""Selections of units: what the answer becomes with the most important units alone, or without them."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.metrics.base import count, expect
from zoo.metrics.concepts._policies import Decide
from zoo.metrics.faithfulness._ablation import Ablating, Ablation, partly, random_ranks, ranks

CURVES = ("deletion", "insertion", "random deletion", "random insertion")


class InsertionDeletion(Ablating):
    """Area under the insertion curve minus area under the deletion curve of units ordered by contribution.

    Units are taken out, largest contribution first (deletion), or all but the first are (insertion); the curves are the
    mean probability of the class answered, against the share of units, 0..1. An order that says nothing comes to 0 in
    expectation; the ``random`` curves, of one random order for each sample id, show it.

    Further read-outs: ``insertion``, ``deletion`` the two areas; ``random gap``, ``random insertion``, ``random
    deletion`` the same of random orders. ``curve/...`` the four curves, from no unit to all.

    Args:
        num_units: u.
        ablation: ``mean`` or ``zero``; see ``Ablating``.
        steps: of equal share in a curve; of one unit each where there are fewer units.

    Raises:
        ValueError: if an argument is out of range.
    """

    protocol = "zoo-unit-curves-v1"
    intervals: ClassVar[dict[str, tuple[str, float, float]]] = {"gap": ("", -1, 1)}

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
            target: ``(b,)`` class answered.
            y: not used.
            index: ``(b,)`` int64 identity of each sample, from which its random order is drawn.
            decide: logits ``(..., b, c)`` from mask and strengths ``(..., b, u)``.
            value: ``(u,)`` or ``(b, u)`` strengths of units taken out; None for those of ``ablation``.

        Raises:
            ValueError: if a shape does not fit.
        """
        claim = self._checked(contribution, target)
        expect("index", index, len(claim))
        if not len(claim):
            return
        found, absent, target = [], self.absent(claim, value), target.to(claim.device)
        for rank in (ranks(claim), random_ranks(index.to(claim.device), self.num_units)):
            for keep in (False, True):
                logits = partly(decide, rank, self.sizes, absent, keep=keep)
                chance = logits.double().softmax(-1).gather(2, target.expand(logits.shape[:2])[..., None])
                found.append(chance[..., 0].T)
        self._add("curves", torch.stack(found, 1).to(self.device))

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

    protocol = "zoo-sufficiency-v1"
    intervals: ClassVar[dict[str, tuple[str, float, float]]] = {"units": ("", 0, math.inf)}
    higher_is_better = False

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
