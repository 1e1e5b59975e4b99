"""Losses of additive models as value, gradient and curvature in the scores, float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, log_expit, logsumexp, softmax

TASKS = ("binary", "multiclass", "regression")


class Loss:
    """Weighted sum of the losses of all rows as a function of the scores, shape (n, c).

    Args:
        task: "binary" (c = 1, y in {0, 1}), "multiclass" (c classes, y in {0, ..., c - 1}) or "regression" (c = 1,
            half the squared error).
        y: Targets, shape (n,).
        weights: Row weights, shape (n,).
        classes: Number of columns of the scores.
    """

    def __init__(self, task: str, y: np.ndarray, weights: np.ndarray, classes: int = 1) -> None:
        if task not in TASKS:
            raise ValueError(f"task is {task!r}; expected one of {', '.join(TASKS)}")
        self.task = task
        self.classes = classes if task == "multiclass" else 1
        self.y: Any = np.asarray(y, dtype=np.int64 if task == "multiclass" else np.float64)
        self.weights = np.asarray(weights, dtype=np.float64)

    def take(self, rows: np.ndarray) -> Loss:
        """Return the loss of some rows."""
        return Loss(self.task, self.y[rows], self.weights[rows], self.classes)

    def value(self, scores: np.ndarray) -> float:
        """Return the weighted sum of the losses."""
        if self.task == "regression":
            return float(0.5 * self.weights @ (scores[:, 0] - self.y) ** 2)
        if self.task == "binary":
            return float(-self.weights @ log_expit(np.where(self.y > 0.5, scores[:, 0], -scores[:, 0])))
        chosen = np.take_along_axis(scores, self.y[:, None], 1)[:, 0]
        return float(self.weights @ (logsumexp(scores, axis=1) - chosen))

    def mean_outputs(self, scores: np.ndarray) -> np.ndarray:
        """Return expected values or probabilities, shape (n, c)."""
        if self.task == "regression":
            return scores
        return expit(scores) if self.task == "binary" else softmax(scores, axis=1)

    def gradient(self, outputs: np.ndarray) -> np.ndarray:
        """Return the derivative in the scores, shape (n, c), from ``mean_outputs``."""
        residual = outputs.copy()
        if self.task == "multiclass":
            residual[np.arange(len(self.y)), self.y] -= 1
        else:
            residual[:, 0] -= self.y
        return residual * self.weights[:, None]

    def curvature(self, outputs: np.ndarray) -> np.ndarray:
        """Return the diagonal of the second derivative in the scores, shape (n, c)."""
        if self.task == "regression":
            return self.weights[:, None] * np.ones_like(outputs)
        return self.weights[:, None] * outputs * (1 - outputs)

    def curvature_product(self, outputs: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Return the second derivative times a direction of the scores, shape (n, c)."""
        if self.task != "multiclass":
            return self.curvature(outputs) * direction
        weighted = outputs * direction
        return self.weights[:, None] * (weighted - outputs * weighted.sum(1, keepdims=True))

    def constant(self) -> np.ndarray:
        """Return the scores of the best constant predictor, shape (c,)."""
        total = self.weights.sum()
        if self.task == "regression":
            return np.array([self.weights @ self.y / total])
        if self.task == "binary":
            rate = np.clip(self.weights @ self.y / total, 1e-12, 1 - 1e-12)
            return np.array([np.log(rate / (1 - rate))])
        share = np.bincount(self.y, weights=self.weights, minlength=self.classes) / total
        scores = np.log(np.maximum(share, 1e-12))
        return scores - scores.mean()
