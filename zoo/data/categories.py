"""Rows of categories as sequences of words such as ``odor=foul``: a user's CSV, or the concepts of other data."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.concepts import ConceptSchema
from zoo.data.base import Data
from zoo.data.csv_file import Csv, read_csv
from zoo.data.labelled import Sequences, as_split
from zoo.data.split import Split
from zoo.data.table_columns import classes, division, sample_names
from zoo.paths import did_you_mean
from zoo.sequences import Frame

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

    def details(self, x: Tensor) -> list[list[tuple[str, str]]]:
        """Columns and values."""
        rows = [[self.sequence.tokens[c].partition("=") for c in row] for row in x.long().tolist()]
        return [[(column, value) for column, _, value in row] for row in rows]


class Categories(Rows):
    """Rows of a CSV file with a header, in UTF-8, whose cells are words; an empty cell is the word ``?``.

    Where no column says the split, a stratified fifth is held out for testing, the same one whatever the seed.

    Args:
        file: the CSV file.
        target: column of the class.
        features: columns to read; None for each that has no other use.
        id: column that names the samples.
        split: column that holds train, val or test.
        most: values that a column may have; one with more is no category.
        batch_size: of one rank.
        common: the other arguments of ``Data``.

    Raises:
        ValueError: if an argument is out of range, or (once read) a file, column, row or cell is missing or wrong.
    """

    licence = "the user's own"
    users_own = True

    def __init__(
        self, *, file: str, target: str, features: list[str] | None = None, id: str | None = None,
        split: str | None = None, most: int = 50, batch_size: int = 128, **common: Any,
    ) -> None:  # fmt: skip
        super().__init__(batch_size=batch_size, **common)
        if features == []:
            raise ValueError("data.features is empty; name at least one column, or leave it out for all")
        self.file, self.target, self.features = Path(file).expanduser(), target, features
        self.id, self.split, self.most = id, split, most

        self._told: tuple[dict[str, list[str]], tuple[str, ...]] | None = None

    def read_as(self, sequence: Mapping[str, Any]) -> None:
        """Rows of any table, with the columns, values and classes that a trained model knows."""
        columns: dict[str, list[str]] = {}
        for token in sequence["tokens"]:
            column, _, value = str(token).partition("=")
            columns.setdefault(column, []).append(value)
        self._told = columns, tuple(map(str, sequence["classes"]))

    @cached_property
    def _csv(self) -> Csv:
        file = read_csv(self.file, argument="data.file")
        given = {"data.target": [self.target], "data.id": [self.id], "data.split": [self.split]}
        for argument, names in {**given, "data.features": self.features or []}.items():
            for name in names:
                if name is not None:
                    file.column(name, argument)
        return file

    @cached_property
    def _columns(self) -> dict[str, list[str]]:  # pyright: ignore
        if self._told is not None:
            return self._known(self._told[0])
        taken = {self.target, self.id, self.split}
        names = self.features or [name for name in self._csv.names if name not in taken]
        found = {name: sorted({cell or EMPTY for cell in self._csv.columns[name]}) for name in names}
        for name, values in found.items():
            if len(values) > self.most:
                raise ValueError(
                    f"{self.file}, column {name!r} has {len(values)} different values, more than data.most={self.most};"
                    " leave it out with data.features, or group its values"
                )
        if not found:
            raise ValueError(f"{self.file} has no column beside {', '.join(filter(None, taken))}")
        return found

    def _check_split(self, name: str, split: Split) -> None:
        if self._told is None:  # a table to be judged need not have every class
            super()._check_split(name, split)

    def _known(self, columns: dict[str, list[str]]) -> dict[str, list[str]]:
        """The columns that a model knows, once no cell of this table says what they never say."""
        for name, values in columns.items():
            self._csv.column(name, "an input of the model")
            for i, cell in enumerate(self._csv.columns[name]):
                if (cell or EMPTY) not in values:
                    near = did_you_mean(cell, values) or f"; it is one of {', '.join(values)}"
                    raise ValueError(f"{self._csv.at(i, name)}: {cell!r} is a value that the model never saw{near}")
        return columns

    @cached_property
    def _classes(self) -> tuple[tuple[str, ...], Tensor]:
        return classes(self._csv, self.target, known=None if self._told is None else self._told[1])

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the target column holds."""
        return self._classes[0]

    def _read(self) -> dict[str, Split]:
        names, y = self._classes
        ids = sample_names(self._csv, self.id)
        rows = list(zip(*([c or EMPTY for c in self._csv.columns[n]] for n in self._columns), strict=True))
        parts = division(self._csv, y, column=self.split, target=self.target, class_names=names)
        return {
            name: self._split_of(name, [rows[i] for i in at.tolist()], y[at], [ids[i] for i in at.tolist()])
            for name, at in parts.items()
        }


