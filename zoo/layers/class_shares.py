"""Exact fit of heads whose weights belong to one class each, are positive and have a given sum within the class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.solvers.slopes import Loss

STEPS = 500


def class_shares(
    scores: Tensor,
    y: Tensor,
    owner: Tensor,
    weight: Tensor,
    free: Tensor,
    *,
    l2: float,
    equal: float = 1.0,
    loss: Loss | None = None,
) -> Tensor:
    """Return the weights ``(u,)`` of least cross-entropy + l2 / 2 * sum (weight - equal)^2 with the same class sums.

    The logit of a class is the weighted sum of the scores of its own units. The problem is convex; it is solved over
    the logarithms of the weights, so that they stay positive.

    Args:
        scores: ``(n, u)``.
        y: ``(n,)`` classes, or targets of ``loss``.
        owner: ``(u,)`` class of each unit.
        weight: ``(u,)`` now, whose sums within the classes are kept.
        free: ``(u,)`` bool; other weights stay as they are.
        l2: strength of the penalty.
        equal: weight without evidence.
        loss: of logits ``(n, c)``; None for the cross-entropy.

    Example:
        >>> scores = torch.tensor([[1.0, 0.0, 0.5], [0.0, 0.0, 0.5]])  # the first unit of class 0 tells, the second not
        >>> every = torch.ones(3, dtype=torch.bool)
        >>> owner = torch.tensor([0, 0, 1])
        >>> weight = class_shares(scores, torch.tensor([0, 1]), owner, torch.ones(3), every, l2=1e-3)
        >>> bool(weight[0] > 1.9), round(float(weight[:2].sum()), 6)
        (True, 2.0)
    """
    s, w, y, owner, free = (
        scores.detach().double().cpu(),
        weight.detach().double().cpu(),
        y.cpu(),
        owner.cpu(),
        free.cpu(),
    )
    classes = int(owner.max()) + 1
    own = F.one_hot(owner, classes).double()  # (u, c)
    left = (own * (w * free)[:, None]).sum(0)  # sum of the free weights of each class
    mean = left / (own * free[:, None]).sum(0).clamp_min(1)
    log = (w.clamp_min(1e-6 * mean[owner].clamp_min(1e-12))).log().masked_fill(~free, -torch.inf)
    inner = torch.zeros(int(free.sum()), dtype=torch.float64)
    inner.copy_(log[free])
    inner.requires_grad_(True)

    def weights(logs: Tensor) -> Tensor:
        every = torch.full_like(w, -torch.inf).masked_scatter(free, logs)
        top = torch.full((classes,), -torch.inf, dtype=torch.float64).scatter_reduce(0, owner, every.detach(), "amax")
        share = (every - top.clamp_min(-1e300)[owner]).exp()
        total = torch.zeros(classes, dtype=torch.float64).index_add(0, owner, share)
        return torch.where(free, share / total.clamp_min(1e-300)[owner] * left[owner], w)

    solver = torch.optim.LBFGS(
        [inner], max_iter=STEPS, history_size=20, line_search_fn="strong_wolfe", tolerance_grad=1e-8, tolerance_change=0
    )

    def closure() -> Tensor:
        solver.zero_grad()
        now = weights(inner)
        logits = (s * now) @ own
        value = (F.cross_entropy(logits, y) if loss is None else loss(logits)) + l2 / 2 * (now - equal).square().sum()
        value.backward()
        return value

    if len(inner):
        with torch.enable_grad():
            solver.step(closure)
    return weights(inner.detach())
