"""Additive model of tables: the score is a sum of one table look-up for each column and each chosen pair of columns.

Source: Hastie, Tibshirani, Generalized Additive Models, Statistical Science 1986; Lou, Caruana, Gehrke, Hooker,
Accurate Intelligible Models with Pairwise Interactions, KDD 2013.

A generalized additive model with pairs whose shape functions are tables over bins. All tables are fitted together as
one convex problem to its optimum, see ``zoo.layers.additive``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.layers.additive import AdditiveFit, AdditiveSettings
from zoo.layers.additive.fit import CERTIFICATE
from zoo.layers.additive.fit_batches import fit_batches
from zoo.layers.additive_model import AdditiveModel
from zoo.registry import register

log = logging.getLogger("zoo")


@register
class Additive(AdditiveModel):
    """Tables over the bins of columns and pairs; missing, rare and unknown values have bins of their own.

    Units are the terms; of three or more classes, the terms of each class. Predictions are computed in float64. A phase
    without epochs calls ``fit_tables``.

    Args:
        common: the arguments of ``zoo.layers.additive_model.AdditiveModel``.

    Attributes:
        certificate: ``(2,)`` KKT residual of the fit and its objective; the residual is 0 at the optimum.

    Example:
        >>> import zoo
        >>> from zoo.batch import Batch
        >>> model = zoo.create_model("additive", num_classes=2, input_shape=[1]).eval()
        >>> x = torch.linspace(0, 1, 200)[:, None]
        >>> batch = Batch(x, (x[:, 0] > 0.3).long(), torch.arange(200))
        >>> model.fit_tables([batch], max_pairs=0, inner_splits=2)["terms"]
        1.0
        >>> model(torch.tensor([[0.1], [0.9]])).argmax(1).tolist()
        [0, 1]
    """

    certificate: Tensor

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        self.register_buffer("certificate", torch.zeros(2, dtype=torch.float64))

    @torch.no_grad()
    def fit_tables(
        self,
        loader: Iterable[Batch],
        *,
        max_pairs: int | None = None,
        max_bins: int = 256,
        inner_splits: int = 6,
        monotone: Mapping[str, int] | None = None,
        pairs: list[list[str]] | None = None,
        path_rows: int = 50_000,
        smoothness_resamples: int = 0,
        seed: int = 0,
    ) -> dict[str, float]:
        """Fit all tables to the optimum of the convex problem; the same rows give bit-identical tables.

        Penalties and pairs are chosen by inner validation splits of the training rows, see ``fit_additive``. Weights of
        rows and classes count in the fit.

        Args:
            loader: all training rows.
            max_pairs: largest number of pairs; three times the number of columns when None, 0 for columns alone.
            max_bins: largest number of bins of a column.
            inner_splits: splits that choose penalties and pairs, and give the bands.
            monotone: 1 or -1 by column; such a column takes no part in pairs.
            pairs: pairs of columns that may be used; None for all.
            path_rows: rows on which penalties and pairs are chosen; the final fit uses all.
            smoothness_resamples: subsets of the rows whose smoothness is averaged, for functions that change less from
                sample to sample; 0 for that of all rows.
            seed: of the inner splits.

        Returns:
            KKT residual, objective, number of terms and of pairs.

        Raises:
            ValueError: if the rows are shared by several processes, the task has another loss, or an option is out of
                range.
        """
        settings = AdditiveSettings(
            max_pairs=max_pairs,
            max_bins=max_bins,
            inner_splits=inner_splits,
            monotone=dict(monotone or {}),
            pairs=None if pairs is None else tuple((pair[0], pair[1]) for pair in pairs),
            path_rows=path_rows,
            smoothness_resamples=smoothness_resamples,
            seed=seed,
        )
        fit = fit_batches(loader, self.columns, self.task, settings)
        return self.take_fit(fit)

    def take_fit(self, fit: AdditiveFit) -> dict[str, float]:
        """Take over the terms of a fit of ``columns.cells``, and return its figures by name."""
        columns = self.columns
        terms = [columns.named(term) for term in fit.terms]
        self.set_terms(terms, fit.intercept)
        self.certificate.copy_(torch.tensor([fit.kkt, fit.objective]))
        pairs = sum(len(term.bins) == 2 for term in terms)
        log.info(
            "convex fit: %d columns and %d pairs (chosen by validation: %s)", len(terms) - pairs, pairs, fit.chosen
        )
        log.info("certificate: KKT residual %.1e (at most %.0e), objective %.6g", fit.kkt, CERTIFICATE, fit.objective)
        return {
            "kkt residual": fit.kkt,
            "objective": fit.objective,
            "terms": float(len(terms)),
            "pairs": float(pairs),
        }

    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Return the number of terms and pairs, the effective number of terms, and, unless edited, the KKT residual."""
        certificate = {"kkt residual": float(self.certificate[0])} if self.history is None else {}
        return super().extra_metrics(loader) | certificate
