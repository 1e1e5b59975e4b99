"""Fits the linear read-out of a program exactly: a convex problem, once its variables are fixed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix, diags
from torch import Tensor

LARGE, SPARSE = 1 << 22, 0.2  # entries beyond which, and share of them below which, zeros are left out


def fit(
    features: Tensor, y: Tensor, weight: Tensor, bias: Tensor, *, l2: float = 1e-6, steps: int = 300
) -> tuple[Tensor, Tensor]:
    """The least mean cross-entropy, by L-BFGS.

    Samples that agree in features and class are taken together first, unless there are very many.

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
    if features.numel() > LARGE and float((features != 0).double().mean()) < SPARSE:
        rows: _Dense | _Sparse = _Sparse(features.double(), y)
    else:
        rows = _Dense(features.double(), y)
    w = (weight.detach().double() * rows.scale).clone().requires_grad_()
    b = bias.detach().double().clone().requires_grad_()
    solver = torch.optim.LBFGS(
        [w, b],
        max_iter=steps,
        history_size=20,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-7,
        tolerance_change=1e-12,
    )

    def closure() -> Tensor:
        solver.zero_grad()
        loss = rows.loss(w, b) + l2 * w.square().sum() / 2
        loss.backward()
        return loss

    with torch.enable_grad():
        solver.step(closure)
    return (w / rows.scale).detach().to(weight), b.detach().to(bias)


class _Dense:
    """Mean cross-entropy over samples, those that agree taken together; units are divided by ``scale``."""

    def __init__(self, features: Tensor, y: Tensor) -> None:
        rows, times = torch.unique(torch.cat([features, y[:, None].double()], 1), dim=0, return_counts=True)
        x, self.labels, self.share = rows[:, :-1], rows[:, -1].long(), times.double() / len(y)
        self.scale = x.std(0, correction=0).clamp_min(0.1)  # of numbers, and of rare values
        self.x = x / self.scale

    def loss(self, w: Tensor, b: Tensor) -> Tensor:
        return (F.cross_entropy(self.x @ w.T + b, self.labels, reduction="none") * self.share).sum()


class _Sparse:
    """The same over many samples with few units each, none taken together."""

    def __init__(self, features: Tensor, y: Tensor) -> None:
        self.labels, self.scale = y, features.std(0, correction=0).clamp_min(0.1)
        self.x = csr_matrix(features.cpu().numpy()) @ diags(1 / self.scale.cpu().numpy())
        self.back = self.x.T.tocsr()

    def loss(self, w: Tensor, b: Tensor) -> Tensor:
        logits = torch.from_numpy(self.x @ w.detach().T.cpu().numpy()).to(w) + b.detach()
        logits.requires_grad_()
        loss = F.cross_entropy(logits, self.labels)
        (slope,) = torch.autograd.grad(loss, logits)
        down = torch.from_numpy(self.back @ slope.cpu().numpy()).to(w).T
        return loss.detach() + _with_slope(w, down) + _with_slope(b, slope.sum(0))


def _with_slope(x: Tensor, slope: Tensor) -> Tensor:
    """0, with this gradient."""
    return ((x - x.detach()) * slope).sum()


def rounded(weight: Tensor, bias: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Weight and bias in multiples of ``2 ** -bits``: their sums are exact in any order and precision.

    Each unit is shifted by its mean over the classes first, which changes no answer.
    """
    grain = 2.0**bits
    shift = weight.mean(0, keepdim=True) if len(weight) else 0
    return (((weight - shift) * grain).round() / grain, ((bias - bias.mean()) * grain).round() / grain)
