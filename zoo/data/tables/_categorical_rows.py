"""Base class of rows of categories as sequences of words such as ``odor=foul``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from torch import Tensor

from zoo.data.labeled_sequences import LabeledSequenceData, as_split
from zoo.data.split import Split
from zoo.data.tables._assignments import parse_assignments, require_all
from zoo.inputs.number_intervals import word_of
from zoo.paths import did_you_mean
from zoo.sequence_spec import Frame

EMPTY = "?"  # the value of an empty cell


class CategoricalRows(LabeledSequenceData):
    """A source whose samples are rows: one word for each column, always in the same order, and one class per row.

    A subclass sets ``_columns``, the possible values of each column, and reads splits with ``_split_of``.
    """

    whole = True
    _columns: dict[str, list[str]]

    @cached_property
    def sequence(self) -> Frame:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Format of the rows: a token for each value of each column."""
        words = tuple(f"{column}={value}" for column, values in self._columns.items() for value in values)
        return Frame(words, len(self._columns), columns=tuple(self._columns))

    def _split_of(self, name: str, rows: Sequence[Sequence[str]], y: Tensor, names: Sequence[str]) -> Split:
        words = [[f"{c}={v}" for c, v in zip(self._columns, row, strict=True)] for row in rows]
        split = as_split(name, self.sequence, words, [[label] for label in y.tolist()], whole=True)
        return Split(names, split.y, x=split.x)

    def read_input(self, text: str) -> Tensor:
        """Return a row written ``column=value,column=value`` as an input ``(length,)``; it has every column once.

        Raises:
            ValueError: if a column or a value is missing, unknown or given twice; it is named.
        """
        row = parse_assignments(text, list(self._columns), kind="column")
        row = {column: word_of(value, self._columns[column]) for column, value in row.items()}
        for column, value in row.items():
            known = self._columns[column]
            if value not in known:
                near = did_you_mean(value, known) or f"; expected one of {', '.join(known)}"
                raise ValueError(f"input {text!r}: column {column!r} has no value {value!r}{near}")
        require_all(row, list(self._columns), text, kind="column")
        words = [f"{column}={row[column]}" for column in self._columns]
        return self.sequence.pad([self.sequence.encode(words)])[0]

    def feature_values(self, x: Tensor) -> list[list[tuple[str, str]]]:
        """Return columns and values of inputs ``(b, length)``."""
        rows = [[self.sequence.tokens[c].partition("=") for c in row] for row in x.long().tolist()]
        return [[(column, value) for column, _, value in row] for row in rows]
