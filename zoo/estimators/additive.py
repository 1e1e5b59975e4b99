"""Scikit-learn estimators of the additive model: `AdditiveClassifier` and `AdditiveRegressor`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight

from zoo.estimators.base import AdditiveEstimator


class AdditiveClassifier(ClassifierMixin, AdditiveEstimator):
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
        smoothness_resamples: int = 0,
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
            smoothness_resamples=smoothness_resamples,
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
            unknown = [label for label in by_class if label not in self.classes_.tolist()]
            if unknown:
                raise ValueError(f"class_weight names {unknown[0]!r}; the classes are {self.classes_.tolist()}")
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
        self.fit_ = replace(self.fit_, classes=self.classes_.tolist())
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


class AdditiveRegressor(RegressorMixin, AdditiveEstimator):
    """Additive regressor: prediction = intercept + sum of table look-ups.

    Args:
        max_pairs: Largest number of pairs; three times the number of columns when None, 0 for mains only.
        max_bins: Largest number of bins of a main.
        inner_splits: Inner validation splits that choose penalties and pairs.
        smoothness_resamples: Subsets of the rows whose smoothness is averaged, such as 6, for functions that change
            less from sample to sample; 0 for that of all rows.
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
