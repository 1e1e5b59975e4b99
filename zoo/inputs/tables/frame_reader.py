"""Reading of typed tables piece by piece: DataFrames and Parquet files."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from zoo.inputs.packed_files import InflatedError, check_inflation
from zoo.inputs.regular_files import open_regular
from zoo.inputs.tables.cells import Cells, show_number

BYTES = 8  # of a cell


def read_parquet(path: Path, argument: str, chunk: int) -> Iterator[Cells]:
    """Read a Parquet file piece by piece.

    Raises:
        ValueError: if it is missing, damaged or without rows, or pyarrow is not installed.
    """
    open_regular(path, argument=argument).close()
    try:
        import pyarrow.parquet as parquet  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            f"{path}: Parquet needs the package pyarrow: pip install 'zoo-interpretable[tables]'"
        ) from error
    start = 0
    try:
        file = parquet.ParquetFile(path)
        cells = file.metadata.num_rows * file.metadata.num_columns
        check_inflation(path, path.stat().st_size, cells * BYTES)
        for batch in file.iter_batches(chunk):
            yield from read_frame(batch.to_pandas(), str(path), chunk, start)
            start += batch.num_rows
    except InflatedError:
        raise
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as Parquet: {' '.join(str(error).split())}") from error
    if not start:
        raise ValueError(f"{path} has no rows; add one for each sample")


def read_frame(frame: pd.DataFrame, source: str, chunk: int, start: int = 0) -> Iterator[Cells]:
    """Yield the cells of a DataFrame piece by piece; its rows are counted from ``start + 1``.

    Raises:
        ValueError: if it has no rows, or two columns of one name.
    """
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
