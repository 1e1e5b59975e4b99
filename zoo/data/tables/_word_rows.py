"""Rows of categories as sequences of words such as ``odor=foul``: a user's CSV, or the concepts of other data."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import cached_property

from torch import Tensor

from zoo.data.labeled_sequences import Sequences, as_split
from zoo.data.split import Split
from zoo.paths import did_you_mean
from zoo.sequence_spec import Frame

EMPTY = "?"  # what an empty cell says


class Rows(Sequences):
    """A source whose samples are rows: one word for each column, always in the same order, one class for the row.

    A subclass has ``_columns``, the values that each column may have, and reads splits with ``_split_of``.
    """

    whole = True
    _columns: dict[str, list[str]]

    @cached_property
    def sequence(self) -> Frame:  # pyright: ignore
        """A token for each value of each column."""
        words = tuple(f"{column}={value}" for column, values in self._columns.items() for value in values)
        return Frame(words, len(self._columns), columns=tuple(self._columns))

    def _split_of(self, name: str, rows: Sequence[Sequence[str]], y: Tensor, names: Sequence[str]) -> Split:
        words = [[f"{c}={v}" for c, v in zip(self._columns, row, strict=True)] for row in rows]
        split = as_split(name, self.sequence, words, [[label] for label in y.tolist()], whole=True)
        return Split(names, split.y, x=split.x)

    def read_input(self, text: str) -> Tensor:
        """A row ``(length,)`` of the user's own, written ``column=value,column=value``; every column once.

        Raises:
            ValueError: if a column or a value is missing, unknown or given twice; it is named.
        """
        given: dict[str, str] = {}
        for part in next(csv.reader([text], skipinitialspace=True), []):
            column, _, value = (piece.strip() for piece in part.partition("="))
            if column not in self._columns:
                near = did_you_mean(column, list(self._columns))
                raise ValueError(f"input {text!r}: {column!r} is no column{near}")
            if column in given:
                raise ValueError(f"input {text!r}: column {column!r} is given twice")
            if value not in self._columns[column]:
                known = self._columns[column]
                near = did_you_mean(value, known) or f"; it is one of {', '.join(known)}"
                raise ValueError(f"input {text!r}: column {column!r} is never {value!r}{near}")
            given[column] = value
        if missing := [column for column in self._columns if column not in given]:
            raise ValueError(f"input {text!r}: column {missing[0]!r} is missing")
        words = [f"{column}={given[column]}" for column in self._columns]
        return self.sequence.pad([self.sequence.encode(words)])[0]

    def feature_values(self, x: Tensor) -> list[list[tuple[str, str]]]:
        """Columns and values."""
        rows = [[self.sequence.tokens[c].partition("=") for c in row] for row in x.long().tolist()]
        return [[(column, value) for column, _, value in row] for row in rows]
