"""Result of an additive fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zoo.layers.additive.terms import Term


@dataclass(frozen=True)
class AdditiveFit:
    """Result of `fit_additive`.

    Args:
        task: "binary", "multiclass" or "regression".
        terms: Pure, centered terms with their bins, tables, counts and bands; the tables are in logits or in the
            unit of the target.
        intercept: Score of an average row, shape (c,).
        classes: Class labels in the order of the scores; the binary score is the logit of the second one.
        kkt: KKT residual of the convex fit, the certificate of its optimum.
        objective: Loss plus penalty of an average row.
        strengths: Strength of every penalty component by part.
        validation: Mean validation loss and its standard error by candidate, in the order in which they were tried.
        chosen: Name of the candidates that were chosen.
    """

    task: str
    terms: tuple[Term, ...]
    intercept: np.ndarray
    classes: list
    kkt: float
    objective: float
    strengths: dict[str, float]
    validation: list[dict]
    chosen: str

    def scores(self, cells: Mapping[str, Sequence | np.ndarray]) -> np.ndarray:
        """Return the scores of raw rows, shape (n, c)."""
        total = self.intercept + np.zeros((len(next(iter(cells.values()))), 1))
        for term in self.terms:
            total += term.table.reshape(-1, len(self.intercept))[term.codes(cells)]
        return total
