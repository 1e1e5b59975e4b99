"""The L1 path of a linear head over many candidate units: exact at every step, by growing working sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.layers.sparse_linear import fit_sparse_linear

TOLERANCE = 1e-5  # of the optimality conditions of each step
ROUNDS = 30  # of solving and adding violating candidates
HALVINGS = 3  # of the steps of l1, where one has too many units
GROWTH = 40  # candidates added to a working set at a time
VIOLATION = 1e-3  # share of lambda by which a gradient may be too large
Matrix = Any  # a tensor (n, u) or a scipy sparse matrix


@dataclass(frozen=True)
class PathStep:
    """The head at one strength of the penalty.

    Attributes:
        l1: the strength.
        units: ``(k,)`` candidates with a weight, ascending.
        weight: ``(c, k)`` their weights.
        bias: ``(c,)``.
        residual: largest violation of the optimality conditions over all candidates.
    """

    l1: float
    units: Tensor
    weight: Tensor
    bias: Tensor
    residual: float


def sparse_path(
    scores: Matrix,
    y: Tensor,
    *,
    classes: int,
    sign: Tensor | None = None,
    max_units: int,
    ratio: float = 0.85,
    l2: float = 1e-4,
    steps: int = 100,
    on_step: Callable[[PathStep], None] | None = None,
) -> list[PathStep]:
    """Return the heads that minimize cross-entropy + l1 * sum |W| for falling l1, until there are too many units.

    Each step solves the whole convex problem: on a working set of candidates, which grows until no other candidate
    violates the optimality conditions. The first step is the largest l1 at which a weight differs from zero.

    Args:
        scores: ``(n, u)`` of n samples and u candidates, standardized; a tensor or a scipy sparse matrix.
        y: ``(n,)`` classes.
        classes: c.
        sign: ``(c, u)`` the sign that a weight may have: 1, -1, or 0 for either; None for either.
        max_units: the path ends before a step with more units, after smaller steps have been tried; if its first step
            has more, the one step is that with the largest weights, whose residual is infinite.
        ratio: between one l1 and the next.
        l2: small ridge, which makes the optimum unique.
        steps: largest number of steps.
        on_step: called with each step.

    Example:
        >>> scores = torch.tensor([[1.0, 0.1], [-1.0, 0.0], [1.0, -0.1], [-1.0, 0.0]])
        >>> path = sparse_path(scores, torch.tensor([1, 0, 1, 0]), classes=2, max_units=1, steps=3)
        >>> [step.units.tolist() for step in path]
        [[0], [0], [0]]
    """
    n, total = scores.shape
    share = torch.bincount(y, minlength=classes).double().clamp_min(1e-9) / n
    bias = share.log() - share.log().mean()
    allowed = torch.zeros(classes, total, dtype=torch.float64) if sign is None else sign.double()
    gradient = _gradient(scores, bias.expand(n, classes), y)
    l1 = float(_pull(gradient, allowed).max())
    active = torch.zeros(0, dtype=torch.int64)
    weight = torch.zeros(classes, 0, dtype=torch.float64)
    path: list[PathStep] = []
    halvings = 0
    for _ in range(steps):
        before = (l1, active, weight, bias, gradient)
        l1 *= ratio
        working = _with_strongest(active, _pull(gradient, allowed).amax(0), l1)
        residual = 0.0
        for _ in range(ROUNDS):
            start = torch.zeros(classes, len(working) + 1, dtype=torch.float64)
            columns = torch.cat([_columns(scores, working), torch.ones(n, 1, dtype=torch.float64)], 1)
            start_at = torch.searchsorted(working, active)
            first = start.clone()
            first[:, start_at] = weight
            first[:, -1] = bias
            fitted, _ = fit_sparse_linear(
                columns,
                y,
                start,
                torch.ones_like(start, dtype=torch.bool),
                l1=l1,
                l2=l2,
                bias=True,
                sign=torch.cat([allowed[:, working], torch.zeros(classes, 1, dtype=torch.float64)], 1),
                tolerance=TOLERANCE,
                first=first,
            )
            gradient = _gradient(scores, columns @ fitted.T, y)
            pull = _pull(gradient, allowed).amax(0)
            pull[working] = 0
            residual = max(0.0, float(pull.max()) - l1)
            weight, bias = fitted[:, :-1], fitted[:, -1]
            kept = (weight != 0).any(0)
            active, weight = working[kept], weight[:, kept]
            if residual <= VIOLATION * l1:
                break
            working = _with_strongest(working, pull, l1)
        if len(active) > max_units and halvings < HALVINGS:
            halvings += 1
            ratio **= 0.5
            l1, active, weight, bias, gradient = before
            continue
        if len(active) > max_units:
            break
        step = PathStep(l1, active, weight, bias, residual)
        path.append(step)
        if on_step is not None:
            on_step(step)
    if not any(len(step.units) for step in path):  # equal candidates enter together: the largest weights alone
        kept = weight.abs().amax(0).topk(min(max_units, len(active))).indices.sort().values
        path.append(PathStep(l1, active[kept], weight[:, kept], bias, torch.inf))
    return path


def refit(
    scores: Tensor,
    y: Tensor,
    *,
    classes: int,
    l2: float,
    sign: Tensor | None = None,
    first: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor, float]:
    """Return weights ``(c, k)``, bias ``(c,)`` and optimality residual of a head on chosen units, with a ridge alone.

    Args:
        scores: ``(n, k)`` standardized.
        y: ``(n,)`` classes.
        classes: c.
        l2: strength of the ridge, in units of the mean loss.
        sign: ``(c, k)`` the sign that a weight may have, see ``sparse_path``.
        first: weights ``(c, k)`` and bias ``(c,)`` to begin at.
    """
    n, k = scores.shape
    start = torch.zeros(classes, k + 1, dtype=torch.float64)
    columns = torch.cat([scores.double(), torch.ones(n, 1, dtype=torch.float64)], 1)
    allowed = None if sign is None else torch.cat([sign.double(), torch.zeros(classes, 1, dtype=torch.float64)], 1)
    penalized = torch.ones_like(start, dtype=torch.bool)
    begin = None if first is None else torch.cat([first[0], first[1][:, None]], 1)
    options = {"bias": True, "sign": allowed, "first": begin}
    fitted, residual = fit_sparse_linear(columns, y, start, penalized, l1=0.0, l2=l2, **options)
    return fitted[:, :-1], fitted[:, -1], residual


def best_ridge(
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor],
    *,
    classes: int,
    ridges: Sequence[float],
    allowed: Tensor | None = None,
) -> tuple[Tensor, Tensor, dict[str, float]]:
    """Return weights ``(c, k)`` and bias ``(c,)`` of the ridge with the lowest validation loss, and its figures.

    Args:
        train: values ``(n, k)`` and classes ``(n,)``.
        val: values ``(m, k)`` and classes ``(m,)``.
        classes: c.
        ridges: strengths, see ``refit``.
        allowed: ``(c, k)`` bool, the weights that may differ from 0; None for all.
    """
    sign = None if allowed is None else torch.where(allowed, 0.0, torch.nan).double()
    fits = [refit(*train, classes=classes, l2=l2, sign=sign) for l2 in ridges]
    logits = [val[0].double() @ weight.T + bias for weight, bias, _ in fits]
    losses = [float(F.cross_entropy(one, val[1])) for one in logits]
    best = losses.index(min(losses))
    weight, bias, residual = fits[best]
    accuracy = float((logits[best].argmax(1) == val[1]).double().mean())
    return weight, bias, {"validation loss": losses[best], "validation accuracy": accuracy, "kkt residual": residual}


def smallest_within_one_error(losses: Tensor, sizes: list[int]) -> int:
    """Return which of several heads is the smallest whose mean loss is within one standard error of the best.

    Args:
        losses: ``(m, n)`` of m heads on n validation samples.
        sizes: units of each head.

    Example:
        >>> smallest_within_one_error(torch.tensor([[2.0, 2.2], [1.0, 1.1], [0.99, 1.1]]), [1, 2, 9])
        1
    """
    mean = losses.mean(1)
    best = int(mean.argmin())
    error = float((losses[best] - mean[best]).square().sum() / max(1, losses.shape[1] - 1)) ** 0.5
    limit = float(mean[best]) + error / losses.shape[1] ** 0.5
    within = [i for i in range(len(sizes)) if float(mean[i]) <= limit]
    return min(within, key=lambda i: (sizes[i], float(mean[i])))


def _with_strongest(working: Tensor, pull: Tensor, l1: float) -> Tensor:
    """Add to a working set the candidates that violate the optimality conditions most, ``GROWTH`` of them at most."""
    strongest = pull.topk(min(GROWTH, len(pull)))
    return torch.cat([working, strongest.indices[strongest.values > l1]]).unique()


def _columns(scores: Matrix, ids: Tensor) -> Tensor:
    if isinstance(scores, Tensor):
        return scores[:, ids].double()
    return torch.from_numpy(scores[:, ids.numpy()].toarray()).double()


def _gradient(scores: Matrix, logits: Tensor, y: Tensor) -> Tensor:
    """Gradient ``(c, u)`` of the mean cross-entropy for the weight of each candidate."""
    residual = (logits.softmax(1) - F.one_hot(y, logits.shape[1])) / len(y)
    if isinstance(scores, Tensor):
        return residual.T.to(scores) @ scores if scores.dtype == torch.float64 else (residual.T @ scores.double())
    return torch.from_numpy((scores.T @ residual.numpy()).T)


def _pull(gradient: Tensor, allowed: Tensor) -> Tensor:
    """How strongly each weight ``(c, u)`` at zero is pulled in a direction that it may go."""
    return torch.where(allowed == 0, gradient.abs(), -allowed * gradient)
