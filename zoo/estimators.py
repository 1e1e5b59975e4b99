"""Scikit-learn estimators of the additive model: `AdditiveClassifier` and `AdditiveRegressor`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from zoo.layers.additive import AdditiveFit, AdditiveSettings, fit_additive
from zoo.layers.additive.data_frame import contribution_table, contributions, frame_cells

if TYPE_CHECKING:
    import pandas

ARRAY: dict[str, Any] = {"dtype": "numeric", "ensure_all_finite": "allow-nan"}


class _AdditiveEstimator(BaseEstimator):
    """Shared part of both estimators; `AdditiveRegressor` has the arguments."""

    fit_: AdditiveFit

    def __init__(
        self,
        *,
        max_pairs: int | None = None,
        max_bins: int = 256,
        inner_splits: int = 6,
        monotone: Mapping[str, int] | None = None,
        kinds: Mapping[str, str] | None = None,
        orders: Mapping[str, Sequence[str]] | None = None,
        random_state: int = 0,
    ) -> None:
        self.max_pairs = max_pairs
        self.max_bins = max_bins
        self.inner_splits = inner_splits
        self.monotone = monotone
        self.kinds = kinds
        self.orders = orders
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _settings(self, **more: Any) -> AdditiveSettings:
        return AdditiveSettings(
            max_pairs=self.max_pairs,
            max_bins=self.max_bins,
            inner_splits=self.inner_splits,
            monotone=dict(self.monotone or {}),
            seed=self.random_state,
            **more,
        )

    def _training_cells(self, X: Any, y: Any) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, Sequence[str]]]:
        """Return the columns by name, the checked target and the orders of ordinal columns."""
        numeric = isinstance(self, RegressorMixin)
        if _is_frame(X):
            validate_data(self, X, y, reset=True, skip_check_array=True)
            cells, orders = frame_cells(X)
            target = check_array(
                column_or_1d(y, warn=True), dtype="numeric" if numeric else None, ensure_2d=False, input_name="y"
            )
            check_consistent_length(X, target)
        else:
            array, target = validate_data(self, X, y, reset=True, y_numeric=numeric, **ARRAY)
            cells, orders = _array_cells(array), {}
        for option, columns in (("kinds", self.kinds), ("orders", self.orders), ("monotone", self.monotone)):
            for name in columns or {}:
                if name not in cells:
                    near = get_close_matches(name, cells, 1) or list(cells)[:1]
                    raise ValueError(f"{option} names column {name!r}, which X does not have; nearest: {near[0]!r}")
        return cells, target, {**orders, **(self.orders or {})}

    def _cells(self, X: Any) -> dict[str, np.ndarray]:
        """Return the columns by name; a DataFrame keeps its own types."""
        check_is_fitted(self, "fit_")
        if _is_frame(X):
            validate_data(self, X, reset=False, skip_check_array=True)
            return dict(zip(self._names(), frame_cells(X)[0].values(), strict=True))
        return dict(
            zip(self._names(), _array_cells(validate_data(self, X, reset=False, **ARRAY)).values(), strict=True)
        )

    def _names(self) -> list[str]:
        return [term.name for term in self.fit_.terms if len(term.columns) == 1]

    def _fit(
        self, cells: dict[str, np.ndarray], y: np.ndarray, orders: Mapping[str, Sequence[str]], **options: Any
    ) -> None:
        kinds = dict.fromkeys(orders, "ordinal") | dict(self.kinds or {})
        self.fit_ = fit_additive(cells, y, kinds=kinds, orders=orders, **options)

    def contributions(self, X: Any) -> np.ndarray:
        """Return what every term adds to the score of every row, in the order of ``fit_.terms``.

        Returns:
            An array of shape (n, terms), or (n, terms, classes) for more than two classes. With ``fit_.intercept`` it
            adds up to ``decision_function`` (a classifier) or ``predict`` (a regressor).
        """
        values = contributions(self.fit_, self._cells(X))
        return values if values.shape[2] > 1 else values[..., 0]

    def explain(self, X: Any) -> pandas.DataFrame:
        """Return the contributions as a tidy table, one line for each row of ``X`` and term.

        Returns:
            A DataFrame with the columns ``row`` (index of ``X``), ``term`` (``intercept`` first), ``value`` (the bin of
            the row in words), ``class`` (more than two classes only), ``contribution`` (in logits, for two classes of
            the second one, or in the unit of the target) and ``deviation`` (standard deviation of the contribution over
            subsets of the training rows). The contributions of a row add up to its score.

        Raises:
            ImportError: pandas is not installed; `contributions` does not need it.
        """
        cells = self._cells(X)
        index = X.index if _is_frame(X) else np.arange(len(next(iter(cells.values()))))
        return contribution_table(self.fit_, cells, index)

    def importance(self) -> dict[str, float]:
        """Return the mean absolute contribution of every term in the training rows, largest first."""
        check_is_fitted(self, "fit_")
        mean = {term.name: float(term.importance()[0].mean()) for term in self.fit_.terms}
        return dict(sorted(mean.items(), key=lambda item: -item[1]))

    def _scores(self, X: Any) -> np.ndarray:
        return self.fit_.scores(self._cells(X))


class AdditiveClassifier(ClassifierMixin, _AdditiveEstimator):
    """Additive classifier: logit of a class = intercept + sum of table look-ups.

    Parameters and attributes are those of `AdditiveRegressor`. ``class_weight="balanced"`` weighs the classes equally
    in the fit and corrects the intercept to the base rate, so that probabilities stay calibrated; weights by class
    multiply the row weights without a correction.

    Attributes:
        classes_: Class labels, ascending; for two classes the scores are logits of the second one.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True, as_frame=True)
        >>> model = AdditiveClassifier(max_pairs=0, inner_splits=2).fit(X, y == 1)
        >>> model.classes_.tolist(), bool(model.score(X, y == 1) > 0.9)
        ([False, True], True)
        >>> table = model.explain(X.head(2))
        >>> table.columns.tolist(), table["term"].tolist()[:3]
        (['row', 'term', 'value', 'contribution', 'deviation'], ['intercept', 'sepal length (cm)', 'sepal width (cm)'])
        >>> scores = table.groupby("row")["contribution"].sum()
        >>> bool(np.allclose(scores, model.decision_function(X.head(2))))
        True
    """

    def __init__(
        self,
        *,
        max_pairs: int | None = None,
        max_bins: int = 256,
        inner_splits: int = 6,
        monotone: Mapping[str, int] | None = None,
        kinds: Mapping[str, str] | None = None,
        orders: Mapping[str, Sequence[str]] | None = None,
        class_weight: str | Mapping[Any, float] | None = None,
        random_state: int = 0,
    ) -> None:
        super().__init__(
            max_pairs=max_pairs,
            max_bins=max_bins,
            inner_splits=inner_splits,
            monotone=monotone,
            kinds=kinds,
            orders=orders,
            random_state=random_state,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> AdditiveClassifier:
        """Fit tables, penalties and pairs to the rows of ``X``."""
        by_class = self.class_weight if isinstance(self.class_weight, Mapping) else {}
        if self.class_weight not in (None, "balanced") and not by_class:
            raise ValueError(f"class_weight is {self.class_weight!r}; expected None, 'balanced' or weights by class")
        cells, y, orders = self._training_cells(X, y)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("the target has one class; expected two or more classes")
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, codes)
        if by_class:
            factors = np.array([by_class.get(label, 1.0) for label in self.classes_.tolist()])
            weights = factors[codes] * (1.0 if weights is None else weights)
        self._fit(
            cells,
            codes,
            orders,
            task="binary" if len(self.classes_) == 2 else "multiclass",
            weights=weights,
            settings=self._settings(balanced=self.class_weight == "balanced"),
        )
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return logits, shape (n,) for two classes (of the second one), else (n, classes)."""
        scores = self._scores(X)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return probabilities, shape (n, classes)."""
        scores = self._scores(X)
        if scores.shape[1] > 1:
            return softmax(scores, axis=1)
        return np.stack([expit(-scores[:, 0]), expit(scores[:, 0])], axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of the largest probability, shape (n,)."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]


class AdditiveRegressor(RegressorMixin, _AdditiveEstimator):
    """Additive regressor: prediction = intercept + sum of table look-ups.

    Args:
        max_pairs: Largest number of pairs; three times the number of columns when None, 0 for mains only.
        max_bins: Largest number of bins of a main.
        inner_splits: Inner validation splits that choose penalties and pairs.
        monotone: Direction (1 or -1) by column name.
        kinds: Kind ("number", "category", "ordinal", "boolean") by column name where it is not to be inferred; two
            distinct values are inferred to be a boolean, numbers a number, text a category.
        orders: Labels of ordinal columns, lowest first; ordered categories of pandas need none.
        random_state: Seed of the inner splits.

    Attributes:
        fit_: Terms, certificate, chosen penalties and validation curve.
        n_features_in_: Number of columns.
        feature_names_in_: Names of the columns of a DataFrame; the columns of an array are called x0, x1, ...

    Example:
        >>> X = np.linspace(0, 1, 200)[:, None]
        >>> model = AdditiveRegressor(inner_splits=2).fit(X, np.sin(3 * X[:, 0]))
        >>> bool(np.allclose(model.contributions(X).sum(1) + model.fit_.intercept, model.predict(X)))
        True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> AdditiveRegressor:
        """Fit tables, penalties and pairs to the rows of ``X``."""
        cells, y, orders = self._training_cells(X, y)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, np.asarray(y))
        self._fit(cells, y, orders, task="regression", weights=weights, settings=self._settings())
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return predictions in the unit of the target, shape (n,)."""
        return self._scores(X)[:, 0]


def _is_frame(X: Any) -> bool:
    return hasattr(X, "columns") and hasattr(X, "iloc")


def _array_cells(array: np.ndarray) -> dict[str, np.ndarray]:
    return {f"x{j}": array[:, j] for j in range(array.shape[1])}
