"""Smoothness of every term by empirical Bayes: the generalized Fellner-Schall iteration (Wood and Fasiolo, 2017)."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, get_lapack_funcs

from zoo.layers.additive.fitting.assemble import Assembly
from zoo.layers.additive.fitting.convex import ConvexProblem
from zoo.layers.additive.fitting.convex_losses import Loss
from zoo.layers.additive.fitting.preconditioner import Preconditioner
from zoo.layers.additive.kernel.kernel_posterior import KernelPosterior
from zoo.layers.additive.kernel.part_kernels import prefers_kernel

LOWEST = 1e-4
HIGHEST = {"slope": 1e3, "curvature": 10.0, "ridge": 1e4, "jumps": 1e4, "surface": 1e5}


def fellner_schall(
    assembly: Assembly, loss: Loss, strengths: np.ndarray, steps: int = 20
) -> tuple[np.ndarray, np.ndarray]:
    """Return the strengths of all components that approximately maximize the marginal likelihood.

    Every iteration takes one Newton solve and multiplies the strength of a component S by
    ``phi (tr(P^- S) - tr(H^-1 S)) / (theta' S theta)``, with P the penalty of the term, H the Hessian of the
    objective and phi the residual variance (1 for classification).

    Args:
        assembly: Terms with their penalties and the one-hot design.
        loss: Loss of the same rows.
        strengths: Start, shape (components,).
        steps: Iterations.

    Returns:
        Strengths, shape (components,), and the tables of the last solve, shape (D + 1, c).
    """
    strengths = strengths.copy()
    theta = np.zeros((0, 0))
    forms = [component.form for component in assembly.components]
    posterior = KernelPosterior(assembly, loss) if prefers_kernel(assembly, loss) else TablePosterior(assembly, loss)
    share = (loss.classes - 1) / loss.classes if loss.classes > 1 else 1.0
    for _ in range(steps):
        theta, traces, free = posterior.at(strengths, forms)
        dispersion = 1.0
        if loss.task == "regression":
            residual = 2 * loss.value(assembly.design @ theta)
            dispersion = residual / max(loss.weights.sum() - free, 0.1 * loss.weights.sum())
        priors = _prior_traces(assembly, forms, strengths)
        new = strengths.copy()
        for c, (k, component) in enumerate(zip(assembly.owners, assembly.components, strict=True)):
            low, high = assembly.starts[k], assembly.starts[k + 1]
            prior = priors[c] * (loss.classes - 1 if loss.classes > 1 else 1)
            energy = float(np.sum(theta[low:high] * (forms[c] @ theta[low:high])))
            ratio = dispersion * max(prior - traces[c] * share, 1e-12 * prior) / max(energy, 1e-300)
            new[c] = np.clip(strengths[c] * np.clip(ratio, 0.1, 10.0) ** 1.5, LOWEST, HIGHEST[component.name])
        moved = np.abs(np.log(new / strengths)).max()
        strengths = new
        if moved < 0.2:
            break
    return strengths, theta


class TablePosterior:
    """Optimum and traces of the inverse Hessian over the cells of all tables.

    Args:
        assembly: Terms with their penalties and the one-hot design.
        loss: Loss of the same rows.
    """

    def __init__(self, assembly: Assembly, loss: Loss) -> None:
        ones = np.ones(len(assembly.components))
        self.problem = ConvexProblem(assembly, loss, ones, joint_cells=int(assembly.starts[-1]))
        self._theta: np.ndarray | None = None
        self._factors: Preconditioner | None = None

    def at(self, strengths: np.ndarray, forms: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, float]:
        """Return the optimum, ``tr(H^-1 S)`` summed over classes of every form S, and the effective parameters.

        Args:
            strengths: Strength of every component, shape (components,).
            forms: Matrices S of the components.
        """
        problem, assembly = self.problem, self.problem.assembly
        problem.set_strengths(strengths)
        exact = problem.loss.task == "regression"  # whose Hessian is the same everywhere: one factor serves it all
        factors = Preconditioner(problem, self._start()) if exact else self._factors
        solution, self._factors = problem.solve(self._theta, tolerance=1e-5, preconditioner=factors)
        self._theta = theta = solution.theta
        outputs = problem.loss.mean_outputs(assembly.design @ theta)
        (potri,) = get_lapack_funcs(("potri",), dtype=np.float64)
        inverses = []
        for k in range(problem.loss.classes):
            factor = factors.factors[k][0] if exact and factors is not None else _factor_of(problem.hessian(outputs, k))
            inverse = potri(factor, lower=1, overwrite_c=1)[0]
            inverses.append(np.tril(inverse) + np.tril(inverse, -1).T)
        traces = np.zeros(len(forms))
        for c, k in enumerate(assembly.owners):
            cells = slice(assembly.starts[k], assembly.starts[k + 1])
            traces[c] = sum(float(np.sum(inverse[cells, cells] * forms[c])) for inverse in inverses)
        free = len(theta) - float(np.sum(inverses[0] * problem.penalty.toarray()))
        return theta, traces, free

    def _start(self) -> np.ndarray:
        return np.zeros((int(self.problem.assembly.starts[-1]) + 1, 1)) if self._theta is None else self._theta


def _factor_of(hessian: np.ndarray) -> np.ndarray:
    return cho_factor(hessian, lower=True, overwrite_a=True)[0]


def _prior_traces(assembly: Assembly, forms: list[np.ndarray], strengths: np.ndarray) -> list[float]:
    """Return ``tr(P^- S)`` of every component S within the smoothness penalty P of its part."""
    traces = []
    for c, component in enumerate(assembly.components):
        together = np.flatnonzero(assembly.owners == assembly.owners[c])
        if len(together) == 1:
            traces.append(component.rank / strengths[c])
            continue
        penalty = np.sum([forms[i] * strengths[i] for i in together], axis=0)[1:-1, 1:-1]
        penalty = penalty + np.trace(penalty) / len(penalty) ** 2
        traces.append(float(np.sum(np.linalg.inv(penalty) * forms[c][1:-1, 1:-1])))
    return traces
