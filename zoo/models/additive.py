"""Additive model of tables: the score is a sum of one table look-up for each column and each chosen pair of columns.

A generalized additive model with pairs (Hastie and Tibshirani, 1986; Lou, Caruana, Gehrke, Hooker, Accurate
Intelligible Models with Pairwise Interactions, KDD 2013) whose shape functions are tables over bins. All tables are
fitted together as one convex problem to its optimum, see ``zoo.layers.additive``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.explanation import Explanation, Units
from zoo.inputs.table import TableInputs
from zoo.layers.additive import AdditiveFit, AdditiveSettings, AdditiveTables, ColumnBins, Columns, Term
from zoo.layers.additive.fit import CERTIFICATE
from zoo.layers.additive.fit_batches import fit_batches
from zoo.layers.additive.terms import effective_terms, purify_terms
from zoo.model import SelfExplaining
from zoo.registry import register
from zoo.task import Classification, Regression

log = logging.getLogger("zoo")
DESCRIBE = (
    "This model adds up one number for each term: a term is a column of the table, or a pair of columns, and its number"
    " is read from a table over the values of that column. The strength of a term is this number, compared with an"
    " average row of the training data, whose number is 0: {unit}. The answer is exactly the sum of all terms and the"
    " base, which is the score of an average row."
)
UNITS = {
    "binary": "log odds of the second class, of which a class gets half, with its sign",
    "classes": "the score of one class",
    "regression": "in the unit of the predicted number",
}


@register
class Additive(SelfExplaining):
    """Tables over the bins of columns and pairs; missing, rare and unknown values have bins of their own.

    Units are the terms; of three or more classes, the terms of each class. Predictions are computed in float64. A phase
    without epochs calls ``fit_tables``.

    Args:
        num_classes: c; filled in from the data, 1 for a regression.
        input_shape: ``[d]`` of one row; filled in from the data.

    Attributes:
        core: the terms as tensors.
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

    tasks = ("classification", "regression")
    table_encoding = "values"
    certificate: Tensor

    def __init__(self, *, num_classes: int | None = None, input_shape: list[int] | None = None) -> None:
        super().__init__()
        if num_classes is None or num_classes < 1:
            raise ValueError(f"num_classes is {num_classes}; expected at least 1")
        if not input_shape or min(input_shape) < 1:
            raise ValueError(f"input_shape is {input_shape}; expected the number of columns, such as [12]")
        self.save_hyperparameters()
        columns = Columns.numbers([f"x{j}" for j in range(math.prod(input_shape))])
        scores = 1 if num_classes <= 2 else num_classes
        empty = [Term((ColumnBins(name, "number"),), np.zeros((3, scores)), np.zeros(3)) for name in columns.names]
        self.core = AdditiveTables(empty, np.zeros(scores), columns)
        self.register_buffer("certificate", torch.zeros(2, dtype=torch.float64))
        self.register_load_state_dict_pre_hook(_resize)

    @property
    def columns(self) -> Columns:
        """The d columns: those of the inputs, or numbers ``x0``, ``x1``, ..."""
        if isinstance(self.inputs, TableInputs) and self.inputs.encoding.name == self.table_encoding:
            return Columns.of(self.inputs.schema.columns)
        return Columns.numbers([f"x{j}" for j in range(math.prod(self.hparams["input_shape"]))])

    def shape_functions(self) -> list[Term]:
        """Return the terms with their bins, tables, counts of training rows and bands."""
        return self.core.terms(self.columns)

    def bin_text(self, axis: ColumnBins, code: int) -> str:
        """Return a bin of a column in words."""
        return self.columns.text(axis, code)

    def value_text(self, column: str, value: float) -> str:
        """Return a number of a column as people write it."""
        return self.columns.value_text(column, value)

    @property
    def units(self) -> Units:
        """The terms, by the names of their columns; of three or more classes, for each term one unit of each class."""
        names = [" x ".join(term) for term in self._term_columns()]
        unit = UNITS["regression" if isinstance(self.task, Regression) else "binary"]
        classes = len(self.core.intercept)
        if classes == 1:
            return Units("term", names, describe=DESCRIBE.format(unit=unit))
        labels = self.class_names or tuple(f"class {k}" for k in range(classes))
        every = [f"{name} ({label})" for name in names for label in labels]
        return Units("term", every, self._owner(), describe=DESCRIBE.format(unit=UNITS["classes"]))

    def _term_columns(self) -> list[list[str]]:
        names = self.columns.names
        of_axis: list[int] = self.core.axis_column.tolist()
        return [[names[of_axis[i]] for i in pair if i >= 0] for pair in self.core.term_axes.tolist()]

    def _owner(self) -> Tensor:
        classes = len(self.core.intercept)
        return torch.arange(classes, device=self.core.intercept.device).repeat(len(self.core.term_axes))

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return frozenset({"extra_metrics", "shape_functions", "unit_values"})

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``tables`` and ``intercept``."""
        return {"tables": self.core.tables, "intercept": self.core.intercept}

    def part_of(self, key: str) -> str:
        """Return ``intercept`` for the intercept, otherwise ``tables``."""
        return "intercept" if key == "core.intercept" else "tables"

    def resize_for(self, state: Mapping[str, Tensor], prefix: str = "") -> None:
        """Take the sizes of all tables from a state about to be loaded."""
        self.core.resize_for(state, f"{prefix}core.")

    # The contract.

    def encode(self, x: Tensor) -> Tensor:
        """Return what each term adds to the scores, ``(b, k, scores)``, of rows ``(b, d)``."""
        return self.core.scores(self.core.codes(x.flatten(1)))

    def decide(self, state: Tensor, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Add up the terms; a unit that is set replaces the number that its term adds."""
        if mask is not None and value is not None:
            shape = state.shape[1:]
            state = torch.where(mask.unflatten(-1, shape), value.to(state).unflatten(-1, shape), state)
        score = self.core.intercept + state.sum(-2)
        return score if not self._binary else torch.cat([-score / 2, score / 2], -1)

    @property
    def _binary(self) -> bool:
        return isinstance(self.task, Classification) and self.task.classes == 2

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain by the numbers that the terms add, exact; a row's values have no place, so ``where`` is None."""
        state = self.encode(x)
        logits = self.decide(state)
        target = self.resolve_target(logits, target)
        strength, intercept = state.flatten(1), self.core.intercept
        if len(intercept) > 1:
            contribution = strength * (self._owner() == target[:, None])
            base = intercept[target]
        else:
            sign = (target - 0.5)[:, None].to(strength) if self._binary else torch.ones_like(strength[:, :1])
            contribution = strength * sign
            base = (intercept * sign)[:, 0]
        return Explanation(
            self.units, logits, target, strength, contribution, base, self.resolve_shown(contribution, shown)
        )

    def unit_values(self, x: Tensor) -> list[list[str]]:
        """Return for each row ``(b, d)`` the bin of each unit in words, such as ``36.5 to 40.5`` or ``missing``."""
        rows = self.core.words(x.flatten(1), self.columns)
        return [[word for word in row for _ in range(len(self.core.intercept))] for row in rows]

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: the loss of the task."""
        return {"task": self.task_loss(self(batch.x), batch)}

    # Training.

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
        seed: int = 0,
    ) -> dict[str, float]:
        """Fit all tables to the optimum of the convex problem; the same rows give the same bits.

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
            seed=seed,
        )
        fit = fit_batches(loader, self.columns, self.task, settings)
        return self.take_fit(fit)

    def take_fit(self, fit: AdditiveFit) -> dict[str, float]:
        """Take over the terms of a fit of ``columns.cells``, and return its figures by name."""
        columns = self.columns
        terms = [columns.named(term) for term in fit.terms]
        self.core.set_terms(terms, fit.intercept, columns)
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

    @torch.no_grad()
    def purify(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Move what a pair shares with its columns to these and center all tables; predictions are unchanged."""
        terms, intercept = purify_terms(self.shape_functions(), self.core.intercept.cpu().numpy())
        self.core.set_terms(terms, intercept, self.columns)
        return {"terms": float(len(terms))}

    @torch.no_grad()
    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Return number of terms and pairs, effective number of terms by importance, and the KKT residual."""
        terms = self.shape_functions()
        return {
            "terms": float(len(terms)),
            "pairs": float(sum(len(term.bins) == 2 for term in terms)),
            "effective terms": effective_terms(terms),
            "kkt residual": float(self.certificate[0]),
        }


def _resize(module: Additive, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    module.resize_for(state, prefix)
