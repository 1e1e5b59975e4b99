"""Roles of the columns of a user's table: inputs, classes, names and splits of the samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from zoo.data.split import stratified_holdout
from zoo.data.tables._csv_file import Csv, numbers
from zoo.paths import did_you_mean

SPLITS = ("train", "val", "test")


def inputs(file: Csv, names: Sequence[str], *, chosen: bool) -> dict[str, np.ndarray]:
    """Return the numeric columns by name, each ``(n,)`` float64.

    Args:
        file: the table.
        names: columns to take.
        chosen: whether the user named the columns; if not, columns without numbers are left out.

    Raises:
        ValueError: if a cell is not a finite number or no column is left.
    """
    columns: dict[str, np.ndarray] = {}
    for name in names:
        values = numbers(file.columns[name])
        bad = np.isnan(values)
        if bad.all() and not chosen:
            continue
        if bad.any():
            i = int(bad.argmax())
            choose = "" if chosen else ", or name the inputs in data.features"
            cell = file.columns[name][i]
            raise ValueError(f"{file.at(i, name)}: {cell!r} is not a finite number; correct or remove the row{choose}")
        columns[name] = values
    if not columns:
        raise ValueError(f"{file.path} has no numeric column for the inputs; it has {', '.join(file.names)}")
    return columns


def classes(file: Csv, target: str, *, known: tuple[str, ...] | None = None) -> tuple[tuple[str, ...], Tensor]:
    """Return the class names, numbers in numeric and words in alphabetic order, and the class ``(n,)`` of each row.

    Args:
        file: the table.
        target: column of the class.
        known: class names of a trained model, used instead.

    Raises:
        ValueError: if a cell is empty, a number that is not an integer, or not ``known``, or there is only one class.
    """
    cells = file.columns[target]
    if "" in cells:
        raise ValueError(f"{file.at(cells.index(''), target)}: the cell is empty; give the class or remove the row")
    values = numbers(cells)
    numeric = not np.isnan(values).any()
    if numeric:
        fractional = values % 1 != 0
        if fractional.any():
            i = int(fractional.argmax())
            raise ValueError(f"{file.at(i, target)}: {cells[i]!r} is not a class; expected words or integers")
        cells = [str(int(value)) for value in values]
    names: Sequence[str] = known or sorted(set(cells), key=int if numeric else None)
    for i, cell in enumerate(cells if known is not None else []):
        if cell not in names:
            near = did_you_mean(cell, list(names)) or f"; expected one of {', '.join(names)}"
            raise ValueError(f"{file.at(i, target)}: the model has no class {cell!r}{near}")
    if len(names) < 2:
        raise ValueError(f"{file.path}, column {target!r}: {cells[0]!r} in every row; expected two classes or more")
    place = {name: i for i, name in enumerate(names)}
    return tuple(names), torch.tensor([place[cell] for cell in cells])


def sample_names(file: Csv, column: str | None) -> list[str]:
    """Return the name of each row: its cell in the column, or ``row 1``, ``row 2``, ... in order.

    Raises:
        ValueError: if a cell is empty or occurs twice.
    """
    if column is None:
        return [f"row {i + 1}" for i in range(len(file))]
    names = file.columns[column]
    first: dict[str, int] = {}
    for i, name in enumerate(names):
        if not name:
            raise ValueError(f"{file.at(i, column)}: the cell is empty; give each row an id")
        before = first.setdefault(name, i)
        if before != i:
            raise ValueError(
                f"{file.at(i, column)}: {name!r} is already in row {file.rows[before]}; ids must be unique"
            )
    return names


def division(file: Csv, y: Tensor, *, column: str | None, target: str, class_names: Sequence[str]) -> dict[str, Tensor]:
    """Return the rows of each split: by the column, or with a stratified fifth as test split, the same for every seed.

    Args:
        file: the table.
        y: ``(n,)`` class.
        column: column that holds train, val or test; None if there is none.
        target: column of the class.
        class_names: name of each class.

    Raises:
        ValueError: if a cell is not a split, a split is missing, train lacks a class, or there are too few rows.
    """
    if column is None:
        single = (torch.bincount(y)[y] == 1).nonzero()
        if len(single):
            i = int(single[0])
            where, name = file.at(i, target), class_names[int(y[i])]
            raise ValueError(f"{where}: the only row of class {name!r}; add rows of the class or remove this one")
        test = stratified_holdout(y, 0.2, seed=0)  # fixed: another seed must not train on it
        if not test.any():
            raise ValueError(
                f"{file.path}: {len(y)} rows are too few for a test split of a fifth; set data.split instead"
            )
        return {"train": (~test).nonzero()[:, 0], "test": test.nonzero()[:, 0]}
    cells = file.columns[column]
    for i, cell in enumerate(cells):
        if cell not in SPLITS:
            near = did_you_mean(cell, list(SPLITS)) or "; expected train, val or test"
            raise ValueError(f"{file.at(i, column)}: {cell!r} is not a split{near}")
    missing = {"train", "test"} - set(cells)
    if missing:
        raise ValueError(f"{file.path}, column {column!r}: no row has {min(missing)!r}; train and test are needed")
    part = torch.tensor([SPLITS.index(cell) for cell in cells])
    total, train = (torch.bincount(c, minlength=len(class_names)) for c in (y, y[part == 0]))
    absent = ((total > 0) & (train == 0)).nonzero()
    if len(absent):
        i = int((y == absent[0]).nonzero()[0])
        where, name = file.at(i, target), class_names[int(absent[0])]
        raise ValueError(f"{where}: no row of class {name!r} is in train; move one there or remove the class")
    return {name: (part == k).nonzero()[:, 0] for k, name in enumerate(SPLITS) if name in cells}
