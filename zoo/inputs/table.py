"""Tables as inputs: any table with the model's columns, matched by name, becomes rows of numbers."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.inputs.base import Inputs, Reading
from zoo.inputs.tables.cells import Cells
from zoo.inputs.tables.columns import Column
from zoo.inputs.tables.encoding import DenseEncoding, Encoding, encoding_from
from zoo.inputs.tables.schema import TableSchema
from zoo.inputs.tables.table_reader import read_cells, read_table
from zoo.inputs.tables.value_encoding import ValueEncoding
from zoo.paths import did_you_mean

CHUNK = 1000  # records at a time
ENCODINGS = (DenseEncoding, ValueEncoding)  # that travel with zoo, found by their names


class TableInputs(Inputs):
    """The columns of a table and their encoding.

    Args:
        schema: the columns by name and type, and the target.
        encoding: how their values become the numbers that the model reads.
        separator: of cells in text files; None for a tab in ``.tsv`` and a comma in others.
        text_encoding: of text files.

    >>> data = {"age": [30, 41, 52], "sex": ["F", "M", "F"], "state": ["ill", "well", "ill"]}
    >>> inputs = TableInputs.fit(data, target="state")
    >>> inputs.feature_names
    ('age', 'sex=F', 'sex=M')
    >>> inputs.read({"sex": ["M"], "age": [41]}).x
    tensor([[0., 0., 1.]])
    """

    kind = "table"

    def __init__(
        self, schema: TableSchema, encoding: Encoding, *, separator: str | None = None, text_encoding: str = "utf-8"
    ) -> None:
        self.schema, self.encoding = schema, encoding
        self.separator, self.text_encoding = separator, text_encoding
        self.class_names = schema.target.class_names if schema.target else ()

    @classmethod
    def fit(
        cls,
        train: Any,
        *,
        target: str | Sequence[str] | None,
        encoding: str = "dense",
        encoding_args: Mapping[str, Any] | None = None,
        separator: str | None = None,
        text_encoding: str = "utf-8",
        **arguments: Any,
    ) -> TableInputs:
        """Fit the inputs on the training split.

        Args:
            train: ``Cells``, or anything that ``read_cells`` reads.
            target: column of the target, or several columns of labels; None for none.
            encoding: name of the encoding.
            encoding_args: its arguments.
            separator: of cells in text files.
            text_encoding: of text files.
            arguments: the other arguments of ``TableSchema.fit``.

        Raises:
            ValueError: if the table cannot be read or typed.
        """
        cells = train
        if not isinstance(train, Cells):
            cells = read_table(train, separator=separator, encoding=text_encoding)
        schema = TableSchema.fit(cells, target=target, **arguments)
        if encoding not in Encoding.kinds:
            known = sorted(Encoding.kinds)
            raise ValueError(
                f"an encoding is named {encoding!r}{did_you_mean(encoding, known)}; expected one of {', '.join(known)}"
            )
        values = schema.read(cells, labels=False).values
        fitted = Encoding.kinds[encoding].fit(schema.columns, values, **(encoding_args or {}))
        return cls(schema, fitted, separator=separator, text_encoding=text_encoding)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(D,)``."""
        return (len(self.feature_names),)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One name for each number of an input."""
        return self.encoding.feature_names

    def scan(
        self, raw: Any, *, labels: bool | None = None, strict: bool = False, skip: bool = False
    ) -> Iterator[Reading]:
        """Read a table piece by piece.

        Args:
            raw: a path, ``-``, a DataFrame, a mapping, a list of mappings, ``Cells``, or the text of one row,
                ``age=58,dose=5``.
            labels: True to require the target, False to ignore it, None to read it where the table has it.
            strict: whether what would be flagged is an error.
            skip: whether records that cannot be read are skipped and listed instead of being an error.

        Raises:
            ValueError: if a column is missing or a cell cannot be read; file, line and column are named.
        """
        start, notes = 0, True
        for cells in self._cells(raw, skip):
            fills = self.encoding.fills_missing
            read = self.schema.read(cells, labels=labels, strict=strict, skip=skip, fills_missing=fills)
            yield Reading(
                self.encoding.encode(read.values),
                read.rows,
                read.y,
                read.flags,
                read.skipped,
                read.notes if notes else (),
                torch.from_numpy(read.position) + start,
            )
            start, notes = start + len(cells), False

    def _cells(self, raw: Any, skip: bool) -> Iterator[Cells]:
        if isinstance(raw, Cells):
            return iter([raw])
        if isinstance(raw, str) and "=" in raw and not Path(raw).exists():
            raw = self._one_row(raw)
        return read_cells(raw, separator=self.separator, encoding=self.text_encoding, skip=skip, chunk=CHUNK)

    def _one_row(self, text: str) -> dict[str, str]:
        """The cells of one row that is written ``name=value,name=value``; a name or value with a comma is quoted."""
        row: dict[str, str] = {}
        known = list(self.schema.names)
        expected = ",".join(f'"{name}=.."' if "," in name else f"{name}=.." for name in known)
        for part in next(csv.reader([text], skipinitialspace=True), []):
            name, cell = self._name_and_cell(part)
            if name not in known:
                wrong = f"{name or part!r} is no column{did_you_mean(name or part, known)}"
            elif name in row:
                wrong = f"column {name!r} is given twice"
            else:
                row[name] = cell
                continue
            raise ValueError(f"input {text!r}: {wrong}; expected {expected}")
        if missing := [name for name in known if name not in row]:
            raise ValueError(f"input {text!r}: column {missing[0]!r} is missing; expected {expected}")
        return row

    def _name_and_cell(self, part: str) -> tuple[str, str]:
        for name in sorted(self.schema.names, key=len, reverse=True):  # a name may hold an equals sign
            if part.startswith(f"{name}="):
                return name, part[len(name) + 1 :].strip()
        name, _, cell = part.partition("=")
        return name.strip(), cell.strip()

    def check(self, other: Any) -> None:
        """Refuse a table whose columns or classes are not the model's; only names and targets are read.

        Raises:
            ValueError: listing what is missing, additional or renamed.
        """
        for cells in self._cells(other, skip=False):
            self.schema.check(list(cells.columns), cells.source)
            target = self.schema.target
            if target is not None and all(name in cells.columns for name in target.columns):
                target.read(cells, frozenset(self.schema.markers))

    def show(self, x: Tensor) -> list[list[tuple[str, str]]]:
        """Return for each of the inputs ``(b, D)`` the names of the columns and their values as people write them."""
        values = self.encoding.decode(x)
        return [
            [(column.name, column.show(value)) for column, value in zip(self.schema.columns, row, strict=True)]
            for row in values
        ]

    def set(self, x: Tensor, values: Mapping[str, Any]) -> Tensor:
        """Return inputs ``(b, D)`` with columns set by name: all features of a column move together.

        Args:
            x: the inputs.
            values: a value for each column to set, a number or as text; None or ``""`` for missing.

        Raises:
            ValueError: if a column or a level is not known, or a value cannot be read.

        >>> data = {"age": [30, 41, 52], "sex": ["F", "M", "F"], "state": ["ill", "well", "ill"]}
        >>> inputs = TableInputs.fit(data, target="state")
        >>> inputs.show(inputs.set(inputs.read({"age": [30], "sex": ["F"]}).x, {"sex": "M"}))
        [[('age', '30'), ('sex', 'M')]]
        """
        names = list(self.schema.names)
        out = x.clone()
        owner = torch.tensor(self.encoding.owner)
        for name, value in values.items():
            if name not in names:
                raise ValueError(f"there is no column {name!r}{did_you_mean(str(name), names)}")
            j = names.index(name)
            changed = self.encoding.decode(x[:1])
            changed[:, j] = self._value(self.schema.columns[j], value)
            features = owner == j
            out[:, features] = self.encoding.encode(changed)[:, features].to(out)
        return out

    def _value(self, column: Column, value: Any) -> float:
        cell = np.empty(1, object)
        cell[0] = None if value is None else str(value)
        typed = isinstance(value, int | float) and not isinstance(value, bool)
        raw = np.array([value], float) if typed and column.kind == "number" else cell
        values, bad = column.parse(raw, frozenset(self.schema.markers))
        if bad[0]:
            raise ValueError(f"column {column.name!r}: {column.why_bad(value)}")
        if column.has_levels and values[0] >= len(column.levels):
            known = ", ".join(column.levels[:12])
            near = did_you_mean(str(value), list(column.levels)) or f"; it is one of {known}"
            raise ValueError(f"column {column.name!r} has no level {value!r}{near}")
        return float(values[0])

    def describe(self) -> list[str]:
        """Return one line for each column and the target."""
        return self.schema.report(fills_missing=self.encoding.fills_missing)

    def to_config(self) -> dict[str, Any]:
        """Return plain values for YAML."""
        config = {**self.schema.to_config(), "encoding": {"name": self.encoding.name, **self.encoding.to_config()}}
        config["text"] = {"separator": self.separator, "encoding": self.text_encoding}
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TableInputs:
        """Return the inputs from plain values.

        Raises:
            ValueError: if a key or a value is not understood.
        """
        rest = {key: value for key, value in config.items() if key not in ("encoding", "text")}
        schema, text = TableSchema.from_config(rest), config.get("text") or {}
        encoding = encoding_from(schema.columns, config["encoding"])
        return cls(schema, encoding, separator=text.get("separator"), text_encoding=text.get("encoding", "utf-8"))
