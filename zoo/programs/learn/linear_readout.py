"""Exact fit of the linear read-out of a program: a convex problem once its variables are fixed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix, diags
from torch import Tensor

LARGE = 1 << 22  # entries; above it features are stored as a sparse matrix if few are not zero
SPARSE = 0.2  # largest share of nonzero entries of a sparse matrix
MIN_SCALE = 0.1  # smallest standard deviation by which a unit is divided


def fit(
    features: Tensor, y: Tensor, weight: Tensor, bias: Tensor, *, l2: float = 1e-6, steps: int = 300
) -> tuple[Tensor, Tensor]:
    """Return the read-out with the smallest mean cross-entropy plus penalty, found by L-BFGS.

    Samples with equal features and class are joined first, unless there are very many.

    Args:
        features: ``(q, u)``
        y: ``(q,)`` classes.
        weight: ``(c, u)`` to start from.
        bias: ``(c,)`` to start from; not penalized.
        l2: strength of the penalty ``l2 * sum((weight * s) ** 2) / 2``, s the standard deviation of the unit, at least
            0.1.
        steps: largest number of iterations.

    Returns:
        Weight and bias, with the dtype of those given.

    Example:
        >>> features, y = torch.eye(2), torch.tensor([0, 1])
        >>> weight, bias = fit(features, y, torch.zeros(2, 2), torch.zeros(2), l2=1e-2)
        >>> (features @ weight.T + bias).argmax(1).tolist()
        [0, 1]
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
    """Mean cross-entropy over samples, equal samples joined; units are divided by ``scale`` ``(u,)``."""

    def __init__(self, features: Tensor, y: Tensor) -> None:
        rows, times = torch.unique(torch.cat([features, y[:, None].double()], 1), dim=0, return_counts=True)
        x = rows[:, :-1]
        self.labels = rows[:, -1].long()
        self.share = times.double() / len(y)
        self.scale = x.std(0, correction=0).clamp_min(MIN_SCALE)
        self.x = x / self.scale

    def loss(self, w: Tensor, b: Tensor) -> Tensor:
        return (F.cross_entropy(self.x @ w.T + b, self.labels, reduction="none") * self.share).sum()


class _Sparse:
    """The same for many samples with few units each, none joined."""

    def __init__(self, features: Tensor, y: Tensor) -> None:
        self.labels = y
        self.scale = features.std(0, correction=0).clamp_min(MIN_SCALE)
        self.x = csr_matrix(csr_matrix(features.cpu().numpy()) @ diags(1 / self.scale.cpu().numpy()))
        self.transposed = csr_matrix(self.x.T)

    def loss(self, w: Tensor, b: Tensor) -> Tensor:
        logits = torch.from_numpy(self.x @ w.detach().T.cpu().numpy()).to(w) + b.detach()
        logits.requires_grad_()
        loss = F.cross_entropy(logits, self.labels)
        (slope,) = torch.autograd.grad(loss, logits)
        weight_slope = torch.from_numpy(self.transposed @ slope.cpu().numpy()).to(w).T
        return loss.detach() + _with_gradient(w, weight_slope) + _with_gradient(b, slope.sum(0))


def _with_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """Return 0 with a given gradient with respect to ``x``."""
    return ((x - x.detach()) * gradient).sum()


def rounded(weight: Tensor, bias: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Return weight ``(c, u)`` and bias ``(c,)`` as multiples of ``2 ** -bits``, whose sums are exact in any order.

    The mean over the classes is subtracted from each unit first, which changes no answer.

    Example:
        >>> rounded(torch.tensor([[0.3], [0.0]]), torch.zeros(2), bits=2)[0].flatten().tolist()
        [0.25, -0.25]
    """
    grain = 2.0**bits
    shift = weight.mean(0, keepdim=True) if len(weight) else 0
    return ((weight - shift) * grain).round() / grain, ((bias - bias.mean()) * grain).round() / grain
