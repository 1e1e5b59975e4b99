"""A CSV file with the target of each picture: a class, a number, or several labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from zoo.data.tables._column_roles import division
from zoo.inputs.images.class_folders import Picture, list_pictures, name_key
from zoo.inputs.tables.cells import Cells
from zoo.inputs.tables.columns import MARKERS
from zoo.inputs.tables.table_reader import read_table
from zoo.inputs.tables.target import Target, TargetKind, fit_target
from zoo.paths import did_you_mean
from zoo.task import Classification, MultiLabel, Regression, Task

TaskName = Literal["classification", "regression", "multilabel"]
KINDS: dict[TaskName, TargetKind] = {"classification": "classes", "regression": "number", "multilabel": "labels"}
FILE, SPLIT = "file", "split"
FEW = 5  # files named in a note


@dataclass(frozen=True)
class LabelsFile:
    """The pictures of a folder that have a row in a CSV file of targets.

    Attributes:
        cells: the n rows.
        pictures: the file of each row.
        target: what the columns mean, fitted on the training rows or that of a trained model.
        y: ``(n,)`` int64 classes, ``(n,)`` float32 numbers or ``(n, l)`` float32 labels.
        rows: ``(k,)`` rows of each split.
        notes: what was left out.
    """

    cells: Cells
    pictures: tuple[Picture, ...]
    target: Target
    y: Tensor
    rows: dict[str, Tensor]
    notes: tuple[str, ...] = ()


def read_labels(
    path: Path, root: Path, columns: Sequence[str] | None, task: TaskName | None, trained: Target | None = None
) -> LabelsFile:
    """Read the targets of the pictures below a folder.

    Args:
        path: CSV file with a column ``file`` (relative to ``root``), optionally a column ``split`` (train, val, test),
            and the columns of the target.
        root: the folder.
        columns: of the target; None for all the others.
        task: None to infer it from the cells, see ``zoo.inputs.tables.target.fit_target``.
        trained: target of a trained model, which reads the cells.

    Raises:
        ValueError: if the file is missing or invalid, a picture is missing or has two rows; the cell is named.
    """
    cells = read_table(path, argument="data.labels")
    files = cells.column(FILE, "data.labels").tolist()
    pictures, unlabeled = _match(cells, files, root)
    names = [name for name in cells.columns if name not in (FILE, SPLIT)] if columns is None else list(columns)
    if trained is not None:
        names = list(trained.columns)
    if not names:
        raise ValueError(f"{path}: no column beside {FILE!r}; add one for the target")
    for name in names:
        cells.column(name, "data.target")
    markers = frozenset(MARKERS)
    kind = None if task is None else KINDS[task]
    whole = trained or fit_target(cells, names, kind, markers)[0]
    y = whole.read(cells, markers)
    rows = division(
        cells,
        y,
        column=SPLIT if SPLIT in cells.columns and SPLIT not in names else None,
        target=names[0],
        class_names=whole.class_names,
        trained=trained is not None,
    )
    target = trained or fit_target(cells.take(rows["train"].numpy()), names, whole.kind, markers)[0]
    notes = ()
    if unlabeled:
        listed = ", ".join(unlabeled[:FEW]) + (", ..." if len(unlabeled) > FEW else "")
        notes = (f"{path}: {len(unlabeled)} pictures of {root} have no row and are left out: {listed}",)
    return LabelsFile(cells, pictures, target, y, rows, notes)


def _match(cells: Cells, files: Sequence[str], root: Path) -> tuple[tuple[Picture, ...], list[str]]:
    """The picture of each row, and the names of those without a row."""
    paths = {name_key(p.relative_to(root).as_posix()): p for p in list_pictures(root)[0]} if root.is_dir() else {}
    if not paths:
        raise ValueError(f"{root} has no image; expected files such as .jpg or .png (data.root)")
    pictures: dict[str, Picture] = {}
    for i, file in enumerate(files):
        name = name_key(file) if file else ""
        if name not in paths:
            near = did_you_mean(name, list(paths)) or f"; there is none below {root}"
            raise ValueError(f"{cells.at(i, FILE)}: no image {file!r}{near}")
        if name in pictures:
            raise ValueError(f"{cells.at(i, FILE)}: {file!r} has an earlier row; keep one of the two")
        pictures[name] = Picture(paths[name], name, 0)
    return tuple(pictures.values()), [name for name in paths if name not in pictures]


def task_of(target: Target) -> Task:
    """Return the task of a model that answers with a target."""
    if target.kind == "number":
        return Regression(mean=target.mean, std=target.std)
    if target.kind == "labels":
        return MultiLabel(len(target.class_names), counts=target.counts, rows=target.rows)
    return Classification(len(target.class_names), counts=target.counts)
