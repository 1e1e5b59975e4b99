"""Exact convex fit of additive tables by Newton's method with preconditioned conjugate gradients, float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.linalg import cho_factor, cho_solve

from zoo.layers.additive.assemble import Assembly
from zoo.layers.additive.losses import Loss

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


class Preconditioner:
    """Inverses of diagonal blocks of the Hessian: all mains with the intercept, and every pair.

    Args:
        problem: Problem whose blocks are inverted.
        theta: Tables at which the Hessian is taken, shape (D + 1, c).
    """

    def __init__(self, problem: ConvexProblem, theta: np.ndarray) -> None:
        outputs = problem.loss.mean_outputs(problem.design @ theta)
        self.head = problem.blocks[0]
        self.factors = [_factor(problem.hessian(outputs, k)) for k in range(problem.loss.classes)]
        level = float(problem.loss.curvature(outputs).mean() / problem.loss.weights.mean())
        blocks = list(zip(problem.blocks[1:], problem.pairs, strict=True))
        self.groups = []
        inverses = [(block, problem.block_inverse(k, level)) for block, k in blocks]
        for size, dtype in sorted({(len(block), inverse.dtype.char) for block, inverse in inverses}):
            group = [pair for pair in inverses if (len(pair[0]), pair[1].dtype.char) == (size, dtype)]
            self.groups.append((np.stack([block for block, _ in group]), np.stack([inverse for _, inverse in group])))

    def solve(self, vectors: np.ndarray) -> np.ndarray:
        """Apply the inverse to a gradient, shape (D + 1, c)."""
        result = np.empty_like(vectors)
        for k, factor in enumerate(self.factors):
            result[self.head, k] = cho_solve(factor, vectors[self.head, k], check_finite=False)
        for cells, inverses in self.groups:
            result[cells] = np.matmul(inverses, vectors[cells].astype(inverses.dtype))
        return _symmetric(result)


def _symmetric(vectors: np.ndarray) -> np.ndarray:
    """Remove the mean over classes, which the loss of a softmax does not see and rounding would leave behind."""
    return vectors - vectors.mean(1, keepdims=True) if vectors.shape[1] > 1 else vectors


def _factor(hessian: np.ndarray):
    jitter = 1e-11 * float(np.trace(hessian)) / len(hessian)
    for _ in range(8):
        try:
            return cho_factor(hessian + jitter * np.identity(len(hessian)), lower=True, overwrite_a=True)
        except np.linalg.LinAlgError:
            jitter *= 100
    raise ValueError("the Hessian is not positive definite; raise the ridge or drop columns that repeat each other")


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
        self._joint_design: sp.csr_matrix | None = None
        self.set_strengths(strengths)

    def set_strengths(self, strengths: np.ndarray) -> None:
        """Replace the strengths of the penalty components, shape (components,)."""
        self.strengths = strengths
        self.penalty = self.assembly.penalty(strengths)

    def block_inverse(self, k: int, level: float) -> np.ndarray:
        """Return the approximate inverse of the block of part k, shape (cells, cells); float32 for a pair."""
        part = self.assembly.parts[k]
        if part.role == "pair":
            return part.inverse(float(self.strengths[int(np.flatnonzero(self.assembly.owners == k)[0])]), level)
        low, high = self.assembly.starts[k], self.assembly.starts[k + 1]
        block = self.penalty[low:high, low:high].toarray()
        block[np.diag_indices_from(block)] += level * part.counts
        return np.linalg.inv(block)

    def hessian(self, outputs: np.ndarray, k: int) -> np.ndarray:
        """Return the dense Hessian of the first block for class k; from every s-th row when there are many."""
        block = self.blocks[0]
        stride = -(-len(outputs) // JOINT_ROWS)
        if self._joint_design is None:
            self._joint_design = self.design[::stride][:, block]
        design = self._joint_design
        weights = self.loss.curvature(outputs)[::stride, k] * stride
        data = design.data * np.repeat(weights, np.diff(design.indptr))
        weighted = sp.csr_matrix((data, design.indices, design.indptr), design.shape)
        return (design.T @ weighted).toarray() + self.penalty[block][:, block].toarray()

    def value(self, theta: np.ndarray, scores: np.ndarray) -> float:
        """Return the objective at given scores ``design @ theta``."""
        return self.loss.value(scores) + 0.5 * float(np.sum(theta * (self.penalty @ theta)))

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
        preconditioner = preconditioner or Preconditioner(self, theta)
        scores = self.design @ theta
        value = self.value(theta, scores)
        age, kkt, step = 0, np.inf, 0
        for step in range(max_steps + 1):
            outputs = self.loss.mean_outputs(scores)
            gradient = self.transposed @ self.loss.gradient(outputs) + self.penalty @ theta
            kkt = float(np.abs(gradient).max()) / self.total
            if kkt <= tolerance or step == max_steps:
                break
            direction, products = self._direction(outputs, gradient, preconditioner, min(0.1, kkt**0.5))
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

    def _direction(self, outputs, gradient, preconditioner, accuracy) -> tuple[np.ndarray, int]:
        direction = np.zeros_like(gradient)
        residual = -_symmetric(gradient)
        target = accuracy * np.linalg.norm(gradient)
        z = preconditioner.solve(residual)
        search = z
        energy = float(np.sum(residual * z))
        count = 0
        while count < 200 and energy > 0:
            count += 1
            product = (
                self.transposed @ self.loss.curvature_product(outputs, self.design @ search) + self.penalty @ search
            )
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
