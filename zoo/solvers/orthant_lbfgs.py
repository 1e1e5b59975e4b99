"""OWL-QN: a quasi-Newton method for smooth convex functions plus weighted absolute values.

Andrew and Gao, Scalable Training of L1-Regularized Log-Linear Models, ICML 2007.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

HISTORY = 20  # pairs of steps and gradient differences kept
HALVINGS = 30  # of a step, at most


def minimize_with_l1(
    smooth: Callable[[Tensor], tuple[float, Tensor]],
    weight: Tensor,
    l1: Tensor,
    *,
    tolerance: float = 1e-6,
    iterations: int = 5000,
) -> tuple[Tensor, float]:
    """Minimize smooth(W) + sum l1 * |W|; weights that are 0 at the optimum are exactly 0.

    Args:
        smooth: value and gradient ``(c, u)`` float64 of the convex differentiable part.
        weight: ``(c, u)`` float64 to start from.
        l1: ``(c, u)`` penalty of each absolute weight, 0 for none.
        tolerance: on the KKT residual.
        iterations: largest number of evaluations.

    Returns:
        The weights ``(c, u)`` and their KKT residual: the largest entry of the smallest subgradient.

    Example:
        >>> parabola = lambda w: (float(((w - 3) ** 2).sum()), 2 * (w - 3))
        >>> weight, residual = minimize_with_l1(parabola, torch.zeros(1, 2).double(), torch.tensor([[2.0, 8.0]]))
        >>> weight.tolist()
        [[2.0, 0.0]]
    """
    free = l1 == 0

    def total(w: Tensor) -> tuple[float, Tensor]:
        value, gradient = smooth(w)
        return value + float((l1 * w.abs()).sum()), gradient

    history = _History()
    value, gradient = total(weight)
    slope = _subgradient(weight, gradient, l1)
    evaluations = 1
    while float(slope.abs().max()) > tolerance and evaluations < iterations:
        direction = -history.times_inverse(slope)
        direction = torch.where((direction * slope < 0) | free, direction, 0.0)
        orthant = torch.where(weight != 0, weight.sign(), -slope.sign())
        step = 1.0 if history.pairs else 1.0 / float(slope.abs().sum())
        for _ in range(HALVINGS):
            moved = weight + step * direction
            moved = torch.where((moved.sign() == orthant) | free, moved, 0.0)
            new_value, new_gradient = total(moved)
            evaluations += 1
            if new_value <= value + 1e-4 * float((slope * (moved - weight)).sum()):
                break
            step /= 2
        else:  # no descent: the curvature is wrong, or rounding hides the descent
            if not history.pairs:
                break
            history.pairs = []
            continue
        history.add(moved - weight, new_gradient - gradient)
        weight = moved
        value = new_value
        gradient = new_gradient
        slope = _subgradient(weight, gradient, l1)
    return weight, float(slope.abs().max())


def _subgradient(weight: Tensor, gradient: Tensor, l1: Tensor) -> Tensor:
    """The subgradient ``(c, u)`` of smallest size."""
    at_zero = gradient.sign() * (gradient.abs() - l1).clamp_min(0)
    return torch.where(weight != 0, gradient + l1 * weight.sign(), at_zero)


class _History:
    """The last steps and differences of gradients, as an approximation of the inverse Hessian (L-BFGS)."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Tensor, Tensor, float]] = []

    def add(self, step: Tensor, change: Tensor) -> None:
        curvature = float((step * change).sum())
        if curvature > 1e-12 * float(change.square().sum()):
            self.pairs = [*self.pairs, (step, change, 1 / curvature)][-HISTORY:]

    def times_inverse(self, gradient: Tensor) -> Tensor:
        """Return the inverse Hessian times a gradient ``(c, u + 1)``."""
        out = gradient.clone()
        factors: list[float] = []
        for step, change, inverse in reversed(self.pairs):
            factors.append(inverse * float((step * out).sum()))
            out -= factors[-1] * change
        if self.pairs:
            step, change, _ = self.pairs[-1]
            out *= float((step * change).sum() / change.square().sum())
        for (step, change, inverse), factor in zip(self.pairs, reversed(factors), strict=True):
            out += (factor - inverse * float((change * out).sum())) * step
        return out
