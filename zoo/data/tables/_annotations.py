"""Columns that are no inputs: groups, times and weights of the rows of a user's table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from zoo.inputs.tables.cells import Cells, as_text
from zoo.inputs.tables.column_fitting import Declared, LeftOut, fit_column


def read_groups(cells: Cells, name: str, markers: frozenset[str]) -> Tensor:
    """Return the number ``(n,)`` int64 of the group of each record.

    Raises:
        ValueError: if a cell is missing.
    """
    text = as_text(cells.column(name, "data.group"))
    _refuse_missing(cells, name, text, markers, "group")
    codes, _ = pd.factorize(text)
    return torch.from_numpy(codes.astype(np.int64))


def read_times(cells: Cells, name: str, markers: frozenset[str], date_format: str) -> Tensor:
    """Return the time ``(n,)`` float64 of each record: a number as it is, days for a date.

    Args:
        cells: the table.
        name: of the column.
        markers: cells that mean a missing value.
        date_format: of the dates; empty to see it from the cells.

    Raises:
        ValueError: if a cell is missing or is neither a number nor a date.
    """
    text = as_text(cells.column(name, "data.time"))
    _refuse_missing(cells, name, text, markers, "time")
    try:
        column = fit_column(name, cells, Declared(date_format=date_format, chosen=True), markers)
    except LeftOut as reason:
        raise ValueError(
            f"{cells.source}, column {name!r} (data.time): {reason}; expected times that differ"
        ) from reason
    if column.kind not in ("number", "date"):
        raise ValueError(
            f"{cells.source}, column {name!r} (data.time) holds {column.kind} values such as {text[0]!r}; expected"
            " numbers or dates: give their format in data.dates"
        )
    return torch.from_numpy(np.asarray(column.parse(cells.columns[name], markers)[0], float))


def read_weights(cells: Cells, name: str, markers: frozenset[str]) -> Tensor:
    """Return the weight ``(n,)`` float32 of each record.

    Raises:
        ValueError: if a cell is missing, or is no finite number, 0 or more.
    """
    text = as_text(cells.column(name, "data.weight"))
    _refuse_missing(cells, name, text, markers, "weight")
    values = np.array([_number(cell) for cell in text])
    bad = ~np.isfinite(values) | (values < 0)
    if bad.any():
        i = int(bad.argmax())
        raise ValueError(f"{cells.at(i, name)}: the weight is {text[i]!r}; expected a number, 0 or more")
    return torch.from_numpy(values).float()


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return np.nan


def _refuse_missing(cells: Cells, name: str, text: np.ndarray, markers: frozenset[str], what: str) -> None:
    for i, cell in enumerate(text):
        if cell is None or cell in markers:
            raise ValueError(f"{cells.at(i, name)}: the {what} is missing; fill it in, or remove the row")
