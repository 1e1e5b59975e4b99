"""Files of predictions, written batch by batch: CSV, JSON Lines or Parquet."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

if TYPE_CHECKING:
    from zoo.inputs.base import Flag
    from zoo.prediction import Prediction

SUFFIXES = (".csv", ".jsonl", ".parquet")
SPECIAL = re.compile('[",\r\n]')  # what makes a cell of a CSV file need quotes


class PredictionWriter:
    """Writes predictions to a file that appears only when all of them are written.

    Inputs with a remark, skipped ones among them, are listed in ``<name>.remarks.csv`` beside it; there is no such file
    if there are none. Text files hold six significant digits, Parquet float32.

    Args:
        path: the file; its suffix gives the format: .csv, .jsonl or .parquet.
        overwrite: replace the file.

    Raises:
        ValueError: if the suffix is unknown, the file exists, or Parquet is asked for without pyarrow.

    Example:
        >>> with PredictionWriter("out.csv") as writer:  # doctest: +SKIP
        ...     writer.write(model.predict("new.csv"))
    """

    def __init__(self, path: str | Path, *, overwrite: bool = False) -> None:
        self.path = Path(path)
        self.remarks = self.path.with_suffix(".remarks.csv")
        if self.path.suffix not in SUFFIXES:
            raise ValueError(f"{self.path} ends in {self.path.suffix!r}; expected one of {', '.join(SUFFIXES)}")
        if self.path.is_dir():
            raise ValueError(f"{self.path} is a folder; name a file with -o")
        if self.path.exists() and not overwrite:
            raise ValueError(f"{self.path} exists; add --overwrite to replace it, or choose another -o")
        if self.path.suffix == ".parquet":
            _pyarrow()
        self._part = self.path.with_name(f".{self.path.name}.part")
        self._remarks_part = self.path.with_name(f".{self.remarks.name}.part")
        self._file: TextIO | None = None
        self._remarks_file: TextIO | None = None
        self._parquet: Any = None

    def __enter__(self) -> PredictionWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        for file in (self._file, self._remarks_file, self._parquet):
            if file is not None:
                file.close()
        if kind is None and self._part.exists():
            self.remarks.unlink(missing_ok=True)  # of the file that is replaced
            if self._remarks_file is not None:
                self._remarks_part.replace(self.remarks)
            self._part.replace(self.path)
        for part in (self._part, self._remarks_part):
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def write(self, prediction: Prediction) -> None:
        """Append the rows of a prediction, and its remarks."""
        columns = prediction.columns()
        if self.path.suffix == ".parquet":
            self._write_parquet(columns)
        else:
            self._write_text(columns, len(prediction))
        self._write_remarks("skipped", prediction.skipped)
        self._write_remarks("flagged", prediction.flags)

    def _write_text(self, columns: dict[str, Any], n: int) -> None:
        """Append n rows; all their cells are formatted at once."""
        is_csv = self.path.suffix == ".csv"
        quote = _csv_cell if is_csv else _json_cell
        if self._file is None:
            self._file = self._part.open("w", encoding="utf-8", newline="")
            if is_csv:
                self._file.write(",".join(map(_csv_cell, columns)) + "\n")
        missing = "" if is_csv else "null"
        cells: list[Sequence[Any]] = []
        marks: list[str] = []
        for values in columns.values():
            if isinstance(values, np.ndarray) and np.isfinite(values).all():
                cells.append(values.tolist())
                marks.append("%.6g")
            elif isinstance(values, np.ndarray):
                cells.append([f"{value:.6g}" if value == value else missing for value in values.tolist()])
                marks.append("%s")
            elif is_csv and None not in values and not SPECIAL.search("".join(values)):
                cells.append(values)
                marks.append("%s")
            else:
                texts = {value: missing if value is None else quote(value) for value in set(values)}
                cells.append([texts[value] for value in values])
                marks.append("%s")
        if is_csv:
            row = ",".join(marks) + "\n"
        else:
            names = [_json_cell(name).replace("%", "%%") for name in columns]
            row = "{" + ", ".join(f"{name}: {mark}" for name, mark in zip(names, marks, strict=True)) + "}\n"
        self._file.write(row * n % tuple(chain.from_iterable(zip(*cells, strict=True))))

    def _write_parquet(self, columns: dict[str, Any]) -> None:
        pa, parquet = _pyarrow()
        types = {name: pa.float32() if isinstance(v, np.ndarray) else pa.string() for name, v in columns.items()}
        arrays = {name: pa.array(values, types[name], from_pandas=True) for name, values in columns.items()}
        table = pa.table(arrays)
        if self._parquet is None:
            self._parquet = parquet.ParquetWriter(self._part, table.schema)
        self._parquet.write_table(table)

    def _write_remarks(self, status: str, flags: Iterable[Flag]) -> None:
        for flag in flags:
            if self._remarks_file is None:
                self._remarks_file = self._remarks_part.open("w", encoding="utf-8", newline="")
                csv.writer(self._remarks_file, lineterminator="\n").writerow(["row", "column", "status", "message"])
            row = [flag.row, flag.column, status, flag.message]
            csv.writer(self._remarks_file, lineterminator="\n").writerow(row)


def _csv_cell(text: str) -> str:
    """Return a text as a cell of a CSV file, in quotes where it needs them."""
    return '"' + text.replace('"', '""') + '"' if SPECIAL.search(text) else text


def _json_cell(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow  # pyright: ignore[reportMissingImports]
        import pyarrow.parquet  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError("a .parquet file needs pyarrow: pip install pyarrow, or choose .csv or .jsonl") from error
    return pyarrow, pyarrow.parquet
