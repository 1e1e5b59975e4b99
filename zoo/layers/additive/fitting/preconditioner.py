"""Block-diagonal preconditioner of the convex fit, and conjugate gradients with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from scipy.linalg import cho_factor, cho_solve


class BlockProblem(Protocol):
    """What the preconditioner reads of ``zoo.layers.additive.fitting.convex.ConvexProblem``."""

    design: Any
    loss: Any
    assembly: Any
    blocks: list[Any]
    pairs: list[int]
    strengths: np.ndarray
    penalty: Any

    def hessian(self, outputs: np.ndarray, k: int) -> np.ndarray:
        """Return the Hessian of the first block for output k."""
        ...


class Preconditioner:
    """Inverses of diagonal blocks of the Hessian: all mains with the intercept, and every pair.

    Args:
        problem: Problem whose blocks are inverted.
        theta: Tables at which the Hessian is taken, shape (D + 1, c).
    """

    def __init__(self, problem: BlockProblem, theta: np.ndarray) -> None:
        outputs = problem.loss.mean_outputs(problem.design @ theta)
        self.head = problem.blocks[0]
        self.factors = [_factor(problem.hessian(outputs, k)) for k in range(problem.loss.classes)]
        level = float(problem.loss.curvature(outputs).mean() / problem.loss.weights.mean())
        blocks = list(zip(problem.blocks[1:], problem.pairs, strict=True))
        self.groups = []
        inverses = [(block, _block_inverse(problem, k, level)) for block, k in blocks]
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
        return remove_class_mean(result)


def _block_inverse(problem: BlockProblem, k: int, level: float) -> np.ndarray:
    """Return the approximate inverse of the block of part k, shape (cells, cells); float32 for a pair."""
    assembly = problem.assembly
    part = assembly.parts[k]
    if part.role == "pair":
        return part.inverse(float(problem.strengths[int(np.flatnonzero(assembly.owners == k)[0])]), level)
    low, high = assembly.starts[k], assembly.starts[k + 1]
    block = problem.penalty[low:high, low:high].toarray()
    block[np.diag_indices_from(block)] += level * part.counts
    return np.linalg.inv(block)


def remove_class_mean(vectors: np.ndarray) -> np.ndarray:
    """Remove the mean over classes, which the loss of a softmax does not see and rounding would leave behind."""
    return vectors - vectors.mean(1, keepdims=True) if vectors.shape[1] > 1 else vectors


def _factor(hessian: np.ndarray) -> tuple[np.ndarray, bool]:
    jitter = 1e-11 * float(np.trace(hessian)) / len(hessian)
    for _ in range(8):
        try:
            return cho_factor(hessian + jitter * np.identity(len(hessian)), lower=True, overwrite_a=True)
        except np.linalg.LinAlgError:
            jitter *= 100
    raise ValueError("the Hessian is not positive definite; raise the ridge or drop columns that repeat each other")


def conjugate_gradients(
    product: Callable[[np.ndarray], np.ndarray],
    gradient: np.ndarray,
    preconditioner: Preconditioner,
    accuracy: float,
    max_products: int = 200,
) -> tuple[np.ndarray, int]:
    """Return an approximate Newton direction, shape (D + 1, c), and the number of Hessian products.

    Args:
        product: Hessian times a direction.
        gradient: Gradient of the objective, shape (D + 1, c).
        preconditioner: Approximate inverse of the Hessian.
        accuracy: Norm of the residual at which the iteration stops, as a share of the norm of the gradient.
        max_products: Limit of the Hessian products.
    """
    direction = np.zeros_like(gradient)
    residual = -remove_class_mean(gradient)
    target = accuracy * np.linalg.norm(gradient)
    z = preconditioner.solve(residual)
    search = z
    energy = float(np.sum(residual * z))
    count = 0
    while count < max_products and energy > 0:
        count += 1
        curved = product(search)
        length = energy / float(np.sum(search * curved))
        direction = direction + length * search
        residual = residual - length * curved
        if np.linalg.norm(residual) <= target:
            break
        z = preconditioner.solve(residual)
        new_energy = float(np.sum(residual * z))
        search = z + (new_energy / energy) * search
        energy = new_energy
    return direction, count
