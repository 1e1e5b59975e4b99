"""From the optimum of the convex fit to pure tables with bands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from zoo.layers.additive.constraints import monotone_table
from zoo.layers.additive.fitting.assemble import Assembly
from zoo.layers.additive.fitting.convex_losses import Loss
from zoo.layers.additive.fitting.training_rows import Frame
from zoo.layers.additive.purify import center
from zoo.layers.additive.terms import Term, purify_terms

if TYPE_CHECKING:
    from zoo.layers.additive.fitting.fit_settings import AdditiveSettings


def tabulate(
    assembly: Assembly,
    theta: np.ndarray,
    resamples: list[np.ndarray],
    shrink: float,
    scale: float,
    weights: np.ndarray,
    frame: Frame,
) -> tuple[list[Term], np.ndarray]:
    """Return pure terms with bands and the intercept, shape (c,), in the unit of the target.

    Jumps are added to their mains. The bands are delete-d jackknife standard deviations: the spread of the
    resampled tables times ``shrink``.

    Args:
        assembly: Parts of the fit at the finest bins.
        theta: Optimum on all rows, shape (D + 1, c).
        resamples: Optima on subsets of the rows.
        shrink: Factor from the spread over subsets to the standard deviation of a table.
        scale: Unit of the target.
        weights: Row weights whose means are zero after centering, shape (n,).
        frame: Training rows.
    """
    rows = np.arange(len(weights))
    counts = [
        np.bincount(code, weights=weights, minlength=part.cells).reshape([axis.size for axis in part.bins])
        for part, code in zip(assembly.parts, frame.all_codes(assembly.parts, rows), strict=True)
    ]
    terms, intercept = _terms(assembly, theta * scale, counts)
    if resamples:
        spread = [_terms(assembly, other * scale, counts)[0] for other in resamples]
        terms = [
            replace(term, bands=shrink * np.std([other[k].table for other in spread], axis=0))
            for k, term in enumerate(terms)
        ]
    return terms, intercept


def _terms(assembly: Assembly, theta: np.ndarray, counts: list[np.ndarray]) -> tuple[list[Term], np.ndarray]:
    terms: list[Term] = []
    position = {}
    for k, part in enumerate(assembly.parts):
        table = theta[assembly.starts[k] : assembly.starts[k + 1]].reshape(*counts[k].shape, -1)
        if part.role == "jumps":
            main = terms[position[part.columns]]
            terms[position[part.columns]] = replace(main, table=main.table + table)
            continue
        position[part.columns] = len(terms)
        terms.append(Term(part.bins, table, counts[k]))
    terms, intercept = purify_terms([_clear_unseen(term) for term in terms], theta[-1])
    return [_clear_unseen(term) for term in terms], intercept


def _clear_unseen(term: Term) -> Term:
    """Set the missing and unknown cells that no training row fell in to zero, the score of an average row."""
    table = term.table.copy()
    for axis in range(term.counts.ndim):
        seen = term.counts.sum(axis=tuple(i for i in range(term.counts.ndim) if i != axis)) > 0
        view = np.moveaxis(table, axis, 0)
        for edge in (0, -1):
            if not seen[edge]:
                view[edge] = 0.0
    return replace(term, table=table)


def calibrate_intercept(
    terms: list[Term], intercept: np.ndarray, frame: Frame, loss: Loss, settings: AdditiveSettings, scale: float
) -> tuple[list[Term], np.ndarray]:
    """Apply the monotone edits and move the intercept until the mean prediction equals the weighted base rate.

    Args:
        terms: Pure terms in the unit of the target.
        intercept: Intercept, shape (c,).
        frame: Training rows.
        loss: Loss with the weights of the rows, before any weight of the classes.
        settings: Monotone columns and whether the classes were weighed.
        scale: Unit of the target.
    """
    edited = []
    for term in terms:
        direction = settings.monotone.get(term.name)
        if direction:
            table, mean = center(monotone_table(term.table, term.counts, direction), term.counts)
            term = replace(term, table=table)
            intercept = intercept + mean
        edited.append(term)
    if not settings.monotone and not settings.balanced:
        return edited, intercept
    rows = np.arange(len(loss.y))
    scores = np.zeros((len(rows), loss.classes)) + intercept
    names = [axis.name for axis in frame.fine]
    for term in edited:
        columns = [names.index(name) for name in term.columns]
        part = (
            frame.mains(coarse=False)[columns[0]] if len(columns) == 1 else frame.pairs([(columns[0], columns[1])])[0]
        )
        scores += term.table.reshape(-1, loss.classes)[frame.part_codes(part, rows)]
    return edited, intercept + scale * _shift(loss, scores / scale)


def _shift(loss: Loss, scores: np.ndarray) -> np.ndarray:
    shift = np.zeros(scores.shape[1])
    for _ in range(100):
        outputs = loss.mean_outputs(scores + shift)
        gradient = loss.gradient(outputs).sum(0)
        if np.abs(gradient).max() <= 1e-12 * loss.weights.sum():
            break
        hessian = np.stack(
            [loss.curvature_product(outputs, row[None] * np.ones_like(outputs)).sum(0) for row in np.eye(len(shift))]
        )
        step = np.linalg.lstsq(hessian, gradient, rcond=1e-10)[0]
        shift = shift - step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-300))
    return shift
