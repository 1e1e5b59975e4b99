"""Scikit-learn estimators of the additive model: `AdditiveClassifier` and `AdditiveRegressor`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from zoo.layers.additive import AdditiveFit, AdditiveSettings, fit_additive


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
        random_state: int = 0,
    ) -> None:
        self.max_pairs = max_pairs
        self.max_bins = max_bins
        self.inner_splits = inner_splits
        self.monotone = monotone
        self.kinds = kinds
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

    def _cells(self, X: Any, y: Any = None, reset: bool = False) -> tuple[dict[str, np.ndarray], Any]:
        """Return the columns by name and the checked target; a DataFrame keeps its own types."""
        if hasattr(X, "columns") and hasattr(X, "iloc"):
            validate_data(self, X, reset=reset, skip_check_array=True)
            if len(X) == 0:
                raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
            cells = {str(name): _column(X.iloc[:, j]) for j, name in enumerate(X.columns)}
            return cells, y
        options: dict[str, Any] = {"dtype": "numeric", "ensure_all_finite": "allow-nan"}
        if not reset:
            array = validate_data(self, X, reset=False, **options)
        else:
            numeric = isinstance(self, RegressorMixin)
            array, y = validate_data(self, X, y, reset=True, y_numeric=numeric, **options)
        return {f"x{j}": array[:, j] for j in range(array.shape[1])}, y

    def _scores(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "fit_")
        return self.fit_.scores(self._cells(X)[0])

    def explain(self, X: Any) -> tuple[np.ndarray, list[str]]:
        """Return what every term adds to the score of every row, and the names of the terms.

        Returns:
            Contributions of shape (n, terms), or (n, terms, classes) for more than two classes; with the intercept
            they add up to ``decision_function`` (a classifier) or ``predict`` (a regressor).
        """
        check_is_fitted(self, "fit_")
        cells = self._cells(X)[0]
        classes = len(self.fit_.intercept)
        columns = [term.table.reshape(-1, classes)[term.codes(cells)] for term in self.fit_.terms]
        contributions = np.stack(columns, axis=1)
        return (contributions if classes > 1 else contributions[..., 0]), [term.name for term in self.fit_.terms]


class AdditiveClassifier(ClassifierMixin, _AdditiveEstimator):
    """Additive classifier: logit of a class = intercept + sum of table look-ups.

    Parameters and attributes are those of `AdditiveRegressor`. ``class_weight="balanced"`` weighs the classes equally
    in the fit and corrects the intercept to the base rate, so that probabilities stay calibrated; weights by class
    multiply the row weights without a correction.

    Example:
        >>> from sklearn.datasets import load_breast_cancer
        >>> X, y = load_breast_cancer(return_X_y=True, as_frame=False)
        >>> model = AdditiveClassifier(max_pairs=0).fit(X[:, :4], y)
        >>> bool(model.score(X[:, :4], y) > 0.9)
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
        class_weight: str | Mapping[Any, float] | None = None,
        random_state: int = 0,
    ) -> None:
        super().__init__(
            max_pairs=max_pairs,
            max_bins=max_bins,
            inner_splits=inner_splits,
            monotone=monotone,
            kinds=kinds,
            random_state=random_state,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> AdditiveClassifier:
        """Fit tables, penalties and pairs to the rows of ``X``."""
        by_class = self.class_weight if isinstance(self.class_weight, Mapping) else {}
        if self.class_weight not in (None, "balanced") and not by_class:
            raise ValueError(f"class_weight is {self.class_weight!r}; expected None, 'balanced' or weights by class")
        cells, y = self._cells(X, y, reset=True)
        check_classification_targets(y)
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("the target has one class; expected two or more classes")
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, codes)
        if by_class:
            factors = np.array([by_class.get(label, 1.0) for label in self.classes_.tolist()])
            weights = factors[codes] * (1.0 if weights is None else weights)
        self.fit_ = fit_additive(
            cells,
            codes,
            task="binary" if len(self.classes_) == 2 else "multiclass",
            weights=weights,
            kinds=self.kinds,
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
        kinds: Kind ("number", "category", "ordinal", "boolean") by column name where it is not to be inferred.
        random_state: Seed of the inner splits.

    Attributes:
        fit_: Terms, certificate, chosen penalties and validation curve.
        n_features_in_: Number of columns.
        feature_names_in_: Names of the columns of a DataFrame.

    Example:
        >>> X = np.linspace(0, 1, 200)[:, None]
        >>> model = AdditiveRegressor().fit(X, np.sin(3 * X[:, 0]))
        >>> contributions, names = model.explain(X)
        >>> bool(np.allclose(contributions.sum(1) + model.fit_.intercept, model.predict(X))), names
        (True, ['x0'])
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> AdditiveRegressor:
        """Fit tables, penalties and pairs to the rows of ``X``."""
        cells, y = self._cells(X, y, reset=True)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, np.asarray(y))
        self.fit_ = fit_additive(
            cells, y, task="regression", weights=weights, kinds=self.kinds, settings=self._settings()
        )
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return predictions in the unit of the target, shape (n,)."""
        return self._scores(X)[:, 0]


def _column(series: Any) -> np.ndarray:
    """Return a DataFrame column as floats, or as text and None."""
    values = series.to_numpy()
    if values.dtype.kind in "biuf":
        return values
    missing = np.asarray(series.isna())
    return np.where(missing, None, np.asarray(values, dtype=object))
