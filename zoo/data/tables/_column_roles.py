"""Roles of the columns of a user's table: names and splits of the samples."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.data.holdout import holdout, strata_of
from zoo.data.split import Split
from zoo.inputs.tables.cells import Cells
from zoo.paths import did_you_mean

SPLITS = ("train", "val", "test")


def sample_names(file: Cells, column: str | None) -> list[str]:
    """Return the name of each row: its cell in the column, or ``row 1``, ``row 2``, ... in order.

    Raises:
        ValueError: if a cell is empty or occurs twice.
    """
    if column is None:
        return [f"row {i + 1}" for i in range(len(file))]
    names = file.text(column)
    first: dict[str, int] = {}
    for i, name in enumerate(names):
        if not name:
            raise ValueError(f"{file.at(i, column)}: the cell is empty; give each row an id")
        before = first.setdefault(name, i)
        if before != i:
            raise ValueError(f"{file.at(i, column)}: {name!r} is already in {file.name_of(before)}; ids must be unique")
    return names


def division(
    file: Cells,
    y: Tensor,
    *,
    column: str | None,
    target: str,
    class_names: Sequence[str],
    trained: bool = False,
    group: Tensor | None = None,
    time: Tensor | None = None,
    share: float = 0.2,
) -> dict[str, Tensor]:
    """Return the rows of each split: by the column, or with a share as test split, the same for every seed.

    Args:
        file: the table.
        y: ``(n,)`` class, ``(n,)`` number or ``(n, l)`` labels.
        column: column that holds train, val or test; None if there is none.
        target: column of the class.
        class_names: name of each class.
        trained: whether a trained model reads the rows, which then need not suffice for training.
        group: ``(n,)`` number of the group, whose rows stay together; None for none.
        time: ``(n,)`` by which the latest share is the test split; None for a random one.
        share: of the rows that is the test split without a column, by default a fifth.

    Raises:
        ValueError: if a cell is not a split, a split is missing, train lacks a class, or there are too few rows.
    """
    classes = not y.is_floating_point()
    if column is None:
        single = (torch.bincount(y)[y] == 1).nonzero() if classes else y[:0]
        if len(single) and not trained:
            i = int(single[0])
            where, name = file.at(i, target), class_names[int(y[i])]
            raise ValueError(f"{where}: the only row of class {name!r}; add rows of the class or remove this one")
        samples = Split(range(len(y)), strata_of(y), group=group, time=time)  # pyright: ignore[reportArgumentType]
        test = holdout(samples, share, seed=0)  # fixed: another seed must not train on it
        if not test.any() and not trained:
            part = "a fifth" if share == 0.2 else f"{share:.0%}"
            raise ValueError(
                f"{file.source}: {len(y)} rows are too few for a test split of {part}; set data.split instead"
            )
        return {"train": (~test).nonzero()[:, 0], "test": test.nonzero()[:, 0]}
    cells = file.text(column)
    for i, cell in enumerate(cells):
        if cell not in SPLITS:
            near = did_you_mean(cell, list(SPLITS)) or "; expected train, val or test"
            raise ValueError(f"{file.at(i, column)}: {cell!r} is not a split{near}")
    part = torch.tensor([SPLITS.index(cell) for cell in cells])
    if trained:
        return {name: (part == k).nonzero()[:, 0] for k, name in enumerate(SPLITS)}
    missing = {"train", "test"} - set(cells)
    if missing:
        raise ValueError(f"{file.source}, column {column!r}: no row has {min(missing)!r}; train and test are needed")
    if group is not None:
        _refuse_shared_groups(file, part, group, column)
    if not classes:
        return {name: (part == k).nonzero()[:, 0] for k, name in enumerate(SPLITS) if name in cells}
    total, train = (torch.bincount(c, minlength=len(class_names)) for c in (y, y[part == 0]))
    absent = ((total > 0) & (train == 0)).nonzero()
    if len(absent):
        i = int((y == absent[0]).nonzero()[0])
        where, name = file.at(i, target), class_names[int(absent[0])]
        raise ValueError(f"{where}: no row of class {name!r} is in train; move one there or remove the class")
    return {name: (part == k).nonzero()[:, 0] for k, name in enumerate(SPLITS) if name in cells}


def _refuse_shared_groups(file: Cells, part: Tensor, group: Tensor, column: str) -> None:
    """Refuse a division ``(n,)`` in which a group ``(n,)`` is in two splits."""
    first = torch.full((int(group.max()) + 1,), -1)
    for i in range(len(SPLITS)):
        of_part = group[part == i].unique()
        shared = of_part[first[of_part] >= 0]
        if len(shared):
            row = int(((part == i) & (group == shared[0])).nonzero()[0])
            other = SPLITS[int(first[shared[0]])]
            raise ValueError(
                f"{file.at(row, column)}: the group of this row is in {other} and in {SPLITS[i]}; keep it in one split"
            )
        first[of_part] = i
