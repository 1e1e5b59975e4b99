"""Sentences with labels and annotations from files, as columns of cells."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zoo.inputs.base import Flag
from zoo.inputs.packed_files import DAMAGED, unpacked
from zoo.inputs.regular_files import open_regular
from zoo.inputs.tables.cells import Cells, as_text
from zoo.inputs.tables.table_reader import CHUNK, read_cells
from zoo.inputs.texts.saved_datasets import is_saved_dataset, read_saved_dataset, split_folders
from zoo.inputs.texts.text_files import json_object
from zoo.inputs.texts.word_spans import SEPARATOR

TEXT_COLUMNS = ("text", "sentence", "review", "content", "document", "question")  # names that need not be given
LINES = (".jsonl", ".ndjson")
TABLES = (".csv", ".tsv", ".parquet", ".pq")


def read_sentences(raw: Any, *, argument: str = "", skip: bool = False, chunk: int = CHUNK) -> Iterator[Cells]:
    """Read sentences piece by piece; each record is a row of cells, and line numbers are those of the file.

    Args:
        raw: a path of a CSV, TSV, Parquet or JSON Lines file (all but Parquet also with ``.gz``); of a plain file with
            one text on each line, as column ``text``; of a folder with one folder of ``.txt`` files for each class, as
            columns ``text`` and ``label``; of a data set saved by ``datasets``; a text or a list of texts; a DataFrame,
            mapping of columns or list of records.
        argument: the argument that named the file, for errors.
        skip: whether records that cannot be read are skipped and listed.
        chunk: records at a time.

    Raises:
        ValueError: if a file is missing, damaged or not UTF-8, or a record cannot be read; file and line are named.
    """
    if isinstance(raw, str) and not _exists(raw):
        yield _texts([raw], [1], "the text")
        return
    if isinstance(raw, str | Path):
        path = Path(raw).expanduser()
        if path.is_dir() and (parts := split_folders(path)):
            listed = ", ".join(str(folder) for folder in parts.values())
            raise ValueError(f"{path} holds several splits; name one of {listed}")
        if path.is_dir():
            yield from _saved(path, chunk) if is_saved_dataset(path) else _folder(path)
            return
        packed = path.suffix.lower() in (".gz", ".xz")
        suffix = (path.with_suffix("") if packed else path).suffix.lower()
        if suffix in LINES:
            yield from _json_lines(path, argument, skip, chunk)
        elif suffix == ".tsv" and not _is_quoted(path, argument):
            yield from _plain_tsv(path, argument, skip, chunk)
        elif suffix in TABLES:
            yield from read_cells(path, argument=argument, skip=skip, chunk=chunk)
        else:
            yield from _lines_of_text(path, argument, chunk)
        return
    if isinstance(raw, Sequence) and not isinstance(raw, pd.DataFrame) and all(isinstance(r, str) for r in raw):
        if not raw:
            raise ValueError("there is no text in the list; give one or more")
        yield _texts(list(raw), list(range(1, len(raw) + 1)), "the texts")
        return
    yield from read_cells(raw, argument=argument, skip=skip, chunk=chunk)


def text_columns(cells: Cells, asked: Sequence[str], label: str | None = None) -> list[str]:
    """Return the columns of the text: as asked, one with a usual name, or the only one beside the label.

    Raises:
        ValueError: if there is no such column, or several may be the text.
    """
    for name in asked:
        cells.column(name, "data.text")
    if asked:
        return list(asked)
    usual = [name for name in cells.columns if name.casefold() in TEXT_COLUMNS]
    others = [name for name in cells.columns if name != label]
    if len(usual) == 1 or len(others) == 1:
        return usual[:1] if len(usual) == 1 else others
    raise ValueError(
        f"{cells.source}: {'several columns may be' if usual else 'no column is clearly'} the text; name it in"
        f" data.text, one of {', '.join(usual or others)}"
    )


def joined_texts(cells: Cells, columns: Sequence[str]) -> list[str]:
    """Return the text of each record in Unicode form NFC; several columns with `` [SEP] `` between them.

    A missing cell is empty; whether a text may be empty is for the caller to say.
    """
    parts = [["" if cell is None else str(cell) for cell in as_text(cells.columns[name])] for name in columns]
    rows = zip(*parts, strict=True)
    return [unicodedata.normalize("NFC", f" {SEPARATOR} ".join(row)) if any(row) else "" for row in rows]


def _exists(text: str) -> bool:
    try:
        return len(text) < 4096 and "\n" not in text and Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


def _cells(columns: Mapping[str, Sequence[Any]], lines: Sequence[int], source: str, **more: Any) -> Cells:
    arrays = {}
    for name, cells in columns.items():
        array = np.empty(len(cells), object)
        array[:] = list(cells)
        arrays[name] = array
    return Cells(arrays, np.array(lines, np.int64), source, **more)


def _texts(texts: Sequence[str], numbers: Sequence[int], source: str, word: str = "text") -> Cells:
    return _cells({"text": [text.strip() for text in texts]}, numbers, source, word=word)


def _folder(path: Path) -> Iterator[Cells]:
    """One text a file, one folder a class."""
    folders = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith((".", "_")))
    files = [(file, folder.name) for folder in folders for file in sorted(folder.glob("*.txt")) if file.is_file()]
    if not files:
        files = [(file, None) for file in sorted(path.glob("*.txt")) if file.is_file()]
    if not files:
        raise ValueError(f"{path} has no texts; expected one folder of .txt files for each class, or .txt files")
    texts = []
    for file, _ in files:
        with io.TextIOWrapper(open_regular(file), encoding="utf-8-sig") as stream:
            try:
                texts.append(stream.read().strip())
            except UnicodeDecodeError as error:
                raise ValueError(f"{file}: not UTF-8 text ({error.reason}); convert it to UTF-8") from error
    columns: dict[str, Sequence[Any]] = {"text": texts, "file": [str(f.relative_to(path)) for f, _ in files]}
    if files[0][1] is not None:
        columns["label"] = [name for _, name in files]
    yield _cells(columns, range(1, len(files) + 1), str(path), word="file")


def _saved(path: Path, chunk: int) -> Iterator[Cells]:
    for columns, start in read_saved_dataset(path, chunk):
        texts = {name: [_cell(cell) for cell in cells] for name, cells in columns.items()}
        number = len(next(iter(texts.values()), []))
        yield _cells(texts, range(start + 1, start + number + 1), str(path), word="row")


def _open(path: Path, argument: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(unpacked(open_regular(path, argument=argument), path), encoding="utf-8-sig", newline="")


def _guarded(path: Path, argument: str) -> Iterator[tuple[int, str]]:
    """Lines of a UTF-8 file and their numbers; only line feeds end a line."""
    number = 0
    try:
        with _open(path, argument) as file:
            file.reconfigure(newline="\n")
            for number, line in enumerate(file, 1):
                yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}, after line {number}: not UTF-8 text ({error.reason}); convert it") from error
    except DAMAGED as error:
        raise ValueError(f"{path}, after line {number}: damaged ({error}); copy the file again") from error


def _is_quoted(path: Path, argument: str) -> bool:
    """Whether quotation marks of a TSV file enclose cells: read so, every record has as many cells as the header."""
    lines = (f"{line}\n" for _, line in _guarded(path, argument))
    reader = csv.reader(lines, delimiter="\t", strict=True)
    try:
        width = len(next(reader, []))
        return all(len(row) in (0, width) for row in reader)
    except csv.Error:
        return False


def _plain_tsv(path: Path, argument: str, skip: bool, chunk: int) -> Iterator[Cells]:
    """A TSV file in which quotation marks are part of the text."""
    header: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    skipped: list[Flag] = []
    for number, line in _guarded(path, argument):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if not header:
            header = cells
            if len(set(header)) < len(header) or "" in header:
                raise ValueError(f"{path}, line {number}: a column has no name, or two have one; name each once")
            continue
        if len(cells) != len(header):
            message = f"{len(cells)} cells where the header has {len(header)}"
            if not skip:
                raise ValueError(f"{path}, line {number}: {message}")
            skipped.append(Flag(f"line {number}", "", message))
            continue
        rows.append(cells)
        lines.append(number)
        if len(rows) == chunk:
            yield _cells(
                dict(zip(header, zip(*rows, strict=True), strict=True)), lines, str(path), skipped=tuple(skipped)
            )
            rows, lines, skipped = [], [], []
    if not header or not (rows or lines or skipped):
        raise ValueError(f"{path} is empty; expected a header and one line for each sample")
    columns = dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {name: () for name in header}
    yield _cells(columns, lines, str(path), skipped=tuple(skipped))


def _json_lines(path: Path, argument: str, skip: bool, chunk: int) -> Iterator[Cells]:
    records: list[dict[str, Any]] = []
    lines: list[int] = []
    skipped: list[Flag] = []
    empty = True
    for number, line in _guarded(path, argument):
        if not line.strip():
            continue
        try:
            record = json_object(line)
        except ValueError as error:
            message = " ".join(str(error).split())
            if not skip:
                raise ValueError(f"{path}, line {number}: {message}") from error
            skipped.append(Flag(f"line {number}", "", message))
            continue
        records.append(record)
        lines.append(number)
        empty = False
        if len(records) == chunk:
            yield _cells(_columns_of(records), lines, str(path), skipped=tuple(skipped))
            records, lines, skipped = [], [], []
    if empty and not skipped:
        raise ValueError(f"{path} is empty; expected one JSON object on each line")
    if records or skipped:
        yield _cells(_columns_of(records), lines, str(path), skipped=tuple(skipped))


def _columns_of(records: Sequence[Mapping[str, Any]]) -> dict[str, list[str | None]]:
    names = list(dict.fromkeys(str(name) for record in records for name in record))
    return {name: [_cell(record.get(name)) for record in records] for name in names}


def _cell(value: Any) -> str | None:
    if value is None:
        return None
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _lines_of_text(path: Path, argument: str, chunk: int) -> Iterator[Cells]:
    texts: list[str] = []
    lines: list[int] = []
    empty = True
    for number, line in _guarded(path, argument):
        if not line.strip():
            continue
        texts.append(line)
        lines.append(number)
        empty = False
        if len(texts) == chunk:
            yield _texts(texts, lines, str(path), "line")
            texts, lines = [], []
    if empty:
        raise ValueError(f"{path} is empty; expected one text on each line")
    if texts:
        yield _texts(texts, lines, str(path), "line")
