"""Exact fit of a sparse linear head: a convex problem, solved to its optimum on a score matrix."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from torch import Tensor, nn

from zoo.solvers.slopes import Loss, slope_of

ROUNDS = 5  # of search and rounding to exact zeros; the first is usually the last


def objective(
    weight: Tensor, scores: Tensor, y: Tensor, start: Tensor, *, l2: Tensor | float, loss: Loss | None = None
) -> Tensor:
    """Return the smooth part of the objective: the loss + the sum of l2 / 2 * (weight - start)^2."""
    logits = scores @ weight.T
    return (F.cross_entropy(logits, y) if loss is None else loss(logits)) + (l2 / 2 * (weight - start).square()).sum()


def kkt_residual(
    weight: Tensor,
    scores: Tensor,
    y: Tensor,
    start: Tensor,
    penalized: Tensor,
    *,
    l1: float,
    l2: Tensor | float,
    loss: Loss | None = None,
    sign: Tensor | None = None,
) -> float:
    """Return the largest violation of the optimality (KKT) conditions; it is 0 exactly at the optimum.

    With gradient g of the smooth part: |g| for weights without L1, |g + l1 sign(w)| for penalized w != 0, and
    max(|g| - l1, 0) for penalized w = 0; max(-sign g - l1, 0) if such a weight may have one sign alone.
    """
    weight = weight.detach().requires_grad_(True)
    with torch.enable_grad():
        (g,) = torch.autograd.grad(objective(weight, scores, y, start, l2=l2, loss=loss), weight)
    at_zero = penalized & (weight == 0)
    elsewhere = (g + l1 * weight.sign() * penalized).abs()
    pull = g.abs() if sign is None else torch.where(sign == 0, g.abs(), (-sign * g).nan_to_num(0.0))
    return float(torch.where(at_zero, (pull - l1).clamp_min(0), elsewhere).detach().max())


def fit_sparse_linear(
    scores: Tensor,
    y: Tensor,
    start: Tensor,
    penalized: Tensor,
    *,
    l1: float,
    l2: float,
    bias: bool = False,
    loss: Loss | None = None,
    sign: Tensor | None = None,
    tolerance: float = 1e-6,
    iterations: int = 5000,
    first: Tensor | None = None,
) -> tuple[Tensor, float]:
    """Minimize cross-entropy(scores @ W.T, y) + l1 * sum |W[penalized]| + l2 / 2 * ||W - start||^2 over W.

    This is the problem of ProtoPNet's stage 3 (eq. 5), which the paper approximates by 20 epochs of SGD. ``l2`` > 0
    makes the optimum unique even for separable classes. Penalized weights are split into positive and negative parts,
    so that L-BFGS-B reaches exact zeros.

    Args:
        scores: ``(n, u)``
        y: ``(n,)`` classes.
        start: ``(c, u)`` center of the L2 penalty, and initial weights.
        penalized: ``(c, u)`` bool, the weights with L1 penalty.
        l1: strength of the L1 penalty.
        l2: strength of the L2 penalty.
        bias: the last column of ``scores`` is all ones, and its weights have no penalty.
        loss: convex mean loss of logits ``(n, c)`` float64, instead of the cross-entropy of ``y``.
        sign: ``(c, u)`` the sign that penalized weights may have: 1, -1, or 0 for either; NaN for one that stays 0;
            None for either.
        tolerance: on the KKT residual.
        iterations: largest number of iterations.
        first: ``(c, u)`` weights to begin at; None for ``start``.

    Returns:
        The weights ``(c, u)`` in the dtype of ``start``, and their KKT residual in float64.

    Raises:
        ValueError: if a score is not finite or a strength is negative.

    Example:
        >>> scores = torch.tensor([[1.0], [-1.0]])
        >>> start = torch.zeros(2, 1)
        >>> weight, residual = fit_sparse_linear(
        ...     scores, torch.tensor([0, 1]), start, torch.ones_like(start).bool(), l1=0.1, l2=0.1
        ... )
        >>> bool(weight[0, 0] > 0 > weight[1, 0]), residual < 1e-5
        (True, True)
    """
    if not bool(scores.isfinite().all()):
        raise ValueError("the score matrix has NaN or infinite entries; expected finite scores: training has diverged")
    if l1 < 0 or l2 < 0:
        raise ValueError(f"l1 = {l1} and l2 = {l2}; expected both >= 0")
    s = scores.detach().double().cpu()
    w0 = start.detach().double().cpu()
    y = y.cpu()
    slope = slope_of(y, loss)
    mask = penalized.cpu().clone()
    pull = torch.full_like(w0, l2)
    if bias:
        assert bool((s[:, -1] == 1).all()), "the last column of the scores is the bias, all ones"
        mask[:, -1] = False
        pull[:, -1] = 0.0
    free = (~mask).numpy().ravel()
    split = mask.numpy().ravel()
    begin = (w0 if first is None else first.detach().double().cpu()).numpy().ravel()

    def unpack(v: np.ndarray) -> np.ndarray:
        w = np.empty_like(begin)
        n, m = int(free.sum()), int(split.sum())
        w[free], w[split] = v[:n], v[n : n + m] - v[n + m :]
        return w

    def value(v: np.ndarray) -> tuple[float, np.ndarray]:
        w = torch.from_numpy(unpack(v)).view_as(w0)
        mean, gradient = slope(s @ w.T, s)
        g = (gradient + pull * (w - w0)).numpy().ravel()
        smooth = mean + (pull / 2 * (w - w0).square()).sum()
        penalty = l1 * float(v[free.sum() :].sum())  # the sum of both parts
        return float(smooth) + penalty, np.concatenate([g[free], g[split] + l1, -g[split] + l1])

    point = np.concatenate([begin[free], begin[split].clip(0), (-begin[split]).clip(0)])
    signs = np.zeros(int(split.sum())) if sign is None else sign.cpu().numpy().ravel()[split]
    bounds = [(None, None)] * int(free.sum())
    fixed = np.isnan(signs)
    bounds += [(0, 0 if excluded else None) for excluded in (*(fixed | (signs < 0)), *(fixed | (signs > 0)))]
    options = {"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": 20, "ftol": 0.0, "gtol": tolerance}
    bounded = np.arange(len(point)) >= free.sum()
    weight = w0
    residual = float("inf")
    for _ in range(ROUNDS):
        solution = minimize(value, point, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        # The search stops just off the bound; entries smaller than their gradient belong on it.
        point = np.where(bounded & (solution.x < value(solution.x)[1]), 0.0, solution.x)
        weight = torch.from_numpy(unpack(point)).view_as(w0)
        residual = kkt_residual(weight, s, y, w0, mask, l1=l1, l2=pull, loss=loss, sign=sign)
        if residual <= 2 * tolerance:
            break
    return weight.to(start), residual


@torch.no_grad()
def fit_linear_head(
    head: nn.Linear, inputs: Tensor, y: Tensor, *, l1: float, l2: float, loss: Loss | None = None
) -> dict[str, float]:
    """Set a linear head to its optimum for inputs ``(n, u)``; the bias is not penalized.

    Args:
        head: u to c, set in place.
        inputs: ``(n, u)``.
        y: ``(n,)`` classes, or targets of ``loss``.
        l1: strength of the L1 penalty.
        l2: strength of the L2 penalty.
        loss: of outputs ``(n, c)``, instead of the cross-entropy.

    Returns:
        The KKT residual and the mean number of non-zeros of a class.
    """
    start = torch.zeros_like(torch.cat([head.weight, head.bias[:, None]], 1))
    penalized = torch.ones_like(start, dtype=torch.bool)
    inputs = torch.cat([inputs, torch.ones_like(inputs[:, :1])], 1)
    weight, residual = fit_sparse_linear(inputs, y, start, penalized, l1=l1, l2=l2, bias=True, loss=loss)
    head.weight.copy_(weight[:, :-1])
    head.bias.copy_(weight[:, -1])
    return {"kkt residual": residual, "non-zeros per class": float((weight[:, :-1] != 0).sum(1).float().mean())}
