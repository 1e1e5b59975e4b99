"""Exact convex fit of additive tables by Newton's method with preconditioned conjugate gradients, float64."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from zoo.layers.additive.fitting.assemble import Assembly
from zoo.layers.additive.fitting.convex_losses import Loss
from zoo.layers.additive.fitting.preconditioner import Preconditioner, conjugate_gradients

JOINT_CELLS = 3000  # mains that are fitted; with their jumps up to twice as many share one dense block
JOINT_ROWS = 60_000  # rows that estimate this block when there are more
STALE_PRODUCTS = 15  # conjugate gradient steps after which the preconditioner is computed anew


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


class ConvexProblem:
    """Minimize ``sum of losses + 1/2 theta' P theta`` over the tables of all terms and the intercept.

    Args:
        assembly: Terms, their one-hot design and penalties; mains come before pairs.
        loss: Loss of the rows of the design.
        strengths: Strength of every penalty component, shape (components,).
        rows: Rows of the design to fit, all when None; the loss belongs to them.
        joint_cells: Mains with more cells than this are preconditioned one by one.
    """

    def __init__(
        self,
        assembly: Assembly,
        loss: Loss,
        strengths: np.ndarray,
        rows: np.ndarray | None = None,
        joint_cells: int = 2 * JOINT_CELLS,
    ) -> None:
        self.design = assembly.design if rows is None else assembly.design[rows]
        self.transposed = self.design.T
        self.loss = loss
        self.total = float(loss.weights.sum())
        self.assembly = assembly
        width = int(assembly.starts[-1])
        joint = int(assembly.starts[assembly.mains])
        first = 0 if joint > joint_cells else assembly.mains
        head = [np.append(np.arange(joint if first else 0), width)]
        self.blocks = head + [
            np.arange(assembly.starts[k], assembly.starts[k + 1]) for k in range(first, len(assembly.cells))
        ]
        self.pairs = list(range(first, len(assembly.cells)))
        self._joint_codes: list[np.ndarray] | None = None  # cells of the mains of the first block, made when first used
        self.set_strengths(strengths)

    def set_strengths(self, strengths: np.ndarray) -> None:
        """Replace the strengths of the penalty components, shape (components,)."""
        self.strengths = strengths
        self.penalty: Any = self.assembly.penalty(strengths)

    def hessian(self, outputs: np.ndarray, k: int) -> np.ndarray:
        """Return the dense Hessian of the first block for class k; from every s-th row when there are many."""
        assembly, block = self.assembly, self.blocks[0]
        stride = -(-len(outputs) // JOINT_ROWS)
        weights = self.loss.curvature(outputs)[::stride, k] * stride
        if self._joint_codes is None:
            indices = self.design.indices.reshape(len(outputs), -1)[::stride]
            count = assembly.mains if len(block) > 1 else 0
            self._joint_codes = [indices[:, i] - assembly.starts[i] for i in range(count)]
        hessian = self.penalty[block][:, block].toarray()
        hessian[-1, -1] += weights.sum()
        for i, code in enumerate(self._joint_codes):
            low, high = int(assembly.starts[i]), int(assembly.starts[i + 1])
            sums = np.bincount(code, weights, minlength=high - low)
            hessian[np.arange(low, high), np.arange(low, high)] += sums
            hessian[low:high, -1] += sums
            hessian[-1, low:high] += sums
            for j, other in enumerate(self._joint_codes[:i]):
                start, end = int(assembly.starts[j]), int(assembly.starts[j + 1])
                sums = np.bincount(code * (end - start) + other, weights, minlength=(high - low) * (end - start))
                hessian[low:high, start:end] += sums.reshape(high - low, -1)
                hessian[start:end, low:high] += sums.reshape(high - low, -1).T
        return hessian

    def hessian_product(self, outputs: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Return the Hessian of the objective times a direction, shape (D + 1, c)."""
        curved = self.loss.curvature_product(outputs, self.design @ direction)
        return self.transposed @ curved + self.penalty @ direction

    def value(self, theta: np.ndarray, scores: np.ndarray) -> float:
        """Return the objective at given scores ``design @ theta``."""
        return self.loss.value(scores) + 0.5 * float(np.sum(theta * (self.penalty @ theta)))

    def solve(
        self,
        theta: np.ndarray | None = None,
        tolerance: float = 1e-9,
        preconditioner: Preconditioner | None = None,
        max_steps: int = 60,
    ) -> tuple[Solution, Preconditioner | None]:
        """Return the optimum and the last preconditioner, which a neighboring problem may start with.

        There is none where the start is the optimum.

        Args:
            theta: Start, shape (D + 1, c); the constant predictor when None.
            tolerance: Largest KKT residual of the result.
            preconditioner: Factors of a similar problem.
            max_steps: Limit of the Newton steps.
        """
        if theta is None:
            theta = np.zeros((int(self.assembly.starts[-1]) + 1, self.loss.classes))
            theta[-1] = self.loss.constant()
        scores = self.design @ theta
        value = self.value(theta, scores)
        age, kkt, step = 0, np.inf, 0
        for step in range(max_steps + 1):
            outputs = self.loss.mean_outputs(scores)
            gradient = self.transposed @ self.loss.gradient(outputs) + self.penalty @ theta
            kkt = float(np.abs(gradient).max()) / self.total
            if kkt <= tolerance or step == max_steps:
                break
            preconditioner = preconditioner or Preconditioner(self, theta)
            direction, products = conjugate_gradients(
                partial(self.hessian_product, outputs), gradient, preconditioner, min(0.1, kkt**0.5)
            )
            age += 1
            if products > STALE_PRODUCTS and age > 2:
                preconditioner = Preconditioner(self, theta)
                age = 0
            change = self.design @ direction
            slope = float(np.sum(gradient * direction))
            length, rounding = 1.0, 1e-12 * abs(value)
            new_value = self.value(theta + direction, scores + change)
            while new_value > value + 1e-4 * length * slope + rounding and length > 1e-6:
                length *= 0.5
                new_value = self.value(theta + length * direction, scores + length * change)
            if new_value > value + rounding:
                break
            theta = theta + length * direction
            scores = scores + length * change
            value = new_value
        return Solution(theta, kkt, value / self.total, step), preconditioner
