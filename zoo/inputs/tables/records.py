"""Records of separated text, block by block: plain blocks are split at once, others by the standard library."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO

MAX_LINE = 16 << 20  # characters
MAX_BLOCK = 4 << 20  # characters
SPACE = " \t\v\f\x1c\x1d\x1e\x1f"  # what ``str.strip`` removes from ASCII text, ends of lines excepted


@dataclass
class Block:
    """Some records of a file.

    Attributes:
        columns: the cells of each column, without the space around them.
        lines: physical line of each record.
        odd: line and cells of each record whose number of cells differs from that of the columns, or that has a NUL.
    """

    columns: Sequence[Sequence[str]]
    lines: Sequence[int]
    odd: list[tuple[int, list[str]]] = field(default_factory=list)


class RecordError(ValueError):
    """A record cannot be read; ``line`` is where it begins."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class RecordReader:
    r"""Reads records of separated text in constant memory; records whose cells are all empty are left out.

    Args:
        text: opened with ``newline=""``.
        separator: of cells, one character.

    >>> reader = RecordReader(io.StringIO("a,b\n1, 2\n"), ",")
    >>> reader.header(), reader.block(1000)
    ((1, ['a', 'b']), Block(columns=[['1'], ['2']], lines=range(2, 3), odd=[]))
    """

    def __init__(self, text: TextIO, separator: str) -> None:
        self.text = text
        self.separator = separator
        self._line = 1  # of the next character
        self._width = 0
        self._length = 32.0  # characters of a line, as far as is known

    def header(self) -> tuple[int, list[str]] | None:
        """Return line and cells of the first record; None if there is none.

        Raises:
            RecordError: if it cannot be read.
        """
        while text := self._readline():
            self._length = len(text)
            for line, cells in self._parse(text):
                self._width = len(cells)
                return line, cells
        return None

    def block(self, records: int) -> Block | None:
        """Return the next records, about so many; None at the end.

        Raises:
            RecordError: if one cannot be read.
        """
        size = min(MAX_BLOCK, max(1, int(records * self._length)))
        text = self.text.read(size)
        if not text:
            return None
        if text[-1] != "\n":
            text += self._readline()
        self._length = max(1.0, len(text) / max(1, text.count("\n")))
        block = self._split(text)
        if block is None:
            rows = self._parse(text)
            odd = [(line, cells) for line, cells in rows if len(cells) != self._width or "\0" in "".join(cells)]
            wrong = {line for line, _ in odd}
            good = [(line, cells) for line, cells in rows if line not in wrong]
            columns = list(zip(*(cells for _, cells in good), strict=True)) if good else [()] * self._width
            block = Block(columns, [line for line, _ in good], odd)
        return block

    def _readline(self) -> str:
        line = self.text.readline(MAX_LINE)
        if len(line) == MAX_LINE and line[-1] != "\n":
            raise RecordError(self._line, f"longer than {MAX_LINE} characters; expected one line for each sample")
        return line

    def _split(self, text: str) -> Block | None:
        """The records of a text without quotes, all of them of the right number of cells; None for another text."""
        if '"' in text or "\0" in text or len(text) > MAX_LINE:
            return None
        if "\r" in text:
            text = text.replace("\r\n", "\n")
            if "\r" in text:
                return None
        text = text.removesuffix("\n")
        width, mark = self._width, self.separator
        if len(text) > csv.field_size_limit() and max(map(len, text.split("\n"))) > csv.field_size_limit():
            return None
        cells = text.replace("\n", f"{mark}\n{mark}").split(mark)
        cells.append("\n")  # every record is now followed by one
        n = text.count("\n") + 1
        if len(cells) != n * (width + 1) or cells[width :: width + 1] != ["\n"] * n:
            return None
        columns = [cells[j :: width + 1] for j in range(width)]
        if not text.isascii() or any(space in text for space in SPACE if space != mark):
            columns = [list(map(str.strip, column)) for column in columns]
        if all("" in column for column in columns):  # a record may be empty
            return None
        lines = range(self._line, self._line + n)
        self._line += n
        return Block(columns, lines)

    def _parse(self, text: str) -> list[tuple[int, list[str]]]:
        """Line and cells of the records that begin in a text; the rest of the last one is read from the file."""
        source = io.StringIO(text, newline="")
        ended = False

        def next_line() -> str:
            nonlocal ended
            line = "" if ended else source.readline()
            if not line:
                ended = True
                line = self._readline()
            return line

        reader = csv.reader(iter(next_line, ""), delimiter=self.separator, strict=True)
        begin, rows, start = self._line, [], self._line
        try:
            while source.tell() < len(text):
                cells = [cell.strip() for cell in next(reader)]
                if any(cells):
                    rows.append((start, cells))
                start = begin + reader.line_num
        except csv.Error as error:
            raise RecordError(start, f"{error}; a quote may not be closed") from error
        self._line = start
        return rows
