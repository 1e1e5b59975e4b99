"""Units taken out of a decision: what scores of faithfulness ask of a model."""

from __future__ import annotations

import weakref
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from zoo.metrics.base import Record, Score, count, expect
from zoo.metrics.concepts._policies import Decide
from zoo.metrics.perturbations.noise import random_bits

CHUNK = 1 << 22  # strengths set in one call of decide
Ablation = Literal["mean", "zero"]
UNASKED = "the model cannot be asked what it answers without a unit"
_last: list[Any] = [lambda: None, None]  # what was seen last, weakly, and what was answered there


class Ablating(Score):
    """A score that asks for the answer with units taken out: their strength set to a value that says nothing.

    ``mean``: each unit's mean strength over the training split (``study``), an input like any other. ``zero``: strength
    0, which some families read as absence (a similarity), others as a statement (a concept that is false) or as the
    strongest presence (a negative distance). The id printed adds ``/ablationzero``. The class explained is the one that
    the model answers, whatever the truth: its reasons are tested.

    Args:
        num_units: u.
        ablation: what taken out means.

    Attributes:
        why: why nothing could be fed; empty if something was.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"units"})

    def __init__(self, num_units: int, ablation: Ablation) -> None:
        super().__init__()
        if ablation not in ("mean", "zero"):
            raise ValueError(f"ablation is {ablation!r}; expected mean or zero")
        self.num_units, self.ablation = count("num_units", num_units), ablation
        self.protocol = self._variant(type(self).protocol, ablation=ablation)
        self.fit_splits = ("train",) if ablation == "mean" else ()
        self._studied: tuple[Tensor | None, int] = (None, 0)
        self._stale, self.why = False, ""

    def fit(self, seen: Record, split: str) -> None:
        """Add a batch of the training split to the mean strengths."""
        total, n = (None, 0) if self._stale else self._studied
        strength = seen.explanation.strength.detach().double()
        self._studied = strength.sum(0) + (0 if total is None else total.to(strength.device)), n + len(strength)
        self._stale = False

    def reset(self) -> None:
        """Forget what was fed; what was studied stays until something is studied anew."""
        super().reset()
        self._stale = True

    def absent(self, like: Tensor, value: Tensor | None = None) -> Tensor:
        """Strengths ``(u,)`` or ``(b, u)`` of units taken out, of the type of ``like`` ``(b, u)``.

        Raises:
            ValueError: if there are none: nothing was studied, nor ``value`` given; or if they do not fit.
        """
        total, n = self._studied
        if value is None and self.ablation == "mean" and total is None:
            raise ValueError("strengths of absent units are not known: study the training split, or pass value")
        if value is None:
            value = like.new_zeros(self.num_units) if self.ablation == "zero" else total / n
        if value.shape not in ((self.num_units,), (len(like), self.num_units)):
            raise ValueError(f"value is {tuple(value.shape)}; expected ({self.num_units},) or {tuple(like.shape)}")
        return value.detach().to(like)

    def update_from(self, seen: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add what a suite saw; nothing if the model cannot be asked, or no strengths were studied."""
        found = answered(seen)
        if found is None:
            self.why = UNASKED
        if found is None or (self.ablation == "mean" and self._studied[0] is None):
            return
        state, batch = seen.model.encode(seen.batch.x), seen.batch
        value = self.absent(seen.explanation.strength)
        self.update(*found, batch.y, batch.index, decide=lambda m, v: seen.model.decide(state, m, v), value=value)

    def _checked(self, contribution: Tensor, target: Tensor) -> Tensor:
        expect("contribution", contribution, None, self.num_units)
        expect("target", target, len(contribution))
        self._add("samples", torch.ones(len(contribution), dtype=torch.int64, device=self.device))
        return contribution.detach()


def answered(seen: Record) -> tuple[Tensor, Tensor] | None:
    """Contributions ``(b, u)`` to the class that the model answers ``(b,)``; None of a model that cannot be asked.

    Where the answer is not the class already explained, those inputs are explained again: once for all scores in a row
    that ask about one batch.
    """
    told, model = seen.explanation, seen.model
    if not hasattr(model, "decide") or not hasattr(model, "encode"):
        return None
    if _last[0]() is not seen:
        said, contribution = told.logits.argmax(1), told.contribution
        rows = (said != told.target).nonzero()[:, 0]
        if len(rows):
            also = model.explain(seen.batch.x[rows], target=said[rows], shown=1).contribution.detach()
            contribution = contribution.index_copy(0, rows, also.to(contribution))
        _last[:] = weakref.ref(seen), (contribution, said)
    return _last[1]


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
