"""A user's CSV file: its columns by name, and the row in which each cell stands."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.paths import did_you_mean

LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Csv:
    """n records of k cells. Rows are counted as a spreadsheet does: the header is most often row 1.

    Attributes:
        path: the file.
        columns: the n cells of each column, by its name, without the space around them.
        rows: n rows of the records in the file.
        header: row of the header.
    """

    path: Path
    columns: dict[str, list[str]]
    rows: list[int]
    header: int = 1

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> list[str]:
        """The header."""
        return list(self.columns)

    def column(self, name: str, argument: str) -> list[str]:
        """Its n cells.

        Raises:
            ValueError: if there is none of this name; it was given as ``argument``.
        """
        if name not in self.columns:
            near = did_you_mean(name, self.names) or f"; it has {', '.join(self.names)}"
            raise ValueError(f"{self.path} has no column {name!r} ({argument}){near}")
        return self.columns[name]

    def at(self, i: int, name: str) -> str:
        """Words that say where a cell is, for an error."""
        return f"{self.path}, row {self.rows[i]}, column {name!r}"


def read_csv(path: Path, *, argument: str) -> Csv:
    """A CSV file with a header. Rows whose cells are all empty are skipped.

    Args:
        path: the file, in UTF-8.
        argument: the argument that named the file, for errors.

    Raises:
        ValueError: naming file and row: missing, not UTF-8, empty, a column without a name or twice, a row with too few
            or too many cells, no rows at all.
    """
    reader = csv.reader(io.StringIO(_text(path, argument), newline=""))
    try:
        table = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        raise ValueError(f"{path}, row {reader.line_num}: {error}") from error
    if not table:
        raise ValueError(f"{path} is empty; expected a header and one row for each sample")
    (top, header), *records = table
    if len(header) == 1 and (other := [mark for mark in ";\t|" if mark in header[0]]):
        raise ValueError(f"{path}, row {top}: cells are separated by {other[0]!r}; save the file with commas")
    first: dict[str, int] = {}
    for j, name in enumerate(header, 1):
        if not name:
            raise ValueError(f"{path}, row {top}: column {j} has no name; give it one or remove it")
        if (before := first.setdefault(name, j)) != j:
            raise ValueError(f"{path}, row {top}: column {name!r} stands twice, at {before} and {j}; rename one")
    if not records:
        raise ValueError(f"{path} has a header but no rows; add one for each sample")
    for row, cells in records:
        if len(cells) != len(header):
            raise ValueError(f"{path}, row {row}: {len(cells)} cells where the header has {len(header)}")
    columns = zip(*(cells for _, cells in records), strict=True)
    return Csv(path, dict(zip(header, map(list, columns), strict=True)), [row for row, _ in records], top)


def _text(path: Path, argument: str) -> str:
    if not path.is_file():
        raise ValueError(f"{path} is missing; it was given as {argument}")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = error.object[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, row {row}: not UTF-8 text ({error.reason}); save the file as CSV UTF-8") from error


def number(cell: str) -> float:
    """The number a cell holds; NaN if it holds none that is finite in single precision."""
    try:
        value = math.nan if "_" in cell else float(cell)
    except ValueError:
        return math.nan
    return value if abs(value) <= LARGEST else math.nan


def numbers(cells: Sequence[str], words: Mapping[str, float] | None = None) -> np.ndarray:
    """``(n,)`` float64 numbers that the cells hold, NaN where one holds none; some words may stand for a number."""
    words = words or {}
    known = {cell: words.get(cell.lower(), number(cell)) for cell in set(cells)}
    return np.array([known[cell] for cell in cells], float)
