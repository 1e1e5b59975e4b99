"""Texts with their labels from CSV, TSV, JSON Lines, Parquet or plain files, a DataFrame or a list, piece by piece."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from zoo.inputs.base import Flag
from zoo.inputs.packed_files import DAMAGED, unpacked
from zoo.inputs.regular_files import open_regular
from zoo.inputs.tables.cells import as_text
from zoo.inputs.tables.table_reader import read_cells

CHUNK = 1024  # texts
MAX_LINE = 16 << 20  # characters
TABLES = (".csv", ".tsv", ".parquet", ".pq")
LINES = (".jsonl", ".ndjson")
TEXT_COLUMNS = ("text", "sentence", "content", "document")
LABEL_COLUMNS = ("label", "class", "target", "category")


@dataclass(frozen=True)
class Texts:
    """n texts.

    Attributes:
        texts: the texts.
        rows: n names, such as ``line 7``.
        labels: n labels; None where the source has none.
        source: the file, for errors.
        skipped: records that could not be read.
    """

    texts: tuple[str, ...]
    rows: tuple[str, ...]
    labels: tuple[str | None, ...] | None
    source: str
    skipped: tuple[Flag, ...] = ()


def read_texts(
    raw: Any, *, text: str | None = None, label: str | None = None, skip: bool = False, chunk: int = CHUNK
) -> Iterator[Texts]:
    """Read texts piece by piece.

    Args:
        raw: a text; a list of texts; a ``Path`` or an existing path of a CSV, TSV, JSON Lines or Parquet file, or of a
            plain file with a text on each line; a DataFrame; a list of mappings.
        text: column of the text; None for the first of ``TEXT_COLUMNS`` or the only column.
        label: column of the label; None for the first of ``LABEL_COLUMNS`` that there is.
        skip: whether records that cannot be read are skipped and listed.
        chunk: texts at a time.

    Raises:
        ValueError: if a file is missing, not UTF-8, or has no such column; file and line are named.
    """
    if isinstance(raw, pd.DataFrame) or (
        isinstance(raw, Sequence) and not isinstance(raw, str) and raw and all(isinstance(r, Mapping) for r in raw)
    ):
        yield from _from_table(raw, text, label, skip, chunk)
        return
    if isinstance(raw, str) and not _is_file(raw):
        yield Texts((raw,), ("text 1",), None, "the text")
        return
    if isinstance(raw, str | Path):
        path = Path(raw).expanduser()
        name = path.with_suffix("") if path.suffix.lower() in (".gz", ".xz") else path
        suffix = name.suffix.lower()
        if suffix in TABLES:
            yield from _from_table(path, text, label, skip, chunk)
        elif suffix in LINES:
            yield from _from_json_lines(path, text, label, skip, chunk)
        else:
            yield from _from_lines(path, chunk)
        return
    if isinstance(raw, Sequence) and all(isinstance(item, str) for item in raw):
        for start in range(0, len(raw), chunk):
            part = tuple(raw[start : start + chunk])
            yield Texts(part, tuple(f"text {start + i}" for i in range(1, len(part) + 1)), None, "the texts")
        return
    raise ValueError(f"texts are a {type(raw).__name__}; expected a text, a list of texts, a path or a DataFrame")


def _is_file(text: str) -> bool:
    try:
        return len(text) < 4096 and "\n" not in text and Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


def _column(names: Sequence[str], asked: str | None, usual: Sequence[str], what: str, source: str) -> str | None:
    if asked is not None:
        if asked not in names:
            raise ValueError(f"{source} has no column {asked!r} (data.{what}); it has {', '.join(names)}")
        return asked
    return next((name for name in usual if name in names), None)


def _from_table(raw: Any, text: str | None, label: str | None, skip: bool, chunk: int) -> Iterator[Texts]:
    for cells in read_cells(raw, skip=skip, chunk=chunk):
        names = list(cells.columns)
        of_text = _column(names, text, TEXT_COLUMNS, "text", cells.source) or (names[0] if len(names) == 1 else None)
        if of_text is None:
            raise ValueError(f"{cells.source} has no column of texts; name one of {', '.join(names)} in data.text")
        of_label = _column(names, label, LABEL_COLUMNS, "label", cells.source)
        texts = as_text(cells.columns[of_text])
        labels = None if of_label is None else tuple(as_text(cells.columns[of_label]).tolist())
        rows = tuple(cells.name_of(i) for i in range(len(cells)))
        for name, value in zip(rows, texts, strict=True):
            if value is None:
                raise ValueError(f"{cells.source}, {name}, column {of_text!r}: the text is missing")
        yield Texts(tuple(map(str, texts)), rows, labels, cells.source, cells.skipped)


def json_object(line: str) -> dict[str, Any]:
    """Return the object of one line of a file of JSON Lines.

    Raises:
        ValueError: if it is no JSON, no object, or nested too deeply.
    """
    try:
        record = json.loads(line)
    except RecursionError as error:
        raise ValueError(str(error)) from error
    if not isinstance(record, dict):
        raise ValueError(f"{type(record).__name__}; expected an object such as {{'text': ..., 'label': ...}}")
    return record


def _from_json_lines(path: Path, text: str | None, label: str | None, skip: bool, chunk: int) -> Iterator[Texts]:
    texts: list[str] = []
    labels: list[str | None] = []
    rows: list[str] = []
    skipped: list[Flag] = []
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            record = json_object(line)
            of_text = _column(list(record), text, TEXT_COLUMNS, "text", str(path))
            of_label = _column(list(record), label, LABEL_COLUMNS, "label", str(path))
            if of_text is None or not isinstance(record[of_text], str):
                raise ValueError(f"no text; expected one of {', '.join(TEXT_COLUMNS)}, or name it in data.text")
        except ValueError as error:
            message = " ".join(str(error).split())
            if not skip:
                raise ValueError(f"{path}, line {number}: {message}") from error
            skipped.append(Flag(f"line {number}", "", message))
            continue
        texts.append(record[of_text])
        labels.append(None if of_label is None else str(record[of_label]))
        rows.append(f"line {number}")
        if len(texts) == chunk:
            yield _texts(texts, rows, labels, str(path), skipped)
            texts, labels, rows, skipped = [], [], [], []
    if texts or skipped:
        yield _texts(texts, rows, labels, str(path), skipped)


def _from_lines(path: Path, chunk: int) -> Iterator[Texts]:
    texts: list[str] = []
    rows: list[str] = []
    for number, line in _lines(path):
        if not line.strip():
            continue
        texts.append(line.rstrip("\r\n"))
        rows.append(f"line {number}")
        if len(texts) == chunk:
            yield _texts(texts, rows, [None] * len(rows), str(path), [])
            texts, rows = [], []
    if texts:
        yield _texts(texts, rows, [None] * len(rows), str(path), [])


def _texts(texts: list[str], rows: list[str], labels: list[str | None], source: str, skipped: list[Flag]) -> Texts:
    known = None if all(label is None for label in labels) else tuple(labels)
    return Texts(tuple(texts), tuple(rows), known, source, tuple(skipped))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a UTF-8 file, also with ``.gz``, and their numbers; only line feeds end a line."""
    number = 0
    try:
        with io.TextIOWrapper(unpacked(open_regular(path), path), encoding="utf-8-sig", newline="\n") as file:
            while line := file.readline(MAX_LINE):
                number += 1
                if len(line) == MAX_LINE and line[-1] != "\n":
                    raise ValueError(f"{path}, line {number}: longer than {MAX_LINE} characters; give one text a line")
                yield number, line
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}, after line {number}: not UTF-8 text ({error.reason}); convert it to UTF-8"
        ) from error
    except DAMAGED as error:
        raise ValueError(f"{path}, after line {number}: damaged ({error}); copy the file again") from error
