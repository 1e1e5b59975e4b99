"""Adult, the census income table of UCI: 48 842 persons, 13 columns of mixed kinds, the official split."""

from __future__ import annotations

import csv
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from zoo import paths
from zoo.data.file_readers import read_lines
from zoo.data.tables.table import Table
from zoo.inputs.tables.cells import Cells
from zoo.registry import register

COLUMNS = (
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education_num",
    "marital_status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital_gain",
    "capital_loss",
    "hours_per_week",
    "native_country",
    "income",
)
WEIGHT = "fnlwgt"  # a sampling weight of the census and no property of the person: left out


@register
class Adult(Table):
    """Whether the income of a person is above 50 000 dollars a year (Kohavi, KDD 1996).

    Reads ``adult/adult.data`` and ``adult/adult.test`` under ``ZOO_DATA``, as UCI publishes them, or
    ``tables/adult_train.csv.gz`` and ``tables/adult_test.csv.gz`` with a header. The column ``fnlwgt`` is left out.

    Args:
        batch_size: samples per batch on each rank.
        workers: number of loader processes; 0 loads in the main process.
        val: share of the training rows used for validation.
        seed: random seed of the validation share and the order.
        limit: maximum number of samples of each split; None for all.
    """

    license = "CC BY 4.0"
    user_supplied = False

    def __init__(
        self, *, batch_size: int = 1024, workers: int = 0, val: float = 0.1, seed: int = 0, limit: int | None = None
    ) -> None:
        root = paths.data()
        files = (root / "adult" / "adult.data", root / "adult" / "adult.test")
        if not files[0].is_file():
            files = (root / "tables" / "adult_train.csv.gz", root / "tables" / "adult_test.csv.gz")
        self._files = files
        common: dict[str, Any] = {"workers": workers, "val": val, "seed": seed, "limit": limit}
        super().__init__(file=str(files[0]), target="income", split="part", batch_size=batch_size, **common)

    @cached_property
    def _cells(self) -> Cells:
        """Both files as one table, with a column ``part`` of train and test."""
        rows: list[list[str]] = []
        parts: list[str] = []
        for file, part in zip(self._files, ("train", "test"), strict=True):
            read = _rows(file)
            rows += read
            parts += [part] * len(read)
        table = np.array(rows, dtype=object)
        columns = {name: table[:, j] for j, name in enumerate(COLUMNS) if name != WEIGHT}
        columns["part"] = np.array(parts, dtype=object)
        return Cells(columns, np.arange(1, len(rows) + 1), str(self._files[0].parent), "row")


def _rows(file: Path) -> list[list[str]]:
    """Return the records of one file; a header, comments and the dot behind the labels of the test file are dropped.

    Raises:
        ValueError: if the file is missing or a record has another number of cells.
    """
    if not file.is_file():
        raise ValueError(
            f"{file} is missing; put adult.data and adult.test of UCI's Adult into {paths.data() / 'adult'}"
        )
    rows = []
    for i, cells in enumerate(csv.reader(read_lines(file), skipinitialspace=True), 1):
        if not cells or cells[0].startswith("|") or cells[0] == COLUMNS[0]:
            continue
        if len(cells) != len(COLUMNS):
            raise ValueError(f"{file}, line {i} has {len(cells)} cells; expected {len(COLUMNS)}")
        rows.append([*cells[:-1], cells[-1].rstrip(".")])
    return rows
