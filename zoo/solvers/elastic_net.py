"""Sparse linear heads along a path of elastic-net penalties, each point fitted to its optimum.

Zou and Hastie, Regularization and variable selection via the elastic net, 2005; the objective is that of Wong et al.,
Leveraging Sparse Linear Layers for Debuggable Deep Networks, ICML 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from zoo.solvers.orthant_lbfgs import minimize_with_l1
from zoo.solvers.path_point import PathPoint
from zoo.solvers.slopes import Loss, slope_of

INFINITE = 1e30  # a penalty under which all weights are 0
SEARCHES = 14  # fits of ``fit_with_nonzeros``, at most


class ElasticNet:
    """The problem: minimize loss + lambda * (alpha * sum |W| + (1 - alpha) / 2 * sum W^2) over weights and biases.

    The loss is the mean cross-entropy of ``scores @ W.T + bias``; biases have no penalty.

    Args:
        scores: ``(n, u)``, usually standardized, so that the penalty means the same for each unit.
        y: ``(n,)`` classes, or targets of ``loss``.
        outputs: c; None for the largest class + 1.
        alpha: share of the L1 penalty, above 0.
        loss: convex mean loss of logits ``(n, c)`` float64, instead of the cross-entropy of ``y``.
        tolerance: on the KKT residual.
        iterations: largest number of evaluations of a point.

    Raises:
        ValueError: if a score is not finite or alpha is out of range.

    Example:
        >>> problem = ElasticNet(torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 1]))
        >>> [round(float(point.weight[0, 0]), 3) for point in problem.path(count=3, smallest=0.1)]
        [0.0, 0.831, 1.464]
    """

    def __init__(
        self,
        scores: Tensor,
        y: Tensor,
        *,
        outputs: int | None = None,
        alpha: float = 0.99,
        loss: Loss | None = None,
        tolerance: float = 1e-6,
        iterations: int = 5000,
    ) -> None:
        if not bool(scores.isfinite().all()):
            raise ValueError("scores have NaN or infinite entries; expected finite numbers")
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha is {alpha}; expected the share of the L1 penalty, above 0 and at most 1")
        self.scores = torch.cat([scores.detach().double().cpu(), torch.ones(len(scores), 1, dtype=torch.float64)], 1)
        self.outputs = int(y.max()) + 1 if outputs is None else outputs
        self.alpha = alpha
        self.tolerance = tolerance
        self.iterations = iterations
        self._slope = slope_of(y.cpu(), loss)
        self._start = torch.zeros(self.outputs, self.scores.shape[1], dtype=torch.float64)
        if loss is None:  # the shares of the classes, which is the optimum without weights
            counts = torch.bincount(y.cpu(), minlength=self.outputs)
            self._start[:, -1] = (counts / len(y)).double().clamp_min(1e-9).log()

    def largest_penalty(self) -> float:
        """Return lambda_max, the smallest penalty for which all weights are 0."""
        return self._without_weights().penalty

    def fit(self, penalty: float, start: PathPoint | None = None) -> PathPoint:
        """Return the optimum for a penalty, searched for from the optimum for another one."""
        penalized = torch.ones_like(self._start)
        penalized[:, -1] = 0
        l2 = penalty * (1 - self.alpha) * penalized

        def smooth(w: Tensor) -> tuple[float, Tensor]:
            value, gradient = self._slope(self.scores @ w.T, self.scores)
            return float(value + (l2 / 2 * w.square()).sum()), gradient + l2 * w

        weight = self._start if start is None else torch.cat([start.weight, start.bias[:, None]], 1)
        l1 = penalty * self.alpha * penalized
        weight, residual = minimize_with_l1(smooth, weight, l1, tolerance=self.tolerance, iterations=self.iterations)
        return PathPoint(penalty, weight[:, :-1], weight[:, -1], residual)

    def path(
        self, penalties: Sequence[float] | None = None, *, count: int = 20, smallest: float = 0.01
    ) -> list[PathPoint]:
        """Return the optima for ``penalties``, from the largest down.

        Args:
            penalties: values of lambda; None for ``count`` values from lambda_max down, evenly spaced in the logarithm.
            count: number of points.
            smallest: last penalty as a share of lambda_max.
        """
        point = self._without_weights()
        if penalties is None:
            penalties = [point.penalty * smallest ** (i / (count - 1)) for i in range(count)]
        points: list[PathPoint] = []
        for penalty in sorted(penalties, reverse=True):
            point = self.fit(penalty, point)
            points.append(point)
        return points

    def fit_with_nonzeros(self, per_class: float) -> PathPoint:
        """Return the optimum of the smallest penalty with at most ``per_class`` non-zeros of a class on average.

        The penalty is found by bisection of its logarithm, to half a weight per class, down to lambda_max / 1000.
        """
        point = best = self._without_weights()
        high = low = best.penalty
        smallest = high / 1000
        for _ in range(SEARCHES):
            is_bracketed = low < high
            point = self.fit((low * high) ** 0.5 if is_bracketed else max(high / 3, smallest), point)
            if point.nonzeros_per_class > per_class:
                low = point.penalty
                continue
            best = point
            high = point.penalty
            low = low if is_bracketed else high
            if point.nonzeros_per_class > per_class - 0.5 or high == smallest:
                break
        return best

    def _without_weights(self) -> PathPoint:
        """The optimum of the smallest penalty under which all weights are 0."""
        point = self.fit(INFINITE)
        _, gradient = self._slope(self.scores @ torch.cat([point.weight, point.bias[:, None]], 1).T, self.scores)
        return replace(point, penalty=float(gradient[:, :-1].abs().max()) / self.alpha)
