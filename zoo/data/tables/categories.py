"""CSV files of categories, read as sequences of words such as ``odor=foul``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from zoo.data.split import Split
from zoo.data.tables._categorical_rows import EMPTY, CategoricalRows
from zoo.data.tables._column_roles import division, sample_names
from zoo.inputs.number_intervals import fit_cuts, interval_words, word_of
from zoo.inputs.tables.cells import Cells
from zoo.inputs.tables.columns import MARKERS
from zoo.inputs.tables.notation import plain_numbers
from zoo.inputs.tables.table_reader import read_table
from zoo.inputs.tables.target import Target, fit_target
from zoo.paths import did_you_mean
from zoo.registry import register

MISSING = frozenset(MARKERS)  # cells without a class


@register
class Categories(CategoricalRows):
    """Rows of a CSV file with a header, in UTF-8, whose cells are words; an empty cell is the word ``?``.

    With ``bins`` a column of numbers becomes words, too: intervals such as ``30 to 45``, of about equal numbers of rows
    outside the test split.

    Without a split column, a stratified fifth of the rows is the test split, the same for every seed.

    Args:
        file: the CSV file.
        target: column of the class.
        features: columns to read; None for all columns without another role.
        id: column that names the samples.
        split: column that holds train, val or test.
        most: maximum number of values of a column; a column with more is not categorical.
        bins: largest number of intervals of a column of numbers with more values; None to read numbers as words.
        batch_size: samples per batch on each rank.
        common: other arguments of ``zoo.data.base.Data``.

    Raises:
        ValueError: if an argument is out of range, or (once read) a file, column, row or cell is missing or invalid.
    """

    license = "the user's own"
    user_supplied = True

    def __init__(
        self,
        *,
        file: str,
        target: str,
        features: list[str] | None = None,
        id: str | None = None,
        split: str | None = None,
        most: int = 50,
        bins: int | None = None,
        batch_size: int = 128,
        **common: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, **common)
        if features == []:
            raise ValueError("data.features is empty; name at least one column, or leave it out for all")
        if bins is not None and bins < 2:
            raise ValueError(f"data.bins is {bins}; expected 2 or more intervals, or none to read numbers as words")
        self.file = Path(file).expanduser()
        self.target = target
        self.features = features
        self.id = id
        self.split = split
        self.most = most
        self.bins = bins
        self._trained: tuple[dict[str, list[str]], tuple[str, ...]] | None = None

    @property
    def is_available(self) -> bool:
        """Whether the file exists; a trained model answers for rows without it."""
        return self.file.is_file()

    def check_compatible_with(self, sequence: Mapping[str, Any]) -> None:
        """Read rows with the columns, values and classes of a trained model."""
        columns: dict[str, list[str]] = {}
        for token in sequence["tokens"]:
            column, _, value = str(token).partition("=")
            columns.setdefault(column, []).append(value)
        self._trained = columns, tuple(map(str, sequence["classes"]))

    @cached_property
    def _cells(self) -> Cells:
        file = read_table(self.file, argument="data.file")
        roles = {"data.target": [self.target], "data.id": [self.id], "data.split": [self.split]}
        for argument, names in {**roles, "data.features": self.features or []}.items():
            for name in names:
                if name is not None:
                    file.column(name, argument)
        return file

    @cached_property
    def _columns(self) -> dict[str, list[str]]:  # pyright: ignore[reportIncompatibleVariableOverride]
        if self._trained is not None:
            return self._trained[0]
        taken = {self.target, self.id, self.split}
        names = self.features or [name for name in self._cells.columns if name not in taken]
        columns = {name: self._words(name) for name in names}
        hint = "" if self.bins else ", or set data.bins=4 where they are numbers"
        for name, values in columns.items():
            if len(values) > self.most:
                raise ValueError(
                    f"{self.file}, column {name!r} has {len(values)} different values, more than data.most={self.most};"
                    f" leave it out with data.features, group its values{hint}"
                )
        if not columns:
            raise ValueError(f"{self.file} has no column besides {', '.join(filter(None, taken))}")
        return columns

    def _words(self, name: str) -> list[str]:
        """Return the words of a column: its values, or ``?`` and the intervals of its numbers."""
        cells = self._cells.text(name)
        values = {cell or EMPTY for cell in cells}
        if self.bins is not None and len(values - MISSING) > self.bins:
            known = [cell for cell in cells if cell not in MISSING]
            numbers = plain_numbers(known)
            if numbers is not None and np.isfinite(numbers).all():
                train = [float(cells[i]) for i in self._parts["train"].tolist() if cells[i] not in MISSING]
                if train and (cuts := fit_cuts(train, self.bins)):
                    return [EMPTY, *interval_words(cuts)]
        return sorted(values)

    def _word(self, column: str, cell: str) -> str:
        """Return the word of a cell; a marker of missing cells that is no value of its column is ``?``."""
        words = self._columns[column]
        missing = not cell or (cell in MISSING and cell not in words)
        return EMPTY if missing else word_of(cell, words)

    @cached_property
    def _parts(self) -> dict[str, Tensor]:
        """The rows of each split."""
        y = self._target.read(self._cells, MISSING)
        return division(self._cells, y, column=self.split, target=self.target, class_names=self.class_names)

    def _check_split(self, name: str, split: Split) -> None:
        if self._trained is None:  # an evaluated table need not have every class
            super()._check_split(name, split)

    def _check_known(self, columns: dict[str, list[str]]) -> None:
        """Check that a trained model knows every cell of this table."""
        for name, values in columns.items():
            self._cells.column(name, "an input of the model")
            for i, cell in enumerate(self._cells.text(name)):
                if self._word(name, cell) not in values:
                    near = did_you_mean(cell, values) or f"; expected one of {', '.join(values)}"
                    raise ValueError(f"{self._cells.at(i, name)}: {cell!r} is not a value known to the model{near}")

    @cached_property
    def _target(self) -> Target:
        if self._trained is not None:
            return Target((self.target,), "classes", self._trained[1])
        return fit_target(self._cells, [self.target], "classes", MISSING)[0]

    @property
    def class_names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Values of the target column."""
        return self._target.class_names

    def _read(self) -> dict[str, Split]:
        if self._trained is not None:
            self._check_known(self._trained[0])
        y = self._target.read(self._cells, MISSING)
        ids = sample_names(self._cells, self.id)
        words = {name: {cell: self._word(name, cell) for cell in set(self._cells.text(name))} for name in self._columns}
        rows = list(
            zip(*([words[name][cell] for cell in self._cells.text(name)] for name in self._columns), strict=True)
        )
        return {
            name: self._split_of(name, [rows[i] for i in at.tolist()], y[at], [ids[i] for i in at.tolist()])
            for name, at in self._parts.items()
        }
