"""Optimum of mains and traces of the inverse Hessian by the kernel of the rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.layers.additive.fitting.assemble import Assembly
from zoo.layers.additive.fitting.convex_losses import Loss
from zoo.layers.additive.kernel.kernel_newton import posterior, solve_kernel
from zoo.layers.additive.kernel.part_kernels import inverses_of, kernel_of, tables_of


class KernelPosterior:
    """The same as ``TablePosterior``, from matrices of the rows instead of the cells.

    The inverse Hessian of a part is ``P^-1 - P^-1 Z' M Z P^-1`` with M the inverse of ``K + W^-1`` after a free
    intercept (the Woodbury identity).

    Args:
        assembly: Terms with their penalties and the one-hot design.
        loss: Loss of the same rows.
    """

    def __init__(self, assembly: Assembly, loss: Loss) -> None:
        self.assembly = assembly
        self.loss = loss
        design: Any = assembly.design.tocsc()
        starts = assembly.starts
        self.designs = [design[:, starts[k] : starts[k + 1]].T.tocsr() for k in range(len(assembly.parts))]
        indices = assembly.design.indices.reshape(len(loss.y), -1)
        self.codes = [indices[:, k] - int(starts[k]) for k in range(len(assembly.parts))]
        self._scores: np.ndarray | None = None

    def at(self, strengths: np.ndarray, forms: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, float]:
        """Return the optimum, ``tr(H^-1 S)`` summed over classes of every form S, and the effective parameters.

        Args:
            strengths: Strength of every component, shape (components,).
            forms: Matrices S of the components.
        """
        inverses = inverses_of(self.assembly, strengths)
        kernel = kernel_of(inverses, self.codes)
        solution = solve_kernel(kernel, self.loss, self._scores, tolerance=1e-4)
        self._scores = solution.scores
        curvature = self.loss.curvature(self.loss.mean_outputs(solution.scores))
        matrices = [posterior(kernel, column) for column in curvature.T]
        together = np.sum(matrices, axis=0)
        traces = np.zeros(len(forms))
        for k, (design, inverse) in enumerate(zip(self.designs, inverses, strict=True)):
            data = design @ (design @ together).T
            for c in np.flatnonzero(self.assembly.owners == k):
                weighted = inverse @ forms[c]
                traces[c] = len(matrices) * np.trace(weighted) - float(np.sum((weighted @ inverse) * data))
        free = 1 + float(np.sum(kernel * matrices[0]))
        theta = tables_of(inverses, self.codes, solution.alpha, solution.intercept)
        return theta, traces, free
