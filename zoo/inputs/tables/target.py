"""The target of a table: what the model answers with, and how its cells become ``Batch.y``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from zoo.inputs.labels import RULE, class_names_of, compare_names, label_key
from zoo.inputs.tables.cells import Cells, as_text
from zoo.inputs.tables.notation import PLAIN, Ambiguous, Notation, find_notation
from zoo.inputs.tables.plain_values import from_plain, to_plain

TargetKind = Literal["classes", "number", "labels"]
FEW = 0.1  # share of fractions below which a column of few whole numbers is one of classes with mistakes
MAX_WHOLE = 20  # different whole numbers that are taken as classes without being declared


@dataclass(frozen=True)
class Target:
    """What the model answers with.

    Attributes:
        columns: one column; several for ``labels``, each of them yes or no.
        kind: ``classes``, ``number`` (regression) or ``labels`` (multi-label).
        class_names: of the classes in the order of the logits, or of the labels; empty for a number.
        counts: training rows of each class, or with each label.
        mean: of a number over the training rows.
        std: of a number over the training rows; 1 where it does not vary.
        notation: how a number is written.
        rows: training rows.
    """

    columns: tuple[str, ...]
    kind: TargetKind
    class_names: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    mean: float = 0.0
    std: float = 1.0
    notation: Notation = PLAIN
    rows: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(TargetKind):
            raise ValueError(f"the target is of kind {self.kind!r}; expected {', '.join(get_args(TargetKind))}")
        if not self.columns or (self.kind != "labels" and len(self.columns) > 1):
            raise ValueError(f"a target of kind {self.kind} has {len(self.columns)} columns")
        if self.kind == "classes" and len(self.class_names) < 2:
            raise ValueError(f"there are {len(self.class_names)} classes; expected two or more")
        if not math.isfinite(self.mean) or not math.isfinite(self.std) or self.std <= 0:
            raise ValueError(f"the target has mean {self.mean}, std {self.std}; expected finite, std above 0")

    def read(self, cells: Cells, markers: frozenset[str]) -> Tensor:
        """Return the targets of all records: ``(n,)`` int64, ``(n,)`` float32 or ``(n, l)`` float32.

        Raises:
            ValueError: if a column is missing, a cell is empty or unreadable, or a class is not the model's.
        """
        columns = [_known(cells, name, markers) for name in self.columns]
        if self.kind == "number":
            return _numbers(cells, self.columns[0], columns[0], self.notation)
        if self.kind == "labels":
            return torch.stack(
                [_truth(cells, n, text) for n, text in zip(self.columns, columns, strict=True)], 1
            ).float()
        codes, different = pd.factorize(columns[0])
        try:
            compare_names(self.class_names, [str(label) for label in different], "classes", partial=True)
        except ValueError as error:
            keys = {label_key(name) for name in self.class_names}
            i = next(i for i, label in enumerate(columns[0]) if label_key(label) not in keys)
            raise ValueError(f"{cells.at(i, self.columns[0])}: {error}") from error
        place = {label_key(name): i for i, name in enumerate(self.class_names)}
        return torch.from_numpy(np.array([place[label_key(label)] for label in different], np.int64)[codes])

    def describe(self) -> list[str]:
        """Return lines that say what the target is and how its classes are balanced."""
        name = ", ".join(self.columns[:4]) + (", ..." if len(self.columns) > 4 else "")
        if self.kind == "number":
            return [f"target {name}: number, mean {self.mean:.5g}, std {self.std:.5g}"]
        total = max(1, self.rows)
        shares = [f"{c} {n} ({100 * n / total:.3g} %)" for c, n in zip(self.class_names, self.counts, strict=False)]
        what = "classes" if self.kind == "classes" else "labels"
        more = ", ..." if len(shares) > 12 else ""
        return [f"target {name}: {len(self.class_names)} {what}: {', '.join(shares[:12])}{more}"]

    def to_config(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults as plain values."""
        return to_plain(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Target:
        """Return a target from plain values.

        Raises:
            ValueError: if a key or a value is not understood.
        """
        return cls(**from_plain(cls, config, what="the target"))


def fit_target(
    cells: Cells, columns: Sequence[str], kind: TargetKind | None, markers: frozenset[str]
) -> tuple[Target, list[str]]:
    """Return the target of the training cells, and remarks about it.

    Words and at most ``MAX_WHOLE`` different whole numbers are classes, other numbers a regression, several columns
    labels.

    Raises:
        ValueError: if a cell is missing, there are fewer than two classes, or the kind is not clear.
    """
    if kind == "labels" or (kind is None and len(columns) > 1):
        truth = [_truth(cells, name, _known(cells, name, markers)) for name in columns]
        for name, column in zip(columns, truth, strict=True):
            if bool(column.all()) or not bool(column.any()):
                raise ValueError(f"{cells.source}, column {name!r}: the label is the same in every training row")
        counts = tuple(int(column.sum()) for column in truth)
        return Target(tuple(columns), "labels", tuple(columns), counts, rows=len(cells)), []
    (name,) = columns
    text = _known(cells, name, markers)
    different, count = np.unique(text.astype(str), return_counts=True)
    order = np.argsort(-count, kind="stable")
    labels = [str(different[i]) for i in order]
    if kind is None:
        kind = _kind_of(cells, name, labels, count[order] / len(cells))
    if kind == "number":
        return _number_target(cells, name, text, labels), []
    values = PLAIN.parse_many(labels)
    if not np.isnan(values).any() and (fractions := np.flatnonzero(values % 1)).size:
        i = next(i for i, cell in enumerate(text) if cell == labels[fractions[0]])
        raise ValueError(f"{cells.at(i, name)}: {text[i]!r} is no class; expected words or whole numbers")
    class_names, notes = class_names_of(labels)
    if len(class_names) < 2:
        raise ValueError(f"{cells.source}, column {name!r}: {labels[0]!r} in every row; expected two classes or more")
    of = {label_key(label): 0 for label in class_names}
    for label, n in zip(different, count, strict=True):
        of[label_key(str(label))] += int(n)
    target = Target((name,), "classes", class_names, tuple(of[label_key(c)] for c in class_names), rows=len(cells))
    return target, [f"{note}: {RULE}" for note in notes[:1]]


def _kind_of(cells: Cells, name: str, labels: Sequence[str], share: np.ndarray) -> TargetKind:
    """The kind of a target, from its different cells and the share of the rows that each has."""
    try:
        notation = find_notation(labels)
    except Ambiguous as error:
        i = next(i for i, cell in enumerate(as_text(cells.columns[name])) if cell == error.cell)
        raise ValueError(f"{cells.at(i, name)}: {error}") from error
    if notation is None:
        return "classes"
    fractional = np.array([not notation.parse(label).is_integer() for label in labels])
    if fractional.any():
        if len(labels) - fractional.sum() <= MAX_WHOLE and share[fractional].sum() < FEW:
            i = next(
                i for i, cell in enumerate(as_text(cells.columns[name])) if cell == labels[int(fractional.argmax())]
            )
            raise ValueError(
                f"{cells.at(i, name)}: {cells.columns[name][i]!r} is no class; expected words or whole numbers;"
                " declare data.task=regression if the target is a quantity"
            )
        return "number"
    if len({label_key(label) for label in labels}) <= MAX_WHOLE:
        return "classes"
    raise ValueError(
        f"{cells.source}, column {name!r} has {len(labels)} different whole numbers, which may be classes or a"
        " quantity; declare data.task=classification or data.task=regression"
    )


def _number_target(cells: Cells, name: str, text: np.ndarray, labels: Sequence[str]) -> Target:
    try:
        notation = find_notation(labels) or PLAIN
    except Ambiguous as error:
        i = next(i for i, cell in enumerate(text) if cell == error.cell)
        raise ValueError(f"{cells.at(i, name)}: {error}") from error
    y = _numbers(cells, name, text, notation).double()
    std = float(y.std(correction=0)) if bool(y.min() < y.max()) else 0.0
    if std == 0.0:
        raise ValueError(f"{cells.source}, column {name!r}: {text[0]!r} in every row; expected numbers that vary")
    return Target((name,), "number", mean=float(y.mean()), std=std, notation=notation, rows=len(cells))


def _known(cells: Cells, name: str, markers: frozenset[str]) -> np.ndarray:
    """The text of a target column, none of whose cells is missing."""
    text = as_text(cells.column(name, "data.target"))
    missing = [i for i, cell in enumerate(text) if cell is None or cell in markers]
    if missing:
        lines = ", ".join(str(cells.lines[i]) for i in missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise ValueError(
            f"{cells.source}, column {name!r}: {len(missing)} of {len(text)} targets are missing ({cells.word}s"
            f" {lines}); fill them in, or remove those rows"
        )
    return text


def _numbers(cells: Cells, name: str, text: np.ndarray, notation: Notation) -> Tensor:
    codes, different = pd.factorize(text)
    values = np.array([notation.parse(cell) for cell in different])
    if np.isnan(values).any():
        bad = different[int(np.isnan(values).argmax())]
        i = next(i for i, cell in enumerate(text) if cell == bad)
        raise ValueError(f"{cells.at(i, name)}: {bad!r} is no finite number")
    return torch.from_numpy(values[codes]).float()


def _truth(cells: Cells, name: str, text: np.ndarray) -> Tensor:
    words = {"0": 0, "1": 1, "false": 0, "true": 1, "no": 0, "yes": 1}
    codes, different = pd.factorize(text)
    values = np.array([words.get(label_key(cell).lower(), -1) for cell in different])
    if (values < 0).any():
        bad = different[int((values < 0).argmax())]
        i = next(i for i, cell in enumerate(text) if cell == bad)
        raise ValueError(f"{cells.at(i, name)}: {bad!r} is not 0, 1, yes, no, true or false")
    return torch.from_numpy(values[codes])