class ConceptWords(Rows):
    """The true concepts of other data as rows of words: what a program can say about a concept bottleneck's answers.

    Args:
        source: name of the data, such as digits; it must have concepts, none of them a number.
        source_args: its arguments.
        batch_size: of one rank.
        common: the other arguments of ``Data``; ``val`` and ``seed`` are given to the source.

    Raises:
        ValueError: if the source has no concepts, or one that is a number.
    """

    licence = "as of the source"

    def __init__(
        self, *, source: str, source_args: dict[str, Any] | None = None, batch_size: int = 128, **common: Any
    ) -> None:
        super().__init__(batch_size=batch_size, **common)
        from zoo.data import create_data

        args = {"val": self.val, "seed": self.seed, **(source_args or {})}
        self.source: Data = create_data(source, batch_size=batch_size, **args)
        self.name = source

    @property
    def class_names(self) -> tuple[str, ...]:
        """Those of the source."""
        return self.source.class_names

    @cached_property
    def _schema(self) -> ConceptSchema:
        schema = self.source.concepts
        if schema is None:
            raise ValueError(f"data.source: {self.name} has no concepts; choose data with concepts")
        for concept in schema.concepts:
            if concept.kind == "continuous":
                raise ValueError(f"data.source: concept {concept.name!r} of {self.name} is a number; words are needed")
        return schema

    @cached_property
    def _columns(self) -> dict[str, list[str]]:  # pyright: ignore
        found: list[tuple[str, list[str]]] = []
        for group in self._schema.group_names:  # as in _words
            members = [c for c in self._schema.concepts if c.group == group]
            if members[0].kind == "binary":
                found += [(c.name, ["no", "yes", EMPTY]) for c in members]
            else:
                found.append((group, [*(c.name.removeprefix(f"{group}: ") for c in members), EMPTY]))
        names = [name for name, _ in found]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"data.source: {twice[0]!r} of {self.name} is a concept and a group of others; rename one")
        return dict(found)

    def _read(self) -> dict[str, Split]:
        _ = self._schema  # which has a word to say if there are none
        return {
            name: self._split_of(name, self._words(split.concepts), split.y, split.names)
            for name, split in self.source.splits.items()
        }

    def _words(self, truth: Tensor | None) -> list[list[str]]:
        assert truth is not None
        columns: list[list[str]] = []
        for group in self._schema.group_names:
            at = [i for i, c in enumerate(self._schema.concepts) if c.group == group]
            if self._schema.concepts[at[0]].kind == "binary":
                columns += [[_yes(v) for v in truth[:, i].tolist()] for i in at]
            else:
                values, rows = self._columns[group], truth[:, at]
                known = rows.isfinite().all(1) & (rows == 1).any(1)
                chosen = torch.where(known, rows.nan_to_num().argmax(1), len(values) - 1)
                columns.append([values[i] for i in chosen.tolist()])
        return [list(row) for row in zip(*columns, strict=True)]


def _yes(value: float) -> str:
    return EMPTY if value != value else "yes" if value >= 0.5 else "no"
