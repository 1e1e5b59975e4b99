"""Mean losses of linear heads with their gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor], Tensor]  # of logits (n, c), float64
Slope = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # loss, and its gradient (c, u), of logits and scores (n, u)


def slope_of(y: Tensor, loss: Loss | None) -> Slope:
    """Return the loss with its gradient: the mean cross-entropy of classes ``(n,)``, or another mean loss of logits."""
    return _cross_entropy(y) if loss is None else _with_gradient(loss)


def _cross_entropy(y: Tensor) -> Slope:
    def slope(logits: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        p = logits.softmax(1)
        p[torch.arange(len(y)), y] -= 1
        return F.cross_entropy(logits, y), p.T @ scores / len(y)

    return slope


def _with_gradient(loss: Loss) -> Slope:
    def slope(logits: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            value = loss(logits.requires_grad_(True))
            (gradient,) = torch.autograd.grad(value, logits)
        return value.detach(), gradient.T @ scores

    return slope
