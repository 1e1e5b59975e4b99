"""Tables as text: the cells of a CSV, TSV or Parquet file, a DataFrame or mappings, with the line of each record."""

from __future__ import annotations

import csv
import gzip
import io
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zoo.inputs.base import Flag
from zoo.inputs.files import open_regular
from zoo.paths import did_you_mean

CHUNK = 20_000  # records
BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
SEPARATORS = {"\t": "tab", ";": "';'", "|": "'|'"}


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

    def take(self, kept: np.ndarray) -> Cells:
        """Return the records of a mask or of positions."""
        columns = {name: cells[kept] for name, cells in self.columns.items()}
        return Cells(columns, self.lines[kept], self.source, self.word, self.skipped)


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


def concatenate_cells(chunks: Sequence[Cells]) -> Cells:
    """Return several pieces of one table as a whole."""
    first = chunks[0]
    columns = {name: np.concatenate([chunk.columns[name] for chunk in chunks]) for name in first.columns}
    lines = np.concatenate([chunk.lines for chunk in chunks])
    skipped = tuple(flag for chunk in chunks for flag in chunk.skipped)
    return Cells(columns, lines, first.source, first.word, skipped)


def read_cells(
    raw: Any,
    *,
    separator: str | None = None,
    encoding: str = "utf-8",
    argument: str = "",
    skip: bool = False,
    chunk: int = CHUNK,
) -> Iterator[Cells]:
    """Read a table piece by piece.

    Records whose cells are all empty are skipped. pandas fills up records that are too short without a word, so text is
    parsed by the standard library, which also counts physical lines.

    Args:
        raw: a path of a CSV, TSV or Parquet file (CSV and TSV also with ``.gz``), ``-`` for CSV from standard input, a
            DataFrame, a mapping of columns, or a list of records, which are mappings.
        separator: of the cells of a text file; None for a tab in ``.tsv`` and a comma in others.
        encoding: of a text file.
        argument: the argument that named the file, for errors.
        skip: whether records with too few or too many cells are skipped and listed.
        chunk: records at a time.

    Raises:
        ValueError: naming file and line: missing, another encoding or separator, a damaged file, a column without a
            name or named twice, a record with too few or too many cells, no records at all.
    """
    if isinstance(raw, pd.DataFrame):
        yield from _frame_cells(raw, "the table", chunk)
    elif isinstance(raw, Mapping):
        one = not any(isinstance(value, list | tuple | np.ndarray | pd.Series) for value in raw.values())
        yield from _frame_cells(pd.DataFrame([dict(raw)] if one else dict(raw)), "the table", chunk)
    elif isinstance(raw, str | Path):
        path = Path(raw).expanduser()
        if path.suffix.lower() in (".parquet", ".pq"):
            yield from _parquet_cells(path, argument, chunk)
        else:
            yield from _text_cells(raw, separator, encoding, argument, skip, chunk)
    elif isinstance(raw, Sequence) and raw and all(isinstance(record, Mapping) for record in raw):
        yield from _frame_cells(pd.DataFrame(list(raw)), "the records", chunk)
    else:
        raise ValueError(
            f"a table is given as {type(raw).__name__}; expected a path, a DataFrame, a mapping of columns or a"
            " list of mappings"
        )


def _text_cells(
    raw: str | Path, separator: str | None, encoding: str, argument: str, skip: bool, chunk: int
) -> Iterator[Cells]:
    path, source = Path(raw).expanduser(), str(raw)
    with _open_text(raw, encoding, argument) as (text, name):
        source = name
        separator = separator or ("\t" if path.suffixes[:1] == [".tsv"] else ",")
        reader = csv.reader(text, delimiter=separator, strict=True)
        header: list[str] = []
        rows: list[list[str]] = []
        lines: list[int] = []
        skipped: list[Flag] = []
        some, start = False, 1
        try:
            for cells in reader:
                line, start = start, reader.line_num + 1
                cells = [cell.strip() for cell in cells]
                if not any(cells):
                    continue
                if not header:
                    header = _header(cells, source, line, separator)
                    continue
                if len(cells) != len(header) or "\0" in "".join(cells):
                    found = "a NUL character" if len(cells) == len(header) else f"{len(cells)} cells"
                    message = f"{found} where the header has {len(header)} cells"
                    if not skip:
                        raise ValueError(f"{source}, line {line}: {message}")
                    skipped.append(Flag(f"line {line}", "", message))
                    continue
                rows.append(cells)
                lines.append(line)
                if len(rows) == chunk:
                    yield _as_cells(header, rows, lines, source, skipped)
                    rows, lines, skipped, some = [], [], [], True
        except csv.Error as error:
            raise ValueError(f"{source}, line {start}: {error}; a quote may not be closed") from error
        except UnicodeDecodeError as error:
            line = _line_of_error(path, encoding)
            raise ValueError(
                f"{source}, line {line}: not {encoding} text ({error.reason}); save it as UTF-8, or declare"
                " data.encoding, such as latin-1"
            ) from error
        except (OSError, EOFError) as error:
            raise ValueError(f"{source} is damaged: {error}") from error
    if not header:
        raise ValueError(f"{source} is empty; expected a header and one line for each sample")
    if rows or skipped:
        yield _as_cells(header, rows, lines, source, skipped)
    elif not some:
        raise ValueError(f"{source} has a header but no rows; add one for each sample")


