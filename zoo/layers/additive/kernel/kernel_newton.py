"""Newton's method for a penalized loss in the space of the rows (Rasmussen and Williams 2006, algorithms 3.1 and 3.3).

With the tables ``P^-1 Z' a`` of row coefficients ``a`` the objective ``L(Z theta + b) + 1/2 theta' P theta`` becomes
``L(K a + b) + 1/2 a' K a`` with the kernel ``K = Z P^-1 Z'``; its optimum has ``a = -L'`` and is that of the tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, get_lapack_funcs

from zoo.layers.additive.fitting.convex_losses import Loss

FLOOR = 1e-12  # of the curvature of a row; keeps its factor defined where a class is certain


@dataclass
class KernelSolution:
    """Optimum in the space of the rows.

    Args:
        alpha: Coefficients of the rows, shape (n, c).
        intercept: Shape (c,).
        scores: Scores of the rows, shape (n, c).
        residual: Sum of the absolute derivatives divided by the total weight; no KKT residual of a cell is larger.
    """

    alpha: np.ndarray
    intercept: np.ndarray
    scores: np.ndarray
    residual: float


def solve_kernel(
    kernel: np.ndarray, loss: Loss, scores: np.ndarray | None = None, tolerance: float = 1e-9, max_steps: int = 60
) -> KernelSolution:
    """Return the optimum of ``L(K a + b) + 1/2 a' K a``.

    Args:
        kernel: K, shape (n, n), symmetric and positive semidefinite.
        loss: Loss of the n rows.
        scores: Scores at which the first quadratic model is taken, shape (n, c); the constant predictor when None.
        tolerance: Largest residual of the result.
        max_steps: Limit of the Newton steps.
    """
    basis = class_basis(loss.classes)
    total = float(loss.weights.sum())
    constant = np.broadcast_to(loss.constant(), (len(loss.y), loss.classes))
    linearized = constant if scores is None else scores
    best = _step(kernel, loss, linearized, basis)
    if scores is not None and not _value(loss, best) < loss.value(constant):  # the model of the start is a bad one
        best = _step(kernel, loss, constant, basis)
    value = _value(loss, best)
    if not value < loss.value(constant):  # no descent from the constant predictor either: search between them
        zero = KernelSolution(np.zeros_like(constant), constant[0].copy(), constant.copy(), np.inf)
        best, value = _line_search(loss, zero, loss.value(constant), best)
    for _ in range(max_steps):
        gradient = loss.gradient(loss.mean_outputs(best.scores)) + best.alpha
        best.residual = float(np.abs(gradient).sum(0).max()) / total
        if best.residual <= tolerance:
            break
        moved, new_value = _line_search(loss, best, value, _step(kernel, loss, best.scores, basis))
        if moved is best:  # rounding hides the descent
            break
        best, value = moved, new_value
    return best


def class_basis(classes: int) -> np.ndarray:
    """Return orthonormal columns that sum to zero over the classes, shape (c, c - 1); one for a single score."""
    if classes == 1:
        return np.ones((1, 1))
    return np.linalg.qr(np.identity(classes)[:, : classes - 1] - 1 / classes)[0]


def posterior(kernel: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """Return ``(K + W^-1)^-1`` after a free intercept, shape (n, n), of curvatures W of the rows, shape (n,)."""
    root = np.sqrt(curvature)
    inner = kernel * np.outer(root, root)
    inner[np.diag_indices_from(inner)] += 1.0
    potrf, potri = get_lapack_funcs(("potrf", "potri"), dtype=np.float64)
    factor, failed = potrf(inner, lower=1, overwrite_a=1)  # its upper triangle is set to zero
    if failed:
        raise ValueError("the kernel of the rows is not finite")
    lower = potri(factor, lower=1, overwrite_c=1)[0]
    inverse = lower + lower.T
    inverse[np.diag_indices_from(inverse)] /= 2
    inverse *= np.outer(root, root)
    ones = inverse.sum(1)
    return inverse - np.outer(ones, ones) / ones.sum()


def _value(loss: Loss, state: KernelSolution) -> float:
    return loss.value(state.scores) + 0.5 * float(np.sum(state.alpha * (state.scores - state.intercept)))


def _line_search(loss: Loss, old: KernelSolution, value: float, new: KernelSolution) -> tuple[KernelSolution, float]:
    """Return the first of the full and the halved steps that is no worse than the old state, and its value."""
    length = 1.0
    while length > 1e-6:
        moved = KernelSolution(
            old.alpha + length * (new.alpha - old.alpha),
            old.intercept + length * (new.intercept - old.intercept),
            old.scores + length * (new.scores - old.scores),
            np.inf,
        )
        moved_value = _value(loss, moved)
        if moved_value <= value + 1e-13 * abs(value):
            return moved, moved_value
        length *= 0.5
    return old, value


def _step(kernel: np.ndarray, loss: Loss, scores: np.ndarray, basis: np.ndarray) -> KernelSolution:
    """Return the optimum of the quadratic model of the loss at given scores, shape (n, c)."""
    n, free = len(scores), basis.shape[1]
    outputs = loss.mean_outputs(scores)
    gradient = loss.gradient(outputs) @ basis
    roots = _roots(loss, outputs, basis)
    flat = roots.transpose(0, 2, 1).reshape(n * free, free)
    inner = kernel * (flat @ flat.T) if free == 1 else np.repeat(np.repeat(kernel, free, 0), free, 1) * (flat @ flat.T)
    inner[np.diag_indices_from(inner)] += 1.0
    factor = cho_factor(inner, lower=True, overwrite_a=True, check_finite=False)
    ones = np.broadcast_to(np.identity(free), (n, free, free))  # intercept a moves output a of every row
    right = np.concatenate([(scores @ basis)[:, :, None], ones], axis=2)
    right = np.matmul(roots, np.matmul(roots.transpose(0, 2, 1), right))
    right[:, :, 0] -= gradient
    smooth = (kernel @ right.reshape(n, -1)).reshape(n, free, -1)
    whitened = np.matmul(roots.transpose(0, 2, 1), smooth).reshape(n * free, -1)
    solved = cho_solve(factor, whitened, check_finite=False).reshape(n, free, -1)
    columns = right - np.matmul(roots, solved)
    sums = columns.sum(0)
    intercept = np.linalg.solve(sums[:, 1:], sums[:, 0])
    alpha = columns[:, :, 0] - columns[:, :, 1:] @ intercept
    alpha = alpha @ basis.T
    intercept = basis @ intercept
    return KernelSolution(alpha, intercept, kernel @ alpha + intercept, np.inf)


def _roots(loss: Loss, outputs: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return Cholesky factors of the curvature of every row in the free classes, shape (n, free, free)."""
    if loss.classes == 1:
        return np.sqrt(loss.curvature(outputs))[:, :, None]
    curvature = -outputs[:, :, None] * outputs[:, None, :]
    index = np.arange(loss.classes)
    curvature[:, index, index] += outputs
    reduced = loss.weights[:, None, None] * (basis.T @ curvature @ basis)
    index = np.arange(basis.shape[1])
    reduced[:, index, index] += FLOOR
    return np.linalg.cholesky(reduced)
