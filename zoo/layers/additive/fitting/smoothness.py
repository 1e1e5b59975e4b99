"""Smoothness of every term by empirical Bayes: the generalized Fellner-Schall iteration (Wood and Fasiolo, 2017)."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, get_lapack_funcs

from zoo.layers.additive.fitting.assemble import Assembly
from zoo.layers.additive.fitting.convex import ConvexProblem
from zoo.layers.additive.fitting.convex_losses import Loss
from zoo.layers.additive.fitting.preconditioner import Preconditioner

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
    factors: Preconditioner | None = None
    classes = loss.classes
    problem = ConvexProblem(assembly, loss, strengths, joint_cells=int(assembly.starts[-1]))
    forms = [component.matrix.toarray() for component in assembly.components]
    (potri,) = get_lapack_funcs(("potri",), dtype=np.float64)
    for _ in range(steps):
        problem.set_strengths(strengths)
        solution, factors = problem.solve(theta if theta.size else None, tolerance=1e-5, preconditioner=factors)
        theta = solution.theta
        outputs = loss.mean_outputs(assembly.design @ theta)
        inverses = []
        for k in range(classes):
            factor, _ = cho_factor(problem.hessian(outputs, k), lower=True, overwrite_a=True)
            inverse = potri(factor, lower=1, overwrite_c=1)[0]
            inverses.append(np.tril(inverse) + np.tril(inverse, -1).T)
        share = (classes - 1) / classes if classes > 1 else 1.0
        dispersion = 1.0
        new = strengths.copy()
        if loss.task == "regression":
            free = len(theta) - float(np.sum(inverses[0] * problem.penalty.toarray()))
            residual = 2 * loss.value(assembly.design @ theta)
            dispersion = residual / max(loss.weights.sum() - free, 0.1 * loss.weights.sum())
        priors = _prior_traces(assembly, forms, strengths)
        for c, (k, component) in enumerate(zip(assembly.owners, assembly.components, strict=True)):
            low, high = assembly.starts[k], assembly.starts[k + 1]
            prior = priors[c] * (classes - 1 if classes > 1 else 1)
            posterior = sum(float(np.sum(inverse[low:high, low:high] * forms[c])) for inverse in inverses) * share
            energy = float(np.sum(theta[low:high] * (forms[c] @ theta[low:high])))
            ratio = dispersion * max(prior - posterior, 1e-12 * prior) / max(energy, 1e-300)
            new[c] = np.clip(strengths[c] * np.clip(ratio, 0.1, 10.0) ** 1.5, LOWEST, HIGHEST[component.name])
        moved = np.abs(np.log(new / strengths)).max()
        strengths = new
        if moved < 0.2:
            break
    return strengths, theta


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
