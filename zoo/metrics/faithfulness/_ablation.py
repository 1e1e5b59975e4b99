"""Ablation of units: what the scores of faithfulness share."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from zoo.metrics.base import Record, Score, count, expect
from zoo.metrics.concepts._policies import Decide
from zoo.metrics.perturbations.noise import random_bits

CHUNK = 1 << 22  # strengths set in one call of decide
Ablation = Literal["mean", "zero"]


class Ablating(Score):
    """A score of the answer with units ablated: their strength set to a value that carries no information.

    ``mean``: each unit's mean strength over the training split (``fit``). ``zero``: strength
    0, which some families read as absence (a similarity), others as a value (a concept that is false) or as the
    strongest presence (a negative distance). The id printed adds ``/ablationzero``. The class explained is the
    predicted one, whatever the true class.

    Args:
        num_units: u.
        ablation: which strength an ablated unit has.

    Attributes:
        why: why nothing could be scored; empty if something was.
    """

    requires = frozenset({"units", "decide"})

    def __init__(self, num_units: int, ablation: Ablation) -> None:
        super().__init__()
        if ablation not in ("mean", "zero"):
            raise ValueError(f"ablation is {ablation!r}; expected mean or zero")
        self.num_units, self.ablation = count("num_units", num_units), ablation
        self.protocol = self._variant(type(self).protocol, ablation=ablation)
        self.fit_splits = ("train",) if ablation == "mean" else ()
        self._fitted: tuple[Tensor | None, int] = (None, 0)
        self._stale, self.why = False, ""

    def fit(self, record: Record, split: str) -> None:
        """Add a batch of the training split to the mean strengths."""
        total, n = (None, 0) if self._stale else self._fitted
        strength = record.explanation.strength.detach().double()
        self._fitted = strength.sum(0) + (0 if total is None else total.to(strength.device)), n + len(strength)
        self._stale = False

    def reset(self) -> None:
        """Forget the samples; the fitted strengths stay until ``fit`` is called again."""
        super().reset()
        self._stale = True

    def absent(self, like: Tensor, value: Tensor | None = None) -> Tensor:
        """Strengths ``(u,)`` or ``(b, u)`` of units taken out, of the type of ``like`` ``(b, u)``.

        Raises:
            ValueError: if ``fit`` was not called and no ``value`` given; or if the shape does not fit.
        """
        total, n = self._fitted
        if value is None and self.ablation == "zero":
            value = like.new_zeros(self.num_units)
        if value is None and total is None:
            raise ValueError("strengths of ablated units are not known; call fit on the training split, or pass value")
        if value is None:
            value = total / n
        if value.shape not in ((self.num_units,), (len(like), self.num_units)):
            raise ValueError(f"value is {tuple(value.shape)}; expected ({self.num_units},) or {tuple(like.shape)}")
        return value.detach().to(like)

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record; nothing if the mean strengths were not fitted."""
        if self.ablation == "mean" and self._fitted[0] is None:
            return
        state, batch = record.model.encode(record.batch.x), record.batch
        value = self.absent(record.explanation.strength)
        self.update(
            *record.predicted_contribution,
            batch.y,
            batch.index,
            decide=lambda m, v: record.model.decide(state, m, v),
            value=value,
        )

    def _checked(self, contribution: Tensor, target: Tensor) -> Tensor:
        expect("contribution", contribution, None, self.num_units)
        expect("target", target, len(contribution))
        self._add("samples", torch.ones(len(contribution), dtype=torch.int64, device=self.device))
        return contribution.detach()


def ranks(contribution: Tensor) -> Tensor:
    """``(b, u)`` place of each unit, 0 for the largest contribution; of equal ones the lower id comes first."""
    return contribution.argsort(dim=1, descending=True, stable=True).argsort(1)


def random_ranks(index: Tensor, num_units: int) -> Tensor:
    """``(b, u)`` places in a random order that depends on the sample alone."""
    return random_bits(index, draw=0, count=num_units).argsort(1).argsort(1)


def partly(decide: Decide, rank: Tensor, sizes: Tensor, value: Tensor, *, keep: bool) -> Tensor:
    """Logits ``(t, b, c)`` with only the first of each number of units kept, or with only those taken out.

    Args:
        decide: logits ``(..., b, c)`` from mask and strengths ``(..., b, u)``.
        rank: ``(b, u)`` place of each unit in the order of its input.
        sizes: ``(t,)`` numbers of units.
        value: ``(u,)`` or ``(b, u)`` strengths of units taken out.
        keep: whether the first units are kept and the others taken out, or the other way round.
    """
    found = []
    for some in sizes.to(rank.device).split(max(1, CHUNK // max(1, rank.numel()))):
        mask = (rank < some[:, None, None]) ^ keep
        found.append(decide(mask, value.expand(mask.shape)))
    return torch.cat(found)
