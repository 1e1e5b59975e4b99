"""Ablation of units: what the scores of faithfulness share."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from zoo.metrics._value_checks import check_finite
from zoo.metrics.base import Record, Score, count, expect
from zoo.metrics.concepts._policies import Decide
from zoo.metrics.perturbations.noise import random_bits

CHUNK = 1 << 22  # strengths set in one call of decide
Ablation = Literal["mean", "zero"]


class Ablating(Score):
    """A score of the predicted class with units ablated: their strength set to a value that carries no information.

    ``mean``: each unit's mean strength over the training split (``fit``). ``zero``: strength 0, which means absence in
    some families (a similarity), a value in others (a concept that is false) or the strongest presence (a negative
    distance). The id printed adds ``/ablationzero``. The class explained is the
    predicted one, whatever the true class.

    Args:
        num_units: u.
        ablation: which strength an ablated unit has.

    Attributes:
        why: why nothing could be scored; empty if something was.
    """

    requires = frozenset({"units", "decide"})
    inputs = {"contribution": "finite", "target": "class", "y": "any", "index": "ids", "value": "finite"}

    def __init__(self, num_units: int, ablation: Ablation) -> None:
        super().__init__()
        if ablation not in ("mean", "zero"):
            raise ValueError(f"ablation is {ablation!r}; expected mean or zero")
        self.num_units, self.ablation = count("num_units", num_units), ablation
        self.protocol = self._variant(type(self).protocol, ablation=ablation)
        self.fit_splits = ("train",) if ablation == "mean" else ()
        self._fitted: tuple[Tensor, int] | None = None  # sum of strengths (u,), number of inputs
        self._stale = False
        self.why = ""

    def fit(self, record: Record, split: str) -> None:
        """Add a batch of the training split to the mean strengths."""
        strength = record.explanation.strength.detach().double()
        total, n = strength.sum(0), len(strength)
        if self._fitted is not None and not self._stale:
            total, n = total + self._fitted[0].to(total.device), n + self._fitted[1]
        self._fitted = total, n
        self._stale = False

    def reset(self) -> None:
        """Forget the samples; the fitted strengths stay until ``fit`` is called again."""
        super().reset()
        self._stale = True

    def absent(self, like: Tensor, value: Tensor | None = None) -> Tensor:
        """Return strengths ``(u,)`` or ``(b, u)`` of ablated units, of the type of ``like`` ``(b, u)``.

        Raises:
            ValueError: if ``fit`` was not called and no ``value`` given; or if the shape does not fit.
        """
        if value is None and self.ablation == "zero":
            value = like.new_zeros(self.num_units)
        if value is None:
            if self._fitted is None:
                raise ValueError(
                    "strengths of ablated units are not known; call fit on the training split, or pass value"
                )
            total, n = self._fitted
            value = total / n
        self._check(value=value)
        if value.shape not in ((self.num_units,), (len(like), self.num_units)):
            raise ValueError(f"value is {tuple(value.shape)}; expected ({self.num_units},) or {tuple(like.shape)}")
        return value.detach().to(like)

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record; nothing if the mean strengths were not fitted."""
        if self.ablation == "mean" and self._fitted is None:
            return
        state, batch = record.model.encode(record.batch.x), record.batch
        value = self.absent(record.explanation.strength)
        self.update(
            *record.predicted_contribution,
            batch.targets,
            batch.index,
            decide=lambda m, v: record.model.decide(state, m, v),
            value=value,
        )

    def _checked(self, contribution: Tensor, target: Tensor, index: Tensor | None) -> Tensor:
        expect("contribution", contribution, None, self.num_units)
        expect("target", target, len(contribution))
        if index is not None:
            expect("index", index, len(contribution))
        self._check(contribution=contribution, target=target, index=index)
        self._add("samples", torch.ones(len(contribution), dtype=torch.int64, device=self.device))
        return contribution.detach()


def ranks(contribution: Tensor) -> Tensor:
    """Return the place ``(b, u)`` of each unit, 0 for the largest contribution; ties by lower id."""
    return contribution.argsort(dim=1, descending=True, stable=True).argsort(1)


def random_ranks(index: Tensor, num_units: int) -> Tensor:
    """Return places ``(b, u)`` in a random order that depends on the sample alone."""
    return random_bits(index, draw=0, count=num_units).argsort(1).argsort(1)


def partly(decide: Decide, rank: Tensor, sizes: Tensor, value: Tensor, *, keep: bool) -> Tensor:
    """Return logits ``(t, b, c)`` with only the first of each number of units kept, or only those ablated.

    Args:
        decide: logits ``(..., b, c)`` from mask and strengths ``(..., b, u)``.
        rank: ``(b, u)`` place of each unit in the order of its input.
        sizes: ``(t,)`` numbers of units.
        value: ``(u,)`` or ``(b, u)`` strengths of ablated units.
        keep: whether the first units are kept and the others ablated, or the first ablated and the others kept.
    """
    logits = []
    for part in sizes.to(rank.device).split(max(1, CHUNK // max(1, rank.numel()))):
        mask = (rank < part[:, None, None]) ^ keep
        logits.append(decide(mask, value.expand(mask.shape)))
        check_finite("logits with units ablated", logits[-1])
    return torch.cat(logits)
