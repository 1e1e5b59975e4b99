"""What the columns of a user's table are for: inputs, classes, names and splits of the samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from zoo.data.split import held_out
from zoo.data.tables._csv_file import Csv, numbers
from zoo.paths import did_you_mean

SPLITS = ("train", "val", "test")


def classes(file: Csv, target: str, *, known: tuple[str, ...] | None = None) -> tuple[tuple[str, ...], Tensor]:
    """Names of the classes, numbers by size and words by the alphabet, and ``(n,)`` int64 class of each row.

    Args:
        file: the table.
        target: column of the class.
        known: names of the classes of a trained model, which are taken instead.

    Raises:
        ValueError: if a cell is empty, a number that is not whole, or not ``known``, or there is only one class.
    """
    cells = file.columns[target]
    if "" in cells:
        raise ValueError(f"{file.at(cells.index(''), target)}: the cell is empty; give the class or remove the row")
    values = numbers(cells)
    if whole := not np.isnan(values).any():
        if (odd := values % 1 != 0).any():
            i = int(odd.argmax())
            raise ValueError(f"{file.at(i, target)}: {cells[i]!r} is no class; expected words or whole numbers")
        cells = [str(int(value)) for value in values]
    names = known or sorted(set(cells), key=int if whole else None)
    if lost := [i for i, cell in enumerate(cells) if known is not None and cell not in known]:
        near = did_you_mean(cells[lost[0]], list(names)) or f"; it is one of {', '.join(names)}"
        raise ValueError(f"{file.at(lost[0], target)}: the model has no class {cells[lost[0]]!r}{near}")
    if len(names) < 2:
        raise ValueError(f"{file.path}, column {target!r}: {names[0]!r} in every row; expected two classes or more")
    place = {name: i for i, name in enumerate(names)}
    return tuple(names), torch.tensor([place[cell] for cell in cells])


def sample_names(file: Csv, column: str | None) -> list[str]:
    """Name of each row: what the column says, or ``row 1``, ``row 2`` ... in the order of the data.

    Raises:
        ValueError: if a cell is empty or stands twice.
    """
    if column is None:
        return [f"row {i + 1}" for i in range(len(file))]
    names, first = file.columns[column], {}
    for i, name in enumerate(names):
        if not name:
            raise ValueError(f"{file.at(i, column)}: the cell is empty; give each row an id")
        if (before := first.setdefault(name, i)) != i:
            raise ValueError(f"{file.at(i, column)}: {name!r} is already in row {file.rows[before]}; an id stands once")
    return names


def division(
    file: Csv, y: Tensor, *, column: str | None, target: str, class_names: Sequence[str], trained: bool = False
) -> dict[str, Tensor]:
    """Rows of each split: as the column says, or a stratified fifth for testing, the same one whatever the seed.

    Args:
        file: the table.
        y: ``(n,)`` class.
        column: of train, val or test; None for none.
        target: column of the class.
        class_names: one for each class.
        trained: whether a trained model reads the rows, which then need not be enough for training.

    Raises:
        ValueError: if a cell is no split, a split is lost, or train lacks a class; or if there are too few rows.
    """
    if column is None:
        single = (torch.bincount(y)[y] == 1).nonzero()
        if len(single) and not trained:
            i = int(single[0])
            where, name = file.at(i, target), class_names[int(y[i])]
            raise ValueError(f"{where}: the only row of class {name!r}; add rows of the class or remove this one")
        test = held_out(y, 0.2, seed=0)  # fixed: another seed must not train on it
        if not test.any() and not trained:
            raise ValueError(f"{file.path}: {len(y)} rows are too few to hold out a fifth; name data.split instead")
        return {"train": (~test).nonzero()[:, 0], "test": test.nonzero()[:, 0]}
    cells = file.columns[column]
    for i, cell in enumerate(cells):
        if cell not in SPLITS:
            near = did_you_mean(cell, list(SPLITS)) or "; expected train, val or test"
            raise ValueError(f"{file.at(i, column)}: {cell!r} is no split{near}")
    part = torch.tensor([SPLITS.index(cell) for cell in cells])
    if trained:
        return {name: (part == k).nonzero()[:, 0] for k, name in enumerate(SPLITS)}
    if missing := {"train", "test"} - set(cells):
        raise ValueError(f"{file.path}, column {column!r}: no row says {min(missing)!r}; train and test are needed")
    some, train = (torch.bincount(c, minlength=len(class_names)) for c in (y, y[part == 0]))
    lost = ((some > 0) & (train == 0)).nonzero()
    if len(lost):
        i = int((y == lost[0]).nonzero()[0])
        where, name = file.at(i, target), class_names[int(lost[0])]
        raise ValueError(f"{where}: no row of class {name!r} is in train; move one there or remove the class")
    return {name: (part == k).nonzero()[:, 0] for k, name in enumerate(SPLITS) if name in cells}
