"""A linear head without bias on the scores of owned prototypes, and its exact fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.editing.state import EditState
from zoo.layers.edited_head import HeadProblem, solve_head
from zoo.layers.prototypes.owned_prototypes import OwnedPrototypes
from zoo.layers.prototypes.prototype_edits import check_same_class
from zoo.layers.sparse_linear import fit_sparse_linear
from zoo.solvers.slopes import Loss


class LinearHead(OwnedPrototypes):
    """Owned prototypes with a linear head from u scores to c logits.

    A family calls ``build_head``.

    Attributes:
        head: ``nn.Linear`` without bias.
        initial_weights: from a prototype to its class, and to the others.
    """

    editable_by = ("forbid", "remove", "merge", "resolve")
    head: nn.Linear
    initial_weights: tuple[float, float]
    unit_axes: ClassVar[Mapping[str, int]] = {**OwnedPrototypes.unit_axes, "head.weight": 1}

    def build_head(self, *, own_weight: float, other_weight: float) -> None:
        """Set the head, with initial weights from a prototype to its class and to the others."""
        self.initial_weights = (own_weight, other_weight)
        self.head = nn.Linear(len(self.owner), self.num_classes, bias=False)
        self.initialize_head()

    @torch.no_grad()
    def initialize_head(self) -> None:
        """Set the initial weights of the head."""
        own = self.own().float()
        own_weight, other_weight = self.initial_weights
        self.head.weight.copy_(own * own_weight + (1 - own) * other_weight)

    def class_weights(self) -> Tensor:
        """Return the weights ``(c, u)`` of the head."""
        return self.head.weight

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone``, ``addon``, ``prototypes``, ``head``."""
        return {**self.backbone_parts(), "addon": self.addon, "prototypes": self.prototypes, "head": self.head}

    def off_class_l1(self) -> Tensor:
        """Return the sum of absolute weights from prototypes to other classes."""
        return (self.head.weight.abs() * ~self.own()).sum()

    @torch.no_grad()
    def fit_head(self, loader: Iterable[Batch], *, l1: float = 1e-4, l2: float = 1e-3) -> dict[str, float]:
        """Fit the head exactly: cross-entropy + off-class L1 + L2 distance from the initial own-class weights."""
        scores, y, share = self._weighted_scores(loader)
        own_weight = self.initial_weights[0]
        loss = self.head_loss(y, share)
        return exact_fit(self.head.weight, scores, y, self.own(), own_weight=own_weight, l1=l1, l2=l2, loss=loss)

    # Edits.

    @torch.no_grad()
    def forbid(self, unit: int) -> None:
        """Set the weights of a prototype to 0."""
        self.head.weight[:, unit] = 0.0

    @torch.no_grad()
    def merge(self, unit: int, into: int) -> None:
        """Add the weights of a prototype to those of another one of its class."""
        check_same_class(self.owner, unit, into)
        self.head.weight[:, into] += self.head.weight[:, unit]
        self.forbid(unit)

    @torch.no_grad()
    def solve(self, state: EditState, train: Iterable[Batch], l1: float, l2: float) -> None:
        """Solve the problem of ``fit_head`` for all weights that edits leave free."""
        scores, y, share = self._weighted_scores(train)
        own = self.own()
        start = own.to(scores) * self.initial_weights[0]
        problem = HeadProblem(scores, y, start, ~own, l1, l2, loss=self.head_loss(y, share))
        self.head.weight.copy_(solve_head(problem, self.head.weight, state)[0])


@torch.no_grad()
def exact_fit(
    weight: Tensor,
    scores: Tensor,
    y: Tensor,
    own: Tensor,
    *,
    own_weight: float,
    l1: float,
    l2: float,
    loss: Loss | None = None,
) -> dict[str, float]:
    """Set the weights of a linear head to the optimum of ProtoPNet's last stage, on the scores of a whole split.

    Args:
        weight: ``(c, u)``, set in place.
        scores: ``(n, u)``.
        y: ``(n,)`` classes.
        own: ``(c, u)`` bool, whether a unit belongs to a class.
        own_weight: center of the L2 penalty of own weights; that of the others is 0.
        l1: penalty of absolute weights of other classes.
        l2: penalty of squared distances from the center.
        loss: of logits ``(n, c)``, instead of the cross-entropy.

    Returns:
        The KKT residual, and the number of off-class weights that are not 0.
    """
    start = own.to(scores) * own_weight
    optimum, residual = fit_sparse_linear(scores, y, start, ~own, l1=l1, l2=l2, loss=loss)
    weight.copy_(optimum.to(weight))
    return {"kkt residual": residual, "off-class weights": int((optimum[~own] != 0).sum())}
