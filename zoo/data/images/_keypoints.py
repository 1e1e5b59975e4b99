"""Part keypoints of a user's images, from one CSV file."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

COLUMNS = ("file", "part", "x", "y")


@dataclass(frozen=True)
class Keypoint:
    """One row.

    Attributes:
        row: its line in the file; the header is line 1.
        file: the image, relative to the root of the data.
        part: name of the part.
        at: (x, y) in pixels of the original image; (0, 0) where the row leaves them empty.
        visible: whether the part is seen.
    """

    row: int
    file: str
    part: str
    at: tuple[float, float]
    visible: bool


def read_keypoints(path: Path) -> list[Keypoint]:
    """All rows of a CSV file with columns ``file``, ``part``, ``x``, ``y`` and, if wanted, ``visible``.

    An empty ``visible`` is yes; ``x`` and ``y`` may be empty where the part is not visible. Blank rows are skipped.

    Raises:
        ValueError: naming file and row: not UTF-8, a column or cell missing or too many, no number, a part of an image
            given twice; or no rows at all.
    """
    reader = csv.reader(io.StringIO(_text(path), newline=""))
    try:
        table = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(cells)]
    except csv.Error as error:
        raise ValueError(f"{path}, row {reader.line_num}: {error}") from error
    columns = table[0][1] if table else []
    if lost := [c for c in COLUMNS if c not in columns]:
        raise ValueError(f"{path} has no column {lost[0]!r}; it has {columns}, expected {', '.join(COLUMNS)}")
    if len(table) == 1:
        raise ValueError(f"{path} has no rows; add one for each visible part, or leave out data.keypoints")
    first: dict[tuple[str, str], int] = {}
    points = []
    for row, cells in table[1:]:
        where = f"{path}, row {row}"
        if len(cells) != len(columns):
            raise ValueError(f"{where}: {len(cells)} cells where the header has {len(columns)}")
        points.append(point := _keypoint(row, dict(zip(columns, cells, strict=True)), where))
        if (before := first.setdefault((point.file, point.part), row)) != row:
            raise ValueError(f"{where}: {point.part!r} of {point.file} is already in row {before}; keep one of the two")
    return points


def _text(path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"{path} is missing; it was given as data.keypoints")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = error.object[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, row {row}: not UTF-8 text ({error.reason}); save the file as CSV UTF-8") from error


def _keypoint(row: int, cells: dict[str, str], where: str) -> Keypoint:
    for column in ("file", "part"):
        if not cells[column]:
            raise ValueError(f"{where}: {column} is empty")
    visible = _number(cells, "visible", where) > 0 if cells.get("visible") else True
    given = visible or cells["x"] or cells["y"]
    at = (_number(cells, "x", where), _number(cells, "y", where)) if given else (0.0, 0.0)
    return Keypoint(row, PurePosixPath(cells["file"]).as_posix(), cells["part"], at, visible)


def _number(cells: dict[str, str], column: str, where: str) -> float:
    try:
        value = float(cells[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{where}: {column} is {cells[column]!r}, not a number")
    return value
