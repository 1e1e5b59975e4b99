"""Distinct rows of rules with the weights of both classes, and logistic regression on some of the rules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

STEPS = 50  # of Newton's method
TOLERANCE = 1e-9  # largest gradient


class Patterns:
    """Rows of p rules, equal ones counted together; the objective is the mean logistic loss plus a ridge.

    Args:
        true: ``(n, p)`` bool, where each rule is true.
        y: ``(n,)`` 0 or 1.
        weights: ``(n,)`` of the rows.
        ridge: of the coefficients and the intercept, in units of the mean loss.

    Attributes:
        rows: ``(u, p)`` float64, distinct rows.

    Example:
        >>> patterns = Patterns(np.array([[True], [False], [True]]), np.array([1, 0, 0]), np.ones(3))
        >>> len(patterns.rows), round(patterns.objective([], np.zeros(1)), 6)
        (2, 0.693147)
    """

    def __init__(self, true: np.ndarray, y: np.ndarray, weights: np.ndarray, ridge: float = 1e-4) -> None:
        packed, place = np.unique(np.packbits(true, axis=1), axis=0, return_inverse=True)
        place = place.reshape(-1)
        self.rows = np.unpackbits(packed, axis=1)[:, : true.shape[1]].astype(np.float64)
        total = float(weights.sum())
        self.positive = np.bincount(place, weights * (y == 1), minlength=len(packed)) / total
        self.negative = np.bincount(place, weights * (y != 1), minlength=len(packed)) / total
        self.ridge = ridge

    def design(self, support: Sequence[int]) -> np.ndarray:
        """Return the chosen rules with a last column of ones, ``(u, k + 1)``."""
        return np.concatenate([self.rows[:, list(support)], np.ones((len(self.rows), 1))], 1)

    def objective(self, support: Sequence[int], theta: np.ndarray) -> float:
        """Return mean loss plus ridge of coefficients ``(k + 1,)``, the intercept last."""
        return self.value(self.design(support) @ theta, theta)

    def value(self, score: np.ndarray, theta: np.ndarray) -> float:
        """Return mean loss plus ridge of scores ``(u,)`` and their coefficients."""
        loss = self.positive @ np.logaddexp(0, -score) + self.negative @ np.logaddexp(0, score)
        return float(loss + self.ridge / 2 * theta @ theta)

    def fit(self, support: Sequence[int], theta: np.ndarray | None = None) -> tuple[np.ndarray, float, float]:
        """Return coefficients ``(k + 1,)``, the objective and a lower bound of the optimum over these rules.

        The objective is strongly convex with the ridge as modulus, so that the optimum lies at most
        ``|gradient|^2 / (2 ridge)`` lower.

        Args:
            support: positions of the rules.
            theta: start.
        """
        design = self.design(support)
        current: np.ndarray = np.zeros(design.shape[1]) if theta is None else np.array(theta, dtype=np.float64)
        total = self.positive + self.negative
        gradient = np.full(len(current), np.inf)
        value = np.inf
        for _ in range(STEPS):
            score = design @ current
            value = self.value(score, current)
            chance = expit(score)
            gradient = design.T @ (total * chance - self.positive) + self.ridge * current
            if np.abs(gradient).max() <= TOLERANCE:
                break
            curve = total * chance * (1 - chance)
            hessian = (design * curve[:, None]).T @ design + self.ridge * np.eye(len(current))
            step = np.linalg.solve(hessian, gradient)
            length = 1.0
            while self.value(design @ (current - length * step), current - length * step) > value and length > 1e-8:
                length /= 2
            current = current - length * step
        return current, value, value - float(gradient @ gradient) / (2 * self.ridge)

    def gradient(self, support: Sequence[int], theta: np.ndarray) -> np.ndarray:
        """Return the derivative of the objective by the coefficient of every rule, ``(p,)``, at coefficient 0."""
        chance = expit(self.design(support) @ theta)
        return self.rows.T @ ((self.positive + self.negative) * chance - self.positive)
