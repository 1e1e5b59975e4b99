"""Fits the linear read-out of a program exactly: a convex problem, once its variables are fixed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def fit(
    features: Tensor, y: Tensor, weight: Tensor, bias: Tensor, *, l2: float = 1e-6, steps: int = 300
) -> tuple[Tensor, Tensor]:
    """The least mean cross-entropy, by L-BFGS.

    Samples that agree in features and class are taken together first.

    Args:
        features: ``(q, u)``
        y: ``(q,)``
        weight: ``(c, u)`` where to start.
        bias: ``(c,)`` where to start; not penalised.
        l2: strength of the penalty ``l2 * sum((weight * s) ** 2) / 2``, s the std of the unit, at least 0.1.
        steps: iterations at most.

    Returns:
        Weight and bias, of the type given.
    """
    if not features.shape[1]:
        features, weight = features.new_zeros(len(y), 1), weight.new_zeros(len(weight), 1)
        return weight[:, :0], fit(features, y, weight, bias, l2=l2, steps=steps)[1]
    rows, times = torch.unique(torch.cat([features.double(), y[:, None].double()], 1), dim=0, return_counts=True)
    x, labels, share = rows[:, :-1], rows[:, -1].long(), times.double() / len(y)
    scale = x.std(0, correction=0).clamp_min(0.1)  # of numbers, and of rare values
    x = x / scale
    w = (weight.detach().double() * scale).clone().requires_grad_()
    b = bias.detach().double().clone().requires_grad_()
    solver = torch.optim.LBFGS([w, b], max_iter=steps, history_size=20, line_search_fn="strong_wolfe",
                               tolerance_grad=1e-7, tolerance_change=1e-12)  # fmt: skip

    def closure() -> Tensor:
        solver.zero_grad()
        loss = (F.cross_entropy(x @ w.T + b, labels, reduction="none") * share).sum()
        loss = loss + l2 * w.square().sum() / 2
        loss.backward()
        return loss

    with torch.enable_grad():
        solver.step(closure)
    return (w / scale).detach().to(weight), b.detach().to(bias)


def rounded(weight: Tensor, bias: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Weight and bias in multiples of ``2 ** -bits``: their sums are exact in any order and precision.

    Each unit is shifted by its mean over the classes first, which changes no answer.
    """
    grain = 2.0**bits
    shift = weight.mean(0, keepdim=True) if len(weight) else 0
    return (((weight - shift) * grain).round() / grain, ((bias - bias.mean()) * grain).round() / grain)
