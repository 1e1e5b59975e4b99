"""Reading of a table from wherever it is: a CSV, TSV or Parquet file, standard input, a DataFrame or mappings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zoo.inputs.tables.cells import Cells, concatenate_cells
from zoo.inputs.tables.csv_reader import read_csv
from zoo.inputs.tables.frame_reader import read_frame, read_parquet

CHUNK = 20_000  # records
SUFFIXES = (".parquet", ".pq", ".csv", ".tsv", ".csv.gz", ".tsv.gz")


def read_table(
    raw: Any,
    *,
    separator: str | None = None,
    encoding: str = "utf-8",
    argument: str = "",
    skip: bool = False,
    chunk: int = CHUNK,
) -> Cells:
    """Read a whole table; see ``read_cells``.

    >>> read_table({"age": [31, 45], "job": ["clerk", None]}).text("job")
    ['clerk', '']
    """
    return concatenate_cells(
        list(read_cells(raw, separator=separator, encoding=encoding, argument=argument, skip=skip, chunk=chunk))
    )


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

    Args:
        raw: a path of a CSV, TSV or Parquet file (CSV and TSV also with ``.gz``), a folder of such files, ``-`` for CSV
            from standard input, a DataFrame, a mapping of columns, or a list of records, which are mappings.
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
        yield from read_frame(raw, "the table", chunk)
    elif isinstance(raw, Mapping):
        one = not any(isinstance(value, list | tuple | np.ndarray | pd.Series) for value in raw.values())
        yield from read_frame(pd.DataFrame([dict(raw)] if one else dict(raw)), "the table", chunk)
    elif isinstance(raw, str | Path):
        path = Path(raw).expanduser()
        if path.is_dir():
            options = {"separator": separator, "encoding": encoding, "argument": argument, "skip": skip, "chunk": chunk}
            for file in _files(path):
                for cells in read_cells(file, **options):
                    yield replace(cells, word=f"{file.name}, {cells.word}")
        elif path.suffix.lower() in (".parquet", ".pq"):
            yield from read_parquet(path, argument, chunk)
        else:
            yield from read_csv(raw, separator, encoding, argument, skip, chunk)
    elif isinstance(raw, Sequence) and raw and all(isinstance(record, Mapping) for record in raw):
        yield from read_frame(pd.DataFrame(list(raw)), "the records", chunk)
    else:
        raise ValueError(
            f"a table is given as {type(raw).__name__}; expected a path, a DataFrame, a mapping of columns or a"
            " list of mappings"
        )


def _files(folder: Path) -> list[Path]:
    """Return the tables in a folder in the order of their names."""
    names = [path for path in folder.iterdir() if path.name.endswith(SUFFIXES) and not path.name.startswith((".", "_"))]
    files = sorted(path for path in names if path.is_file() and not path.name.endswith(".remarks.csv"))
    if not files:
        raise ValueError(f"{folder} has no table; expected files that end in {', '.join(SUFFIXES)}")
    return files
