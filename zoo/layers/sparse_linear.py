"""The last layer as what it is: a convex problem, solved to its optimum on a cached score matrix."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from torch import Tensor

ROUNDS = 5  # of search and rounding to exact zeros; the first is usually the last


def objective(weight: Tensor, scores: Tensor, y: Tensor, start: Tensor, *, l2: Tensor | float) -> Tensor:
    """The smooth part: mean cross-entropy + the sum of l2 / 2 * (weight - start)^2."""
    return F.cross_entropy(scores @ weight.T, y) + (l2 / 2 * (weight - start).square()).sum()


def kkt_residual(
    weight: Tensor, scores: Tensor, y: Tensor, start: Tensor, penalised: Tensor, *, l1: float, l2: Tensor | float
) -> float:
    """Largest violation of the optimality conditions; 0 exactly at the optimum.

    With gradient g of the smooth part: |g| where no L1 acts, |g + l1 sign(w)| where it acts on w != 0, and
    max(|g| - l1, 0) where it holds w at 0.
    """
    weight = weight.detach().requires_grad_(True)
    with torch.enable_grad():
        (g,) = torch.autograd.grad(objective(weight, scores, y, start, l2=l2), weight)
    held = penalised & (weight == 0)
    moved = (g + l1 * weight.sign() * penalised).abs()
    return float(torch.where(held, (g.abs() - l1).clamp_min(0), moved).detach().max())


def fit_sparse_linear(
    scores: Tensor,
    y: Tensor,
    start: Tensor,
    penalised: Tensor,
    *,
    l1: float,
    l2: float,
    bias: bool = False,
    tolerance: float = 1e-6,
    iterations: int = 5000,
) -> tuple[Tensor, float]:
    """Minimise cross-entropy(scores @ W.T, y) + l1 * sum |W[penalised]| + l2 / 2 * ||W - start||^2 over W.

    ProtoPNet's stage 3 (eq. 5) states this problem and walks towards it for 20 epochs; on a cached score matrix it is
    solved outright. ``l2`` > 0 makes the optimum unique even where classes are separable. Penalised weights are
    split into positive and negative parts, so that L-BFGS-B reaches exact zeros.

    Args:
        scores: ``(n, u)``
        y: ``(n,)`` classes.
        start: ``(c, u)`` the weights that ``l2`` pulls to, and where the search starts.
        penalised: ``(c, u)`` bool, where the L1 acts.
        l1: strength of the L1.
        l2: strength of the pull to ``start``.
        bias: the last column of ``scores`` is all ones, and neither L1 nor L2 acts on its weights.
        tolerance: on the KKT residual.
        iterations: at most.

    Returns:
        The weights ``(c, u)`` in the dtype of ``start``, and their KKT residual in float64.

    Raises:
        ValueError: if a score is not finite or a strength is negative.
    """
    if not bool(scores.isfinite().all()):
        raise ValueError(
            "the score matrix has NaN or infinite entries; the network has diverged before the head is fitted"
        )
    if l1 < 0 or l2 < 0:
        raise ValueError(f"l1 = {l1} and l2 = {l2}; expected both >= 0")
    s, w0 = scores.detach().double().cpu(), start.detach().double().cpu()
    y, mask, pull = y.cpu(), penalised.cpu().clone(), torch.full_like(w0, l2)
    if bias:
        assert bool((s[:, -1] == 1).all()), "the last column of the scores is the bias, all ones"
        mask[:, -1], pull[:, -1] = False, 0.0
    free, split = (~mask).numpy().ravel(), mask.numpy().ravel()
    begin = w0.numpy().ravel()

    def unpack(v: np.ndarray) -> np.ndarray:
        w = np.empty_like(begin)
        n, m = int(free.sum()), int(split.sum())
        w[free], w[split] = v[:n], v[n : n + m] - v[n + m :]
        return w

    def value(v: np.ndarray) -> tuple[float, np.ndarray]:
        w = torch.from_numpy(unpack(v)).view_as(w0)
        logits = s @ w.T
        p = logits.softmax(1)
        p[torch.arange(len(y)), y] -= 1
        g = (p.T @ s / len(y) + pull * (w - w0)).numpy().ravel()
        loss = F.cross_entropy(logits, y) + (pull / 2 * (w - w0).square()).sum()
        penalty = l1 * float(v[free.sum() :].sum())  # of both halves: what the gradient below is the gradient of
        return float(loss) + penalty, np.concatenate([g[free], g[split] + l1, -g[split] + l1])

    first = np.concatenate([begin[free], begin[split].clip(0), (-begin[split]).clip(0)])
    bounds = [(None, None)] * int(free.sum()) + [(0, None)] * (2 * int(split.sum()))
    options = {"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": 20, "ftol": 0.0, "gtol": tolerance}
    bounded = np.arange(len(first)) >= free.sum()
    for _ in range(ROUNDS):
        found = minimize(value, first, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        # The search stops a hair's breadth off the bound; what is nearer to it than its slope is to 0 belongs on it.
        first = np.where(bounded & (found.x < value(found.x)[1]), 0.0, found.x)
        weight = torch.from_numpy(unpack(first)).view_as(w0)
        residual = kkt_residual(weight, s, y, w0, mask, l1=l1, l2=pull)
        if residual <= 2 * tolerance:
            break
    return weight.to(start), residual
