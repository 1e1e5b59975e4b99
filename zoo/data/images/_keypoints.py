"""Part keypoints of a user's images, from one CSV file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zoo.inputs.tables.table_reader import read_table

COLUMNS = ("file", "part", "x", "y")


@dataclass(frozen=True)
class Keypoint:
    """One row of the keypoint file.

    Attributes:
        line: line in the file; the header is line 1.
        file: path of the image, relative to the root of the data.
        part: name of the part.
        at: (x, y) in pixels of the original image; (0, 0) where the row leaves them empty.
        visible: whether the part is visible.
    """

    line: int
    file: str
    part: str
    at: tuple[float, float]
    visible: bool


def read_keypoints(path: Path) -> list[Keypoint]:
    """Return all rows of a CSV file with columns ``file``, ``part``, ``x``, ``y`` and optionally ``visible``.

    An empty ``visible`` means visible; ``x`` and ``y`` may be empty where the part is not. Blank rows are skipped.

    Raises:
        ValueError: if the file is not UTF-8, has no rows, lacks a column, has a row with too few or too many cells, a
            cell that is not a number, or a part of an image twice; file and line are named.
    """
    table = read_table(path, argument="data.keypoints")
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        columns = ", ".join(table.columns)
        raise ValueError(f"{path} has no column {missing[0]!r}; it has {columns}, expected {', '.join(COLUMNS)}")
    rows = zip(*(table.text(column) for column in table.columns), strict=True)
    first: dict[tuple[str, str], int] = {}
    points = []
    for line, cells in zip(table.lines.tolist(), rows, strict=True):
        where = f"{path}, {table.word} {line}"
        point = _keypoint(line, dict(zip(table.columns, cells, strict=True)), where)
        points.append(point)
        before = first.setdefault((point.file, point.part), line)
        if before != line:
            again = f"{point.part!r} of {point.file} is already in {table.word} {before}"
            raise ValueError(f"{where}: {again}; keep one of the two")
    return points


def _keypoint(line: int, cells: dict[str, str], where: str) -> Keypoint:
    for column in ("file", "part"):
        if not cells[column]:
            raise ValueError(f"{where}: {column} is empty")
    visible = _number(cells, "visible", where) > 0 if cells.get("visible") else True
    given = visible or cells["x"] or cells["y"]
    at = (_number(cells, "x", where), _number(cells, "y", where)) if given else (0.0, 0.0)
    return Keypoint(line, PurePosixPath(cells["file"]).as_posix(), cells["part"], at, visible)


def _number(cells: dict[str, str], column: str, where: str) -> float:
    try:
        value = float(cells[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{where}: {column} is {cells[column]!r}, not a number")
    return value
