"""A user's CSV file: its columns by name and the file row of each cell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.data.files import read_cells
from zoo.paths import did_you_mean

LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Csv:
    """n records of k cells. Rows are counted as in a spreadsheet: the header is usually row 1.

    Attributes:
        path: path of the file.
        columns: the n stripped cells of each column, by column name.
        rows: file row of each of the n records.
        header: file row of the header.
    """

    path: Path
    columns: dict[str, list[str]]
    rows: list[int]
    header: int = 1

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.columns)

    def column(self, name: str, argument: str) -> list[str]:
        """Return the n cells of a column.

        Raises:
            ValueError: if there is no column of this name; ``argument`` is the argument that named it.
        """
        if name not in self.columns:
            near = did_you_mean(name, self.names) or f"; it has {', '.join(self.names)}"
            raise ValueError(f"{self.path} has no column {name!r} ({argument}){near}")
        return self.columns[name]

    def at(self, i: int, name: str) -> str:
        """Return file, row and column of a cell, for error messages."""
        return f"{self.path}, row {self.rows[i]}, column {name!r}"


def read_csv(path: Path, *, argument: str) -> Csv:
    """Read a CSV file with a header; rows whose cells are all empty are skipped.

    Args:
        path: the file, in UTF-8.
        argument: the argument that named the file, for error messages.

    Raises:
        ValueError: if the file is missing, not UTF-8, empty or without records, a column has no name or the name of
            another, or a row has too few or too many cells; file and row are named.
    """
    table = read_cells(path, argument=argument)
    if not table:
        raise ValueError(f"{path} is empty; expected a header and one row for each sample")
    (top, header), *records = table
    separators = [mark for mark in ";\t|" if mark in header[0]]
    if len(header) == 1 and separators:
        raise ValueError(f"{path}, row {top}: cells are separated by {separators[0]!r}; save the file with commas")
    first: dict[str, int] = {}
    for j, name in enumerate(header, 1):
        if not name:
            raise ValueError(f"{path}, row {top}: column {j} has no name; give it one or remove it")
        before = first.setdefault(name, j)
        if before != j:
            raise ValueError(f"{path}, row {top}: columns {before} and {j} are both named {name!r}; rename one")
    if not records:
        raise ValueError(f"{path} has a header but no rows; add one for each sample")
    for row, cells in records:
        if len(cells) != len(header):
            raise ValueError(f"{path}, row {row}: {len(cells)} cells where the header has {len(header)}")
    columns = zip(*(cells for _, cells in records), strict=True)
    return Csv(path, dict(zip(header, map(list, columns), strict=True)), [row for row, _ in records], top)


def number(cell: str) -> float:
    """Return the number in a cell; NaN if the cell holds no number that is finite in float32."""
    try:
        value = math.nan if "_" in cell else float(cell)
    except ValueError:
        return math.nan
    return value if abs(value) <= LARGEST else math.nan


def numbers(cells: Sequence[str], words: Mapping[str, float] | None = None) -> np.ndarray:
    """Return the numbers in n cells as ``(n,)`` float64, NaN where there is none; ``words`` maps words to numbers."""
    words = words or {}
    known = {cell: words.get(cell.lower(), number(cell)) for cell in set(cells)}
    return np.array([known[cell] for cell in cells], float)
