"""Concepts from columns of cells that a user wrote: their kinds, names, groups and values."""

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
from zoo.data.tables._csv_file import number, numbers
from zoo.paths import did_you_mean

YES_NO = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
UNKNOWN = "leave the cell empty where it is unknown"


@dataclass(frozen=True)
class Column:
    """What a user's file says of one concept.

    Attributes:
        name: its header.
        cells: n cells, one for each sample; empty where unknown.
        rows: n rows of the cells in the file.
        path: the file.
    """

    name: str
    cells: Sequence[str]
    rows: Sequence[int]
    path: Path

    @property
    def where(self) -> str:
        """Words that say which column this is, for an error."""
        return f"{self.path}, column {self.name!r}"

    def at(self, i: int) -> str:
        """Words that say where the cell of a sample is, for an error."""
        return f"{self.path}, row {self.rows[i]}, column {self.name!r}"


@dataclass(frozen=True)
class Labels:
    """The concepts of n samples.

    Attributes:
        columns: m concepts; the mean and std of continuous ones are not known yet.
        values: ``(n, m)`` float32, NaN where unknown.
        provenance: who says so.
    """

    columns: tuple[Concept, ...]
    values: Tensor
    provenance: str

    def schema(self, train: Tensor | None) -> ConceptSchema:
        """The schema, with mean and std of the concepts ``(n, m)`` of the training split.

        A continuous concept that is unknown there has mean 0 and std 1; one that does not vary there has std 1.
        """
        assert train is not None
        found = []
        for concept, column in zip(self.columns, train.T.double(), strict=True):
            known = column[~column.isnan()]
            if concept.kind == "continuous" and len(known):
                varies = bool(known.min() < known.max())
                std = float(known.std(correction=0)) if varies else 1.0
                concept = replace(concept, mean=float(known.mean()), std=std)
            found.append(concept)
        return ConceptSchema(tuple(found), self.provenance)


def encode(columns: Sequence[Column], kinds: Mapping[str, str] | None = None) -> Labels:
    """Concepts from cells.

    A column of 0 and 1 (or yes and no, true and false) is binary, one of other numbers continuous, one of words
    categorical: a concept ``column: value`` for each value, together the group of the column's name. A binary concept
    ``wing::striped`` belongs to the group ``wing``.

    Args:
        columns: at least one, each of n cells.
        kinds: by name, for columns whose cells do not say their kind, such as categories 0, 1, 2.

    Raises:
        ValueError: if a kind or a name in ``kinds`` is unknown, a cell does not fit, or a column is without values,
            constant, or the same as another; file, row and column are named.
    """
    kinds, names = kinds or {}, [column.name for column in columns]
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
    twins: dict[bytes, str] = {}
    for column, (found, cells) in [(column, _encoded(column, kinds.get(column.name))) for column in columns]:
        for concept, cell in zip(found, cells, strict=True):
            if (other := source.setdefault(concept.name, column)) is not column:
                raise ValueError(f"{column.where}: concept {concept.name!r} is also in {other.where}; rename one")
            if (twin := twins.setdefault(cell.tobytes(), concept.name)) != concept.name:
                same = f"concept {concept.name!r} is the same as {twin!r} in every row"
                raise ValueError(f"{column.where}: {same}; remove one of the two")
        concepts += found
        values += cells
    files = list(dict.fromkeys(column.path.name for column in columns))
    try:
        ConceptSchema(tuple(concepts))
    except ValueError as error:
        raise ValueError(f"{', '.join(files)}: {error}") from error
    return Labels(tuple(concepts), torch.from_numpy(np.stack(values, 1)), f"the user's, from {', '.join(files)}")


def _encoded(column: Column, kind: str | None) -> tuple[list[Concept], list[np.ndarray]]:
    cells, name = column.cells, column.name
    known = np.array([cell != "" for cell in cells])
    seen = {cell: cells.index(cell) for cell in dict.fromkeys(cells) if cell}  # where each first stands
    if not seen:
        raise ValueError(f"{column.where}: no row has a value; fill some in or remove the column")
    kind = cast("ConceptKind", kind) if kind else _kind(column, seen)
    if kind == "categorical":
        levels = sorted(seen, key=lambda cell: (math.isnan(number(cell)), number(cell), cell))
        code = np.array([{cell: k for k, cell in enumerate(levels)}.get(cell, -1) for cell in cells])
    else:
        code = numbers(cells, YES_NO if kind == "binary" else None)
        fits = np.isin(code, (0.0, 1.0)) if kind == "binary" else ~np.isnan(code)
        if (bad := np.flatnonzero(known & ~fits)).size:
            wanted = "0, 1, yes, no, true or false" if kind == "binary" else "a finite number"
            raise ValueError(f"{column.at(bad[0])}: {cells[bad[0]]!r} is not {wanted}; {UNKNOWN}")
    if len(set(code[known].tolist())) == 1:
        at = np.flatnonzero(known)[[0, -1]].tolist()
        rows = "row {} to row {}".format(*sorted(column.rows[i] for i in at))
        raise ValueError(
            f"{column.where}: {cells[at[0]]!r} in all {known.sum()} rows that say it, {rows}; a concept"
            " that never varies explains nothing, remove the column"
        )
    if kind == "categorical":
        hot = [np.where(known, code == k, np.nan).astype(np.float32) for k in range(len(levels))]
        return [Concept(f"{name}: {level}", "categorical", name) for level in levels], hot
    group = name.split("::")[0] if kind == "binary" else ""
    return [Concept(name, kind, group)], [np.where(known, code, np.nan).astype(np.float32)]


def _kind(column: Column, seen: Mapping[str, int]) -> ConceptKind:
    if all(cell.lower() in YES_NO for cell in seen):
        return "binary"
    values = {cell: number(cell) for cell in seen}
    words = [cell for cell, value in values.items() if math.isnan(value)]
    for cell in words:
        if cell.lower().lstrip("+-") in ("nan", "inf", "infinity"):
            raise ValueError(f"{column.at(seen[cell])}: {cell!r} is no finite number; {UNKNOWN}")
    if not words:
        strays = [cell for cell, value in values.items() if value not in (0.0, 1.0)]
        codes = sum(cell in values and cell not in strays for cell in column.cells)
        whole = all(value % 1 == 0 for value in values.values())
        if strays and whole and len(strays) <= 2 and codes > len([c for c in column.cells if c]) / 2:
            raise ValueError(
                f"{column.at(seen[strays[0]])}: {strays[0]!r} where most cells are 0 or 1; correct it, {UNKNOWN}, or"
                f" set data.concept_kinds={{{column.name}: continuous}} or categorical"
            )
        return "continuous" if strays else "binary"
    if len(words) == len(seen):
        return "categorical"
    other = next(cell for cell in seen if cell not in words)
    raise ValueError(
        f"{column.at(seen[words[0]])}: {words[0]!r} is a word, {other!r} in row {column.rows[seen[other]]} a number;"
        f" {UNKNOWN}, or set data.concept_kinds={{{column.name}: categorical}}"
    )