class _open_text:
    """A text stream of a path or of standard input, with its name; closed on leaving, standard input excepted."""

    def __init__(self, raw: str | Path, encoding: str, argument: str) -> None:
        self.raw, self.encoding, self.argument = raw, encoding, argument

    def __enter__(self) -> tuple[Iterable[str], str]:
        try:
            "".encode(self.encoding)
        except LookupError as error:
            raise ValueError(f"data.encoding is {self.encoding!r}, which Python does not know; try utf-8") from error
        if self.raw == "-":
            self.file = None
            return sys.stdin, "standard input"
        path = Path(self.raw).expanduser()
        binary = open_regular(path, argument=self.argument)
        self.file = binary
        start = binary.peek(4)[:4]  # pyright: ignore[reportAttributeAccessIssue]
        if start[:2] in BOMS and not self.encoding.lower().replace("_", "-").startswith("utf-16"):
            binary.close()
            raise ValueError(f"{path} is UTF-16 text; declare data.encoding=utf-16, or save it as CSV UTF-8")
        if b"\0" in start[:2] and not self.encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32")):
            binary.close()
            raise ValueError(f"{path} begins with a NUL character; if this is UTF-16, declare data.encoding=utf-16-le")
        if start[:2] == b"\x1f\x8b":
            binary = gzip.GzipFile(fileobj=binary)
        elif start[:2] == b"PK":
            binary.close()
            raise ValueError(f"{path} is a ZIP or Excel file; save the sheet as CSV UTF-8")
        encoding = "utf-8-sig" if self.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else self.encoding
        return io.TextIOWrapper(binary, encoding=encoding, newline=""), str(path)

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()


def _line_of_error(path: Path, encoding: str) -> int:
    with open_regular(path) as file:
        for line, content in enumerate(file, 1):
            try:
                content.decode(encoding)
            except UnicodeDecodeError:
                return line
    return 1


def _header(cells: list[str], source: str, line: int, separator: str) -> list[str]:
    if "\0" in "".join(cells):
        raise ValueError(f"{source}, line {line}: a NUL character; if this is UTF-16, declare data.encoding=utf-16")
    if len(cells) == 1 and (marks := [mark for mark in SEPARATORS if mark in cells[0] and mark != separator]):
        name = SEPARATORS[marks[0]]
        declared = "\\t" if marks[0] == "\t" else marks[0]
        raise ValueError(
            f"{source}, line {line}: cells are separated by {name}; declare data.separator='{declared}', or save the"
            " file with commas"
        )
    names = [unicodedata.normalize("NFC", cell) for cell in cells]
    first: dict[str, int] = {}
    for j, name in enumerate(names, 1):
        if not name:
            raise ValueError(f"{source}, line {line}: column {j} has no name; give it one or remove it")
        if (before := first.setdefault(name, j)) != j:
            raise ValueError(f"{source}, line {line}: column {name!r} occurs twice, at {before} and {j}; rename one")
    return names


def _as_cells(header: list[str], rows: list[list[str]], lines: list[int], source: str, skipped: list[Flag]) -> Cells:
    columns = {}
    for name, cells in zip(header, zip(*rows, strict=True) if rows else [()] * len(header), strict=True):
        column = np.empty(len(rows), object)
        column[:] = cells
        columns[name] = column
    return Cells(columns, np.array(lines, np.int64), source, "line", tuple(skipped))


def _parquet_cells(path: Path, argument: str, chunk: int) -> Iterator[Cells]:
    open_regular(path, argument=argument).close()
    try:
        import pyarrow.parquet as parquet  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            f"{path}: Parquet needs the package pyarrow: pip install 'zoo-interpretable[tables]'"
        ) from error
    start = 0
    try:
        for batch in parquet.ParquetFile(path).iter_batches(chunk):
            yield from _frame_cells(batch.to_pandas(), str(path), chunk, start)
            start += batch.num_rows
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as Parquet: {' '.join(str(error).split())}") from error
    if not start:
        raise ValueError(f"{path} has no rows; add one for each sample")


def _frame_cells(frame: pd.DataFrame, source: str, chunk: int, start: int = 0) -> Iterator[Cells]:
    if not len(frame):
        raise ValueError(f"{source} has no rows; give one for each sample")
    names = [unicodedata.normalize("NFC", str(name)) for name in frame.columns]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{source}: column {twice[0]!r} occurs twice; rename one")
    for begin in range(0, len(frame), chunk):
        part = frame.iloc[begin : begin + chunk]
        columns = {name: _typed(part.iloc[:, j]) for j, name in enumerate(names)}
        lines = np.arange(start + begin + 1, start + begin + len(part) + 1)
        yield Cells(columns, lines, source, "row")


def _typed(column: pd.Series) -> np.ndarray:
    """The cells of a typed column: numbers as float64, everything else as text."""
    if pd.api.types.is_bool_dtype(column.dtype):
        return _texts(column)
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return _texts(column)


def _texts(column: pd.Series) -> np.ndarray:
    missing = column.isna().to_numpy()
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        whole = bool((column.dropna().dt.normalize() == column.dropna()).all())
        text = column.dt.strftime("%Y-%m-%d" if whole else "%Y-%m-%d %H:%M:%S")
        values = text.to_numpy(dtype=object)
    else:
        values = column.to_numpy(dtype=object)
    cells = np.empty(len(column), object)
    cells[:] = [
        None if gone else show_number(value) if isinstance(value, float) else str(value).strip()
        for value, gone in zip(values, missing, strict=True)
    ]
    return cells


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
