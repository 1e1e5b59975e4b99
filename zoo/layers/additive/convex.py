"""Exact convex fit of additive tables by Newton's method with preconditioned conjugate gradients, float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.linalg import cho_factor, cho_solve

from zoo.layers.additive.losses import Loss

BLOCK = 1800  # largest dense block of the preconditioner
ROWS_OF_PRECONDITIONER = 60_000


@dataclass
class Solution:
    """Optimum of a convex fit.

    Args:
        theta: Cells of all terms and, last, the intercept, shape (D + 1, c).
        kkt: Largest absolute derivative of the objective divided by the total weight (the certificate).
        objective: Loss plus penalty, divided by the total weight.
        steps: Newton steps.
    """

    theta: np.ndarray
    kkt: float
    objective: float
    steps: int


class Preconditioner:
    """Cholesky factors of diagonal blocks of the Hessian, for every class."""

    def __init__(self, problem: ConvexProblem, theta: np.ndarray) -> None:
        outputs = problem.loss.mean_outputs(problem.design @ theta)
        self.blocks = problem.blocks
        self.factors = [
            [cho_factor(problem.hessian_block(outputs, k, block), lower=True, check_finite=False) for block in self.blocks]
            for k in range(problem.loss.classes)
        ]

    def solve(self, vectors: np.ndarray) -> np.ndarray:
        """Apply the inverse to a gradient, shape (D + 1, c)."""
        result = np.empty_like(vectors)
        for k, factors in enumerate(self.factors):
            for block, factor in zip(self.blocks, factors, strict=True):
                result[block, k] = cho_solve(factor, vectors[block, k], check_finite=False)
        return result


class ConvexProblem:
    """Minimize ``sum of losses + 1/2 theta' P theta`` over tables and intercept.

    Args:
        design: One-hot cells of every row and a last column of ones, shape (n, D + 1).
        loss: Loss of the rows.
        penalty: P without the intercept's row and column, shape (D, D).
        starts: First cell of every term, ascending, and D; blocks of the preconditioner end at terms.
    """

    def __init__(self, design: sp.csr_matrix, loss: Loss, penalty: sp.csr_matrix, starts: np.ndarray) -> None:
        self.design = design
        self.transposed = design.T
        self.loss = loss
        self.total = float(loss.weights.sum())
        self.set_penalty(penalty)
        self.blocks = _blocks(starts)

    def set_penalty(self, penalty: sp.csr_matrix) -> None:
        """Replace the penalty, shape (D, D)."""
        self.penalty = sp.block_diag([penalty, sp.csr_matrix((1, 1))], format="csr")

    def hessian_block(self, outputs: np.ndarray, k: int, block: np.ndarray) -> np.ndarray:
        """Return the Hessian of class k on some cells, dense; from a subset of the rows when there are many."""
        stride = -(-len(outputs) // ROWS_OF_PRECONDITIONER)
        weights = self.loss.curvature(outputs)[::stride, k] * stride
        design = self.design[::stride] if stride > 1 else self.design
        if len(block) < design.shape[1]:
            design = design[:, block]
        weighted = sp.csr_matrix((design.data * np.repeat(weights, np.diff(design.indptr)), design.indices, design.indptr), design.shape)
        hessian = (design.T @ weighted).toarray()
        hessian += self.penalty[block][:, block].toarray()
        hessian[np.diag_indices_from(hessian)] += 1e-10 * self.total / len(outputs)
        return hessian

    def value(self, theta: np.ndarray, scores: np.ndarray) -> float:
        """Return the objective at given scores ``design @ theta``."""
        return self.loss.value(scores) + 0.5 * float(np.sum(theta * (self.penalty @ theta)))

    def gradient(self, theta: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Return the derivative of the objective, shape (D + 1, c)."""
        return self.transposed @ self.loss.gradient(outputs) + self.penalty @ theta

    def solve(
        self,
        theta: np.ndarray | None = None,
        tolerance: float = 1e-9,
        preconditioner: Preconditioner | None = None,
        max_steps: int = 60,
    ) -> tuple[Solution, Preconditioner]:
        """Return the optimum and the last preconditioner, which a neighboring problem may start with.

        Args:
            theta: Start, shape (D + 1, c); the constant predictor when None.
            tolerance: Largest KKT residual of the result.
            preconditioner: Factors of a similar problem.
            max_steps: Limit of the Newton steps.
        """
        if theta is None:
            theta = np.zeros((self.design.shape[1], self.loss.classes))
            theta[-1] = self.loss.constant()
        age = 0
        if preconditioner is None:
            preconditioner = Preconditioner(self, theta)
        scores = self.design @ theta
        value = self.value(theta, scores)
        kkt, step = np.inf, 0
        for step in range(max_steps + 1):
            outputs = self.loss.mean_outputs(scores)
            gradient = self.gradient(theta, outputs)
            kkt = float(np.abs(gradient).max()) / self.total
            if kkt <= tolerance or step == max_steps:
                break
            accuracy = min(0.1, kkt**0.5)
            direction, products = self._conjugate_gradients(outputs, gradient, preconditioner, accuracy)
            age += 1
            if products > 12 and age > 1:
                preconditioner = Preconditioner(self, theta)
                age = 0
            change = self.design @ direction
            slope = float(np.sum(gradient * direction))
            length = 1.0
            while True:
                new_value = self.value(theta + length * direction, scores + length * change)
                if new_value <= value + 1e-4 * length * slope + 1e-13 * abs(value) or length < 1e-6:
                    break
                length *= 0.5
            if new_value > value + 1e-12 * abs(value):
                break
            theta = theta + length * direction
            scores = scores + length * change
            value = new_value
        return Solution(theta, kkt, value / self.total, step), preconditioner

    def _conjugate_gradients(self, outputs, gradient, preconditioner, accuracy) -> tuple[np.ndarray, int]:
        direction = np.zeros_like(gradient)
        residual = -gradient
        target = accuracy * np.linalg.norm(gradient)
        z = preconditioner.solve(residual)
        search = z
        energy = float(np.sum(residual * z))
        count = 0
        for count in range(1, 201):  # noqa: B007
            scores = self.loss.curvature_product(outputs, self.design @ search)
            product = self.transposed @ scores + self.penalty @ search
            length = energy / float(np.sum(search * product))
            direction = direction + length * search
            residual = residual - length * product
            if np.linalg.norm(residual) <= target:
                break
            z = preconditioner.solve(residual)
            new_energy = float(np.sum(residual * z))
            search = z + (new_energy / energy) * search
            energy = new_energy
        return direction, count


def _blocks(starts: np.ndarray) -> list[np.ndarray]:
    width = int(starts[-1])
    if width + 1 <= BLOCK:
        return [np.arange(width + 1)]
    blocks: list[list[int]] = [[width]]
    for low, high in zip(starts[:-1], starts[1:], strict=True):
        if len(blocks[-1]) + high - low > BLOCK and len(blocks[-1]) > 1:
            blocks.append([])
        blocks[-1].extend(range(low, high))
    return [np.asarray(sorted(block)) for block in blocks]
