"""Records of separated text against the csv module, for any block size."""

import csv
import io
import random

import pytest

from zoo.inputs.tables import records
from zoo.inputs.tables.records import RecordError, RecordReader

PIECES = [
    "1",
    "-2.5e3",
    "a b",
    " x ",
    "",
    "\u00a0y",
    "\u2028",
    "\x1f",
    '"q"',
    '"a,b"',
    '"two\nlines"',
    '"o""o"',
    "\0",
    "é",
]


def oracle(text, separator):
    """Line and stripped cells of every record that is not empty, by the csv module alone."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows, start = [], 1
    for cells in reader:
        cells = [cell.strip() for cell in cells]
        if any(cells):
            rows.append((start, cells))
        start = reader.line_num + 1
    return rows


def read(text, separator, records_at_once):
    reader = RecordReader(io.StringIO(text, newline=""), separator)
    first = reader.header()
    if first is None:
        return []
    rows = []
    while (block := reader.block(records_at_once)) is not None:
        assert all(len(column) == len(block.lines) for column in block.columns)
        rows += zip(block.lines, map(list, zip(*block.columns, strict=True)), strict=True)
        rows += block.odd
    return [first, *sorted(rows)]


@pytest.mark.parametrize("seed", range(300))
def test_any_text_in_any_blocks(seed):
    draw = random.Random(seed)
    separator = draw.choice([",", "\t", ";", " "])
    pieces = PIECES[: draw.choice([3, 6, 14])]
    width = draw.randint(1, 3)
    ends = ["\n", "\r\n", "\r"][: draw.choice([1, 1, 2, 3])]
    lines = []
    for _ in range(draw.randint(1, 12)):
        n = width if draw.random() < 0.9 else draw.randint(0, 4)
        lines.append(separator.join(draw.choice(pieces) for _ in range(n)) + draw.choice(ends))
    text = "".join(lines)
    if draw.random() < 0.5:
        text = text.rstrip("\r\n")
    expected = oracle(text, separator)
    for size in (1, 2, 5, 1000):
        assert read(text, separator, size) == expected


def test_lines_are_those_of_the_file():
    text = 'a,b\n1,2\n\n"x\ny",4\n5\n'
    reader = RecordReader(io.StringIO(text, newline=""), ",")
    assert reader.header() == (1, ["a", "b"])
    block = reader.block(100)
    assert (list(block.lines), block.odd) == ([2, 4], [(6, ["5"])])


def test_a_line_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(records, "MAX_LINE", 50)
    for text in ("a" * 60, "a\n1\n" + "2" * 60, 'a\n"1\n' + "2" * 60):
        with pytest.raises(RecordError, match="longer than 50 characters"):
            read(text, ",", 1)


def test_an_open_quote_names_its_line():
    with pytest.raises(RecordError, match="a quote may not be closed") as error:
        read('a\n1\n"2\n3\n', ",", 1)
    assert error.value.line == 3
