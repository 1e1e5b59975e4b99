"""Concepts from columns of cells: their kinds, names, groups and values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

import numpy as np
import torch
from torch import Tensor

from zoo.concept_schema import Concept, ConceptKind, ConceptSchema
from zoo.inputs.labels import order_by_name
from zoo.inputs.tables.cells import Cells
from zoo.paths import did_you_mean

YES_NO = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
LARGEST = float(np.finfo(np.float32).max)
UNKNOWN = "leave the cell empty where it is unknown"


@dataclass(frozen=True)
class Column:
    """One concept column of a user's file.

    Attributes:
        name: header of the column.
        cells: n cells, one for each sample; empty where unknown.
        lines: line of each cell in the file, 0 where there is none.
        file: the file.
    """

    name: str
    cells: Sequence[str]
    lines: Sequence[int]
    file: Cells

    @property
    def where(self) -> str:
        """File and column, for error messages."""
        return f"{self.file.source}, column {self.name!r}"

    def at(self, i: int) -> str:
        """Return file, line and column of the cell of a sample, for error messages."""
        return f"{self.file.source}, {self.line(i)}, column {self.name!r}"

    def line(self, i: int) -> str:
        """Return the line of the cell of a sample, such as ``line 7``."""
        return f"{self.file.word} {self.lines[i]}"


@dataclass(frozen=True)
class Labels:
    """The concepts of n samples.

    Attributes:
        columns: m concepts; mean and std of continuous ones are not set yet.
        values: ``(n, m)`` float32, NaN where unknown.
        provenance: origin of the values.
    """

    columns: tuple[Concept, ...]
    values: Tensor
    provenance: str

    def in_order_of(self, trained: ConceptSchema | None) -> Labels:
        """Return the concepts in the order of those of a trained model, matched by name; as they are for None.

        Raises:
            ValueError: if a concept is missing or unknown to the model.
        """
        if trained is None:
            return self
        order = order_by_name(trained.names, [c.name for c in self.columns], "concepts")
        return Labels(tuple(self.columns[i] for i in order), self.values[:, order], self.provenance)

    def schema(self, train: Tensor | None) -> ConceptSchema:
        """Return the schema with mean and std of the concepts ``(n, m)`` of the training split.

        A continuous concept that is unknown there has mean 0 and std 1; one that is constant there has std 1.
        """
        assert train is not None
        concepts: list[Concept] = []
        for concept, column in zip(self.columns, train.T.double(), strict=True):
            known = column[~column.isnan()]
            if concept.kind == "continuous" and len(known):
                varies = bool(known.min() < known.max())
                std = float(known.std(correction=0)) if varies else 1.0
                concept = replace(concept, mean=float(known.mean()), std=std)
            concepts.append(concept)
        return ConceptSchema(tuple(concepts), self.provenance)


def encode(columns: Sequence[Column], kinds: Mapping[str, str] | None = None) -> Labels:
    """Return concepts and their values from cells.

    A column of 0 and 1 (or yes and no, true and false) is binary, one of other numbers is continuous, and one of words
    is categorical: a concept ``column: value`` for each value, in one group named as the column. A binary concept
    ``wing::striped`` belongs to the group ``wing``.

    Args:
        columns: at least one, each of n cells.
        kinds: kind by column name, for columns whose cells are ambiguous, such as categories 0, 1, 2.

    Raises:
        ValueError: if a kind or a name in ``kinds`` is unknown, a cell is invalid, or a column is empty, constant or
            equal to another; file, row and column are named.
    """
    kinds = kinds or {}
    names = [column.name for column in columns]
    for name, kind in kinds.items():
        if name not in names:
            raise ValueError(
                f"data.concept_kinds: no concept column {name!r}{did_you_mean(name, names)}"
                f" (there are {', '.join(names)})"
            )
        if kind not in get_args(ConceptKind):
            known = ", ".join(get_args(ConceptKind))
            raise ValueError(f"data.concept_kinds.{name} is {kind!r}; expected one of {known}")
    concepts: list[Concept] = []
    values: list[np.ndarray] = []
    source: dict[str, Column] = {}
    first_with: dict[bytes, str] = {}
    encoded = [_encoded(column, kinds.get(column.name)) for column in columns]
    for column, (new, columns_of_new) in zip(columns, encoded, strict=True):
        for concept, cells in zip(new, columns_of_new, strict=True):
            other = source.setdefault(concept.name, column)
            if other is not column:
                raise ValueError(f"{column.where}: concept {concept.name!r} is also in {other.where}; rename one")
            twin = first_with.setdefault(cells.tobytes(), concept.name)
            if twin != concept.name:
                same = f"concept {concept.name!r} is the same as {twin!r} in every row"
                raise ValueError(f"{column.where}: {same}; remove one of the two")
        concepts += new
        values += columns_of_new
    files = list(dict.fromkeys(Path(column.file.source).name for column in columns))
    try:
        ConceptSchema(tuple(concepts))
    except ValueError as error:
        raise ValueError(f"{', '.join(files)}: {error}") from error
    return Labels(tuple(concepts), torch.from_numpy(np.stack(values, 1)), f"the user's, from {', '.join(files)}")


def _encoded(column: Column, kind: str | None) -> tuple[list[Concept], list[np.ndarray]]:
    cells = column.cells
    name = column.name
    known = np.array([cell != "" for cell in cells])
    first = {cell: cells.index(cell) for cell in dict.fromkeys(cells) if cell}  # first position of each value
    if not first:
        raise ValueError(f"{column.where}: no row has a value; add values or remove the column")
    kind = cast("ConceptKind", kind) if kind else _infer_kind(column, first)
    levels: list[str] = []
    if kind == "categorical":
        levels = sorted(first, key=lambda cell: (math.isnan(_number(cell)), _number(cell), cell))
        code = np.array([{cell: k for k, cell in enumerate(levels)}.get(cell, -1) for cell in cells])
    else:
        code = _numbers(cells, YES_NO if kind == "binary" else None)
        fits = np.isin(code, (0.0, 1.0)) if kind == "binary" else ~np.isnan(code)
        bad = np.flatnonzero(known & ~fits)
        if bad.size:
            expected = "0, 1, yes, no, true or false" if kind == "binary" else "a finite number"
            raise ValueError(f"{column.at(bad[0])}: {cells[bad[0]]!r} is not {expected}; {UNKNOWN}")
    if len(set(code[known].tolist())) == 1:
        at = sorted(np.flatnonzero(known)[[0, -1]].tolist(), key=lambda i: column.lines[i])
        span = f"{column.line(at[0])} to {column.line(at[1])}"
        raise ValueError(
            f"{column.where}: {cells[at[0]]!r} in all {known.sum()} rows with a value, {span}; a"
            " constant concept explains nothing, remove the column"
        )
    if kind == "categorical":
        one_hot = [np.where(known, code == k, np.nan).astype(np.float32) for k in range(len(levels))]
        return [Concept(f"{name}: {level}", "categorical", name) for level in levels], one_hot
    group = name.split("::")[0] if kind == "binary" else ""
    return [Concept(name, kind, group)], [np.where(known, code, np.nan).astype(np.float32)]


def _infer_kind(column: Column, first: Mapping[str, int]) -> ConceptKind:
    if all(cell.lower() in YES_NO for cell in first):
        return "binary"
    values = {cell: _number(cell) for cell in first}
    words = [cell for cell, value in values.items() if math.isnan(value)]
    for cell in words:
        if cell.lower().lstrip("+-") in ("nan", "inf", "infinity"):
            raise ValueError(f"{column.at(first[cell])}: {cell!r} is not a finite number; {UNKNOWN}")
    if not words:
        strays = [cell for cell, value in values.items() if value not in (0.0, 1.0)]
        codes = sum(cell in values and cell not in strays for cell in column.cells)
        integers = all(value % 1 == 0 for value in values.values())
        if strays and integers and len(strays) <= 2 and codes > len([c for c in column.cells if c]) / 2:
            raise ValueError(
                f"{column.at(first[strays[0]])}: {strays[0]!r} where most cells are 0 or 1; correct it, {UNKNOWN}, or"
                f" set data.concept_kinds={{{column.name}: continuous}} or categorical"
            )
        return "continuous" if strays else "binary"
    if len(words) == len(first):
        return "categorical"
    other = next(cell for cell in first if cell not in words)
    raise ValueError(
        f"{column.at(first[words[0]])}: {words[0]!r} is a word, {other!r} in {column.line(first[other])} a number;"
        f" {UNKNOWN}, or set data.concept_kinds={{{column.name}: categorical}}"
    )


def _number(cell: str) -> float:
    """Return the number in a cell; NaN if the cell holds no number that is finite in float32."""
    try:
        value = math.nan if "_" in cell else float(cell)
    except ValueError:
        return math.nan
    return value if abs(value) <= LARGEST else math.nan


def _numbers(cells: Sequence[str], words: Mapping[str, float] | None = None) -> np.ndarray:
    """Return the numbers in n cells as ``(n,)`` float64, NaN where there is none; ``words`` maps words to numbers."""
    words = words or {}
    known = {cell: words.get(cell.lower(), _number(cell)) for cell in set(cells)}
    return np.array([known[cell] for cell in cells], float)
