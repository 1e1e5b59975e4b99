"""The base class of models whose score is a sum of table look-ups, one for each term."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.editing.operation import Operation
from zoo.explanation import Explanation, Units
from zoo.inputs.table import TableInputs
from zoo.layers.additive import AdditiveTables, ColumnBins, Columns, Term
from zoo.layers.additive.term_edits import TermEdits
from zoo.layers.additive.terms import effective_terms, purify_terms
from zoo.model import SelfExplaining
from zoo.task import Classification, Regression
from zoo.what_if import FeatureTables

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


class AdditiveModel(SelfExplaining):
    """Tables over the bins of columns and pairs; missing, rare and unknown values have bins of their own.

    Units are the terms; of three or more classes, the terms of each class. Predictions are computed in float64. A
    family defines how the tables are fitted.

    Args:
        num_classes: c; filled in from the data, 1 for a regression.
        input_shape: ``[d]`` of one row; filled in from the data.

    Attributes:
        core: the terms as tensors.
    """

    tasks = ("classification", "regression")
    table_encoding = "values"
    base_is_free = True  # whether the base can be any number

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
        self._named: tuple[tuple[Any, ...], Units] | None = None  # units, and what their names depend on
        self.register_load_state_dict_pre_hook(_resize)

    @property
    def columns(self) -> Columns:
        """The d columns: those of the inputs, or numbers ``x0``, ``x1``, ..."""
        return columns_of(self)

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
        depends_on = (self.inputs, self.core.term_axes, self.task)  # replaced, never changed in place
        if self._named is None or any(a is not b for a, b in zip(self._named[0], depends_on, strict=True)):
            self._named = (depends_on, self._units())
        return self._named[1]

    def _units(self) -> Units:
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
        return frozenset({"editable", "extra_metrics", "feature_tables", "shape_functions", "unit_values"})

    def feature_tables(self) -> FeatureTables:
        """Return columns, bins and tables as numbers."""
        return self.core.feature_tables(self.columns, halved=self._binary)

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
        score = self.rounded_score(self.core.intercept + state.sum(-2))
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

    def rounded_score(self, score: Tensor) -> Tensor:
        """Return sums ``(b, scores)`` without the rounding of their last digits, where the family knows better."""
        return score

    # Tables.

    def set_terms(self, terms: Sequence[Term], intercept: np.ndarray) -> None:
        """Replace all terms by others over the columns of the model; levels are named as in ``columns``."""
        self.core.set_terms(terms, intercept, self.columns)

    def edit_operations(self) -> dict[str, Operation]:
        """Return the operations on terms, see ``zoo.layers.additive.term_edits``."""
        return TermEdits(self).operations()

    def check_editable(self) -> None:
        """Raise ValueError if the tables are not what predicts."""

    def rounded_edit(self, old: np.ndarray, new: np.ndarray) -> np.ndarray:
        """Return the new values ``(n,)`` of bins as the family can hold them, from the old and the wanted ones."""
        return new

    @torch.no_grad()
    def purify(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Move what a pair shares with its columns to these and center all tables; predictions are unchanged."""
        terms, intercept = purify_terms(self.shape_functions(), self.core.intercept.cpu().numpy())
        self.set_terms(terms, intercept)
        return {"terms": float(len(terms))}

    @torch.no_grad()
    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Return number of terms and pairs, and the effective number of terms by importance."""
        terms = self.shape_functions()
        return {
            "terms": float(len(terms)),
            "pairs": float(sum(len(term.bins) == 2 for term in terms)),
            "effective terms": effective_terms(terms),
        }


def columns_of(model: SelfExplaining) -> Columns:
    """Return the columns of a model of tables: those of its inputs, or numbers ``x0``, ``x1``, ..."""
    if isinstance(model.inputs, TableInputs) and model.inputs.encoding.name == model.table_encoding:
        return Columns.of(model.inputs.schema.columns)
    return Columns.numbers([f"x{j}" for j in range(math.prod(model.hparams["input_shape"]))])


def _resize(module: AdditiveModel, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    module.resize_for(state, prefix)
