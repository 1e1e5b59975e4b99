"""Shared part of the additive estimators: columns of arrays and DataFrames, settings, explanations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from zoo.layers.additive import AdditiveFit, AdditiveSettings, fit_additive
from zoo.layers.additive.columns.data_frame import contribution_table, contributions, frame_cells

if TYPE_CHECKING:
    import pandas


class AdditiveEstimator(BaseEstimator):
    """Shared part of both estimators; `AdditiveRegressor` has the arguments."""

    fit_: AdditiveFit

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
        random_state: int = 0,
    ) -> None:
        self.max_pairs = max_pairs
        self.max_bins = max_bins
        self.inner_splits = inner_splits
        self.smoothness_resamples = smoothness_resamples
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
            smoothness_resamples=self.smoothness_resamples,
            monotone=dict(self.monotone or {}),
            seed=self.random_state,
            **more,
        )

    def _training_cells(self, X: Any, y: Any) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, Sequence[str]]]:
        """Return the columns by name, the checked target and the orders of ordinal columns."""
        orders: dict[str, list[str]] = {}
        numeric = isinstance(self, RegressorMixin)
        if not _is_frame(X):
            cells, target = _array_cells(self, X, y=y, reset=True, y_numeric=numeric), y
        else:
            validate_data(self, X, y, reset=True, skip_check_array=True)
            cells, orders = frame_cells(X)
            target = y
        target = _target(target, numeric)
        check_consistent_length(X, target)
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
        return dict(zip(self._names(), _array_cells(self, X).values(), strict=True))

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
        cells = self._cells(X)
        values = contributions(self.fit_, cells)
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
        cells = self._cells(X)
        return self.fit_.scores(cells)


def _is_frame(X: Any) -> bool:
    return hasattr(X, "columns") and hasattr(X, "iloc")


def _array_cells(estimator: AdditiveEstimator, X: Any, reset: bool = False, **options: Any) -> dict[str, np.ndarray]:
    """Return the columns of an array of numbers as x0, x1, ..."""
    options = {"dtype": "numeric", "ensure_all_finite": "allow-nan", "reset": reset, **options}
    try:
        checked: Any = validate_data(estimator, X, **options)
    except ValueError as error:
        if "could not convert string" in str(error):
            raise ValueError(f"{error}; an array holds numbers only: pass a DataFrame for columns of text") from error
        raise
    array = checked[0] if isinstance(checked, tuple) else checked
    return {f"x{j}": array[:, j] for j in range(array.shape[1])}


def _target(y: Any, numeric: bool) -> np.ndarray:
    """Return a target without missing labels, shape (n,), as floats or as labels."""
    target = column_or_1d(y, warn=True)
    if target.dtype.kind == "O":
        missing = np.flatnonzero([label is None or label != label for label in target])
        if len(missing):
            raise ValueError(
                f"Input y contains NaN: the target of row {missing[0]} is missing; drop rows without a target"
            )
    options: dict[str, Any] = {"dtype": "numeric" if numeric else None}
    checked: Any = check_array(target, ensure_2d=False, input_name="y", **options)
    return checked
