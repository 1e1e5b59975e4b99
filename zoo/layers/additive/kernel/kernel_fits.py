"""Fits of the same parts on every inner split by kernels of the rows."""

from __future__ import annotations

import numpy as np

from zoo.layers.additive.fitting.assemble import PartList
from zoo.layers.additive.fitting.convex_losses import Loss
from zoo.layers.additive.fitting.inner_validation import Candidate, Split
from zoo.layers.additive.kernel.kernel_newton import KernelSolution, solve_kernel
from zoo.layers.additive.kernel.part_kernels import inverse_penalty, inverses_of, kernel_of, part_kernel, tables_of


class KernelFits:
    """Fits of the parts of every inner split; same results as ``SplitFits``, by kernels.

    Args:
        parts: Parts of every split.
        codes: Cell of all rows in every part, one list for each split.
        loss: Loss of all rows.
        splits: Training and validation rows of every split.
        tolerance: Largest residual of a fit, a sum over rows; the KKT residual of a cell is far below.
    """

    def __init__(
        self,
        parts: list[PartList],
        codes: list[list[np.ndarray]],
        loss: Loss,
        splits: list[Split],
        tolerance: float = 1e-4,
    ) -> None:
        self.parts = parts
        self.codes = codes
        self.splits = splits
        self.tolerance = tolerance
        self.train_losses = [loss.take(train) for train, _ in splits]
        self.validation_losses = [loss.take(rows) for _, rows in splits]
        self.state: list[np.ndarray] = []

    def train_scores(self, b: int) -> np.ndarray:
        """Return the scores of the training rows of split b at the last optimum, shape (n_b, c)."""
        return self.state[b][self.splits[b][0]]

    def mean_scores(self) -> np.ndarray:
        """Return the mean over the splits of the scores of all rows at the last optimum, shape (n, c)."""
        return np.mean(self.state, axis=0)

    def evaluate(self, name: str, strengths: list[np.ndarray]) -> Candidate:
        """Fit every split at the given strengths, one vector a split, and return the validation losses."""
        kernels = self._kernels(strengths)
        losses, state = [], []
        for b, (train, held_out) in enumerate(self.splits):
            inner = kernels[b][np.ix_(train, train)]
            start = self.train_scores(b) if self.state else None
            solution = solve_kernel(inner, self.train_losses[b], start, self.tolerance)
            scores = kernels[b][:, train] @ solution.alpha + solution.intercept
            state.append(scores)
            loss = self.validation_losses[b]
            losses.append(loss.value(scores[held_out]) / loss.weights.sum())
        self.state = state
        return Candidate(name, np.asarray(losses))

    def _kernels(self, strengths: list[np.ndarray]) -> list[np.ndarray]:
        """Return the kernel of all rows of every split; a part that all splits share is computed once."""
        n = len(self.codes[0][0])
        users: dict[tuple, list[tuple[int, int]]] = {}
        for b, parts in enumerate(self.parts):
            bounds = np.searchsorted(parts.owners, np.arange(len(parts.parts) + 1))
            for k, part in enumerate(parts.parts):
                key = (id(part), strengths[b][bounds[k] : bounds[k + 1]].tobytes())
                users.setdefault(key, []).append((b, k))
        shared = np.zeros((n, n))
        kernels = [np.zeros((n, n)) for _ in self.parts]
        for key, places in users.items():
            b, k = places[0]
            inverse = inverse_penalty(self.parts[b].parts[k], np.frombuffer(key[1]))
            kernel = part_kernel(inverse, self.codes[b][k])
            if len(places) == len(self.parts):
                shared += kernel
                continue
            for b, _ in places:
                kernels[b] += kernel
        return [kernel + shared for kernel in kernels]


def kernel_optima(
    parts: PartList,
    codes: list[np.ndarray],
    loss: Loss,
    strengths: np.ndarray,
    subsets: list[np.ndarray],
    tolerance: float,
) -> list[np.ndarray]:
    """Return the optimum of all rows and those of subsets of the rows, each of shape (D + 1, c).

    Args:
        parts: Tables of the fit.
        codes: Cell of every row in every part.
        loss: Loss of all rows.
        strengths: Strength of every penalty component, shape (components,).
        subsets: Rows of every further fit.
        tolerance: Largest residual of the fit of all rows; the others have 1e-4.
    """
    inverses = inverses_of(parts, strengths)
    kernel = kernel_of(inverses, codes)
    whole = solve_kernel(kernel, loss, None, tolerance)
    optima = [_tables(inverses, codes, whole)]
    for rows in subsets:
        solution = solve_kernel(kernel[np.ix_(rows, rows)], loss.take(rows), whole.scores[rows], 1e-4)
        optima.append(_tables(inverses, [code[rows] for code in codes], solution))
    return optima


def _tables(inverses: list[np.ndarray], codes: list[np.ndarray], solution: KernelSolution) -> np.ndarray:
    return tables_of(inverses, codes, solution.alpha, solution.intercept)
