"""Columns of a pandas DataFrame as plain cells, and contributions as a DataFrame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.layers.additive.fit_result import AdditiveFit
from zoo.layers.additive.terms import Term

if TYPE_CHECKING:
    import pandas


def frame_cells(frame: Any) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """Return the columns of a DataFrame by name, and the labels of its ordered categories, lowest first.

    Numbers and booleans stay numbers; text, categories and mixed cells become objects; missing cells of every type
    (NaN, None, ``pandas.NA``) become NaN or None.

    Raises:
        ValueError: The frame has no rows, no columns, two columns of one name, or a column of dates.
    """
    if len(frame) == 0:
        raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
    if frame.shape[1] == 0:
        raise ValueError(f"Found array with 0 feature(s) (shape={frame.shape}) while a minimum of 1 is required.")
    names = [str(name) for name in frame.columns]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(
            f"the DataFrame has {names.count(repeated[0])} columns named {repeated[0]!r}; rename or drop one"
        )
    cells: dict[str, np.ndarray] = {}
    orders: dict[str, list[str]] = {}
    for j, name in enumerate(names):
        series = frame.iloc[:, j]
        cells[name] = _plain(name, series)
        if getattr(series.dtype, "ordered", False):
            orders[name] = [str(label) for label in series.dtype.categories]
    return cells, orders


def _plain(name: str, series: Any) -> np.ndarray:
    values = series.to_numpy()
    if values.dtype.kind in "mM":
        raise ValueError(
            f"column {name!r} has type {series.dtype}; expected numbers, booleans, text or categories: "
            "convert it to a number, for example days since a fixed date"
        )
    if values.dtype.kind in "biuf":
        return values
    cells = np.asarray(values, dtype=object).copy()
    cells[np.asarray(series.isna(), dtype=bool)] = None
    return cells


def contributions(fit: AdditiveFit, cells: Mapping[str, Sequence | np.ndarray]) -> np.ndarray:
    """Return what every term adds to the scores of every row, shape (n, terms, c).

    With ``fit.intercept`` the contributions of a row add up to its scores.
    """
    classes = len(fit.intercept)
    return np.stack([term.table.reshape(-1, classes)[term.codes(cells)] for term in fit.terms], axis=1)


def contribution_table(
    fit: AdditiveFit, cells: Mapping[str, Sequence | np.ndarray], index: Sequence[Any] | np.ndarray
) -> pandas.DataFrame:
    """Return one line for each row, term and score, the intercept first; see `AdditiveClassifier.explain`.

    Args:
        fit: Fitted terms.
        cells: Columns by name, each of length n.
        index: Label of every row, length n.
    """
    import pandas

    n = len(index)
    targets = fit.classes if fit.task == "multiclass" else [None]
    k = len(fit.terms) + 1
    values = np.empty((n, k), dtype=object)
    scores = np.empty((n, k, len(targets)))
    deviations = np.full((n, k, len(targets)), np.nan)
    values[:, 0] = ""
    scores[:, 0] = fit.intercept
    scores[:, 1:] = contributions(fit, cells)
    for i, term in enumerate(fit.terms, 1):
        codes = term.codes(cells)
        values[:, i] = _cell_texts(term)[codes]
        if term.bands is not None:
            deviations[:, i] = term.bands.reshape(-1, len(targets))[codes]
    names = np.asarray(["intercept", *[term.name for term in fit.terms]], dtype=object)
    table: dict[str, Any] = {
        "row": np.repeat(np.asarray(index), k * len(targets)),
        "term": np.tile(np.repeat(names, len(targets)), n),
        "value": np.repeat(values.ravel(), len(targets)),
    }
    if fit.task == "multiclass":
        table["class"] = np.tile(np.asarray(targets), n * k)
    return pandas.DataFrame(table | {"contribution": scores.ravel(), "deviation": deviations.ravel()})


def _cell_texts(term: Term) -> np.ndarray:
    """Return every cell of a term in words, flattened, shape (cells,)."""
    texts = [[axis.text(code) for code in range(axis.size)] for axis in term.bins]
    if len(texts) == 1:
        return np.asarray(texts[0], dtype=object)
    return np.asarray([f"{first} x {second}" for first in texts[0] for second in texts[1]], dtype=object)
