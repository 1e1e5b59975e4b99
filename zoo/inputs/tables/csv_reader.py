"""Reading of CSV and TSV files, plain or gzipped, piece by piece and with the physical line of each record."""

from __future__ import annotations

import io
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np

from zoo.inputs.base import Flag
from zoo.inputs.packed_files import DAMAGED, unpacked
from zoo.inputs.regular_files import open_regular
from zoo.inputs.tables.cells import Cells
from zoo.inputs.tables.records import Block, RecordError, RecordReader

BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
SEPARATORS = {"\t": "tab", ";": "';'", "|": "'|'"}


def read_csv(
    raw: str | Path, separator: str | None, encoding: str, argument: str, skip: bool, chunk: int
) -> Iterator[Cells]:
    """Read a CSV or TSV file, or CSV from standard input (``-``), piece by piece.

    pandas fills up records that are too short without a word and counts no physical lines, so ``RecordReader`` splits
    the text. Records whose cells are all empty are left out.

    Raises:
        ValueError: naming file and line: missing, another encoding or separator, a damaged file, a column without a
            name or named twice, a record with too few or too many cells, no records at all.
    """
    path, source = Path(raw).expanduser(), str(raw)
    with _open_text(raw, encoding, argument) as (text, name):
        source = name
        separator = separator or ("\t" if path.suffixes[:1] == [".tsv"] else ",")
        if not isinstance(separator, str) or len(separator) != 1 or separator in '\r\n"':
            raise ValueError(f"{source}: the separator is {separator!r}; expected one character, such as ',' or ';'")
        reader = RecordReader(text, separator)
        skipped: list[Flag] = []
        empty = True
        try:
            first = reader.header()
            if first is None:
                raise ValueError(f"{source} is empty; expected a header and one line for each sample")
            header = _header(first[1], source, first[0], separator, argument)
            while (block := reader.block(chunk)) is not None:
                for line, cells in block.odd:
                    message = f"{len(cells)} cells where the header has {len(header)}"
                    if len(cells) == len(header):
                        message = "a NUL character"
                    if not skip:
                        raise ValueError(f"{source}, line {line}: {message}")
                    skipped.append(Flag(f"line {line}", "", message))
                if len(block.lines) or skipped:
                    yield _as_cells(header, block, source, skipped)
                    skipped, empty = [], False
        except RecordError as error:
            raise ValueError(f"{source}, line {error.line}: {error}") from error
        except UnicodeDecodeError as error:
            line = _line_of_error(path, encoding)
            cure = "save it as UTF-8" + _declare("encoding, such as latin-1", argument)
            raise ValueError(f"{source}, line {line}: not {encoding} text ({error.reason}); {cure}") from error
        except DAMAGED as error:
            raise ValueError(f"{source} is damaged: {error}") from error
    if empty:
        raise ValueError(f"{source} has a header but no rows; add one for each sample")


def _declare(option: str, argument: str) -> str:
    """The cure by declaration, which only the table of a data source takes; other files have one format."""
    return f", or declare data.{option}" if argument in ("", "data.file") else ""


class _open_text:
    """A text stream of a path or of standard input, with its name; closed on leaving, standard input excepted."""

    def __init__(self, raw: str | Path, encoding: str, argument: str) -> None:
        self.raw, self.encoding, self.argument = raw, encoding, argument

    def __enter__(self) -> tuple[TextIO, str]:
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
            cure = "save it as CSV UTF-8" + _declare("encoding=utf-16", self.argument)
            raise ValueError(f"{path} is UTF-16 text; {cure}")
        if b"\0" in start[:2] and not self.encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32")):
            binary.close()
            cure = "if this is UTF-16, save it as CSV UTF-8" + _declare("encoding=utf-16-le", self.argument)
            raise ValueError(f"{path} begins with a NUL character; {cure}")
        if start[:2] == b"PK":
            binary.close()
            raise ValueError(f"{path} is a ZIP or Excel file; save the sheet as CSV UTF-8")
        encoding = "utf-8-sig" if self.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else self.encoding
        return io.TextIOWrapper(unpacked(binary, path), encoding=encoding, newline=""), str(path)

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


def _header(cells: list[str], source: str, line: int, separator: str, argument: str) -> list[str]:
    if "\0" in "".join(cells):
        cure = "if this is UTF-16, save it as CSV UTF-8" + _declare("encoding=utf-16", argument)
        raise ValueError(f"{source}, line {line}: a NUL character; {cure}")
    if len(cells) == 1 and (marks := [mark for mark in SEPARATORS if mark in cells[0] and mark != separator]):
        name = SEPARATORS[marks[0]]
        declared = "\\t" if marks[0] == "\t" else marks[0]
        cure = "save the file with commas" + _declare(f"separator='{declared}'", argument)
        raise ValueError(f"{source}, line {line}: cells are separated by {name}; {cure}")
    names = [unicodedata.normalize("NFC", cell) for cell in cells]
    first: dict[str, int] = {}
    for j, name in enumerate(names, 1):
        if not name:
            raise ValueError(f"{source}, line {line}: column {j} has no name; give it one or remove it")
        if (before := first.setdefault(name, j)) != j:
            raise ValueError(f"{source}, line {line}: column {name!r} occurs twice, at {before} and {j}; rename one")
    return names


def _as_cells(header: list[str], block: Block, source: str, skipped: list[Flag]) -> Cells:
    columns = {}
    for name, cells in zip(header, block.columns, strict=True):
        column = np.empty(len(block.lines), object)
        column[:] = cells
        columns[name] = column
    return Cells(columns, np.array(block.lines, np.int64), source, "line", tuple(skipped))
