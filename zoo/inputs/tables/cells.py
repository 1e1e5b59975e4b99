"""Cells of a table: columns by name, with the line of each record in its file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.inputs.base import Flag
from zoo.paths import did_you_mean


@dataclass(frozen=True)
class Cells:
    """n records of a table.

    Attributes:
        columns: by name, the n cells of each column: ``(n,)`` float64 where the source is typed and holds numbers, NaN
            for a missing one; otherwise ``(n,)`` objects, text without the space around it, None for a missing one.
        lines: ``(n,)`` physical line of each record in a text file, or its number from 1.
        source: the file, for errors.
        word: ``line`` or ``row``: what ``lines`` counts.
        skipped: records that could not be read.
    """

    columns: dict[str, np.ndarray]
    lines: np.ndarray
    source: str
    word: str = "line"
    skipped: tuple[Flag, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)

    def name_of(self, i: int) -> str:
        """Return the name of a record, such as ``line 7``."""
        return f"{self.word} {self.lines[i]}"

    def at(self, i: int, column: str) -> str:
        """Return the place of a cell, for an error."""
        return f"{self.source}, {self.name_of(i)}, column {column!r}"

    def column(self, name: str, argument: str) -> np.ndarray:
        """Return the cells of a column.

        Raises:
            ValueError: if there is none of this name, which was given as ``argument``.
        """
        if name not in self.columns:
            raise ValueError(f"{self.source} has no column {name!r} ({argument}){no_column(name, self.columns)}")
        return self.columns[name]

    def text(self, name: str) -> list[str]:
        """Return the n cells of a column as text, empty where one is missing."""
        return ["" if cell is None else cell for cell in as_text(self.columns[name])]

    def take(self, kept: np.ndarray) -> Cells:
        """Return the records of a mask or of positions."""
        columns = {name: cells[kept] for name, cells in self.columns.items()}
        return Cells(columns, self.lines[kept], self.source, self.word, self.skipped)


def concatenate_cells(chunks: Sequence[Cells]) -> Cells:
    """Return several pieces of one table as a whole."""
    first = chunks[0]
    columns = {name: np.concatenate([chunk.columns[name] for chunk in chunks]) for name in first.columns}
    lines = np.concatenate([chunk.lines for chunk in chunks])
    skipped = tuple(flag for chunk in chunks for flag in chunk.skipped)
    return Cells(columns, lines, first.source, first.word, skipped)


def no_column(name: Any, known: Iterable[str]) -> str:
    """Return the end of an error about a column that a table does not have, with the cure for words of YAML."""
    known = list(known)
    words = {"False": ("no", "off", "false", "n"), "True": ("yes", "on", "true", "y"), "None": ("null", "~", "")}
    value = _as_number(str(name))
    near = [
        column
        for column in known
        if column.casefold() in words.get(str(name), ()) or (value is not None and _as_number(column) == value)
    ]
    if near or not isinstance(name, str):
        quoted = near[0] if near else str(name)
        return f": YAML reads an unquoted {quoted} as {name}; quote it, as in '[\"{quoted}\"]'"
    return did_you_mean(name, known) or f"; it has {', '.join(known)}"


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def show_number(value: float) -> str:
    """Return the shortest text of a number, whole ones without a decimal mark.

    >>> show_number(3.0), show_number(0.1)
    ('3', '0.1')
    """
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def as_text(cells: np.ndarray) -> np.ndarray:
    """Return cells ``(n,)`` as objects: text, or None where a typed source has no value."""
    if cells.dtype == object:
        return cells
    out = np.empty(len(cells), object)
    out[:] = [None if value != value else show_number(value) for value in cells.tolist()]
    return out
