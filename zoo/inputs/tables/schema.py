"""What is fixed about a table: its columns by name, their kinds and levels, the missing policy and the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from zoo.inputs.base import Flag
from zoo.inputs.labels import compare_names
from zoo.inputs.tables.cells import Cells, no_column
from zoo.inputs.tables.column_fitting import LeftOut, declared_from, fit_column
from zoo.inputs.tables.columns import MARKERS, Column
from zoo.inputs.tables.remarks import remarks_on
from zoo.inputs.tables.target import Target, TargetKind, fit_target
from zoo.paths import did_you_mean

KEYS = ("columns", "target", "left_out", "markers", "id", "notes")


@dataclass(frozen=True)
class Values:
    """n records of a table as numbers.

    Attributes:
        values: ``(n, d)`` float64, see ``Column``; NaN is missing.
        rows: names of the records.
        position: ``(n,)`` int64 number of each record among those of the piece that was read.
        y: the targets; None if they were not read.
        flags: remarks about records.
        skipped: records that could not be read.
        notes: remarks about the whole.
    """

    values: np.ndarray
    rows: tuple[str, ...]
    position: np.ndarray
    y: Tensor | None = None
    flags: tuple[Flag, ...] = ()
    skipped: tuple[Flag, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableSchema:
    """The d input columns of a table, in the order of the model, and its target.

    Attributes:
        columns: of the inputs.
        target: what the model answers with; None for none.
        left_out: columns of the training file that are no inputs, with the reason.
        markers: cells that mean that a value is missing.
        id: column that names the records; empty for none.
        notes: remarks about the training data.

    >>> from zoo.inputs.tables.table_reader import read_cells
    >>> data = {"age": [30, 41, 52], "sex": ["F", "M", "F"], "state": ["ill", "well", "ill"]}
    >>> schema = TableSchema.fit(next(read_cells(data)), target="state")
    >>> [column.kind for column in schema.columns], schema.target.class_names
    (['number', 'category'], ('ill', 'well'))
    """

    columns: tuple[Column, ...]
    target: Target | None = None
    left_out: tuple[tuple[str, str], ...] = ()
    markers: tuple[str, ...] = MARKERS
    id: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError("a table has no input column")
        names = self.names
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"column {twice[0]!r} occurs twice; rename one")

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each input column."""
        return tuple(column.name for column in self.columns)

    @classmethod
    def fit(
        cls,
        cells: Cells,
        *,
        target: str | Sequence[str] | None,
        features: Sequence[str] | None = None,
        ignore: Sequence[str] = (),
        id: str = "",
        task: str | None = None,
        kinds: Mapping[str, str] | None = None,
        levels: Mapping[str, Sequence[str]] | None = None,
        units: Mapping[str, str] | None = None,
        dates: Mapping[str, str] | None = None,
        missing: Sequence[str] | None = None,
        missing_policy: str | Mapping[str, str] = "indicator",
        decimal: str = "",
        thousands: str = "",
    ) -> TableSchema:
        """Return what the training split fixes.

        Args:
            cells: the training split.
            target: column of the target, or several columns of labels.
            features: columns of the inputs; None for every column that has no other use and can be an input.
            ignore: columns with another use, such as the split, weights or concepts.
            id: column that names the records.
            task: classification, regression or multilabel; None to see it from the target.
            kinds: kind of a column, by name.
            levels: levels of a category, or of an ordinal in order, by name.
            units: text behind or before the numbers of a column, by name.
            dates: format of the dates of a column, by name.
            missing: cells that mean that a value is missing; None for ``MARKERS``.
            missing_policy: ``indicator`` or ``refuse``, for all columns or by name.
            decimal: decimal mark of the file; empty to see it from each column.
            thousands: mark between groups of three digits; empty to see it from each column.

        Raises:
            ValueError: if an argument names no column, a cell cannot be read, or no column is left.
        """
        markers = MARKERS if missing is None else tuple(missing)
        targets = [target] if isinstance(target, str) else list(target or [])
        by_name = {"data.kinds": kinds, "data.levels": levels, "data.units": units, "data.dates": dates}
        by_name["data.missing_policy"] = {} if isinstance(missing_policy, str) else missing_policy
        given = {"data.target": targets, "data.id": [id] if id else [], "data.features": features or []}
        for argument, names in {**given, **{key: list(value or {}) for key, value in by_name.items()}}.items():
            for name in names:
                cells.column(name, argument)
        if both := set(targets) & set(features or []):
            raise ValueError(f"column {min(both)!r} is in data.target and in data.features; give it one use")
        used = {*targets, *ignore, *([id] if id else [])}
        chosen = [name for name in cells.columns if name not in used] if features is None else list(features)
        columns: list[Column] = []
        left_out: list[tuple[str, str]] = []
        for name in chosen:
            declared = declared_from(
                name,
                kinds=kinds or {},
                levels=levels or {},
                units=units or {},
                dates=dates or {},
                policy=missing_policy,
                decimal=decimal,
                thousands=thousands,
                chosen=features is not None,
            )
            try:
                columns.append(fit_column(name, cells, declared, frozenset(markers)))
            except LeftOut as reason:
                if features is not None:
                    raise ValueError(
                        f"{cells.source}, column {name!r}: {reason}; take it out of data.features"
                    ) from reason
                left_out.append((name, str(reason)))
        if not columns:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out) or "it has only the target"
            raise ValueError(f"{cells.source} has no column for the inputs ({reasons})")
        task_kinds: dict[str | None, TargetKind | None] = {
            None: None,
            "classification": "classes",
            "regression": "number",
            "multilabel": "labels",
        }
        if task not in task_kinds:
            raise ValueError(f"data.task is {task!r}; expected classification, regression or multilabel")
        fitted, notes = fit_target(cells, targets, task_kinds[task], frozenset(markers)) if targets else (None, [])
        schema = cls(tuple(columns), fitted, tuple(left_out), markers, id)
        return replace(
            schema, notes=(*notes, *remarks_on(schema.columns, schema.target, frozenset(schema.markers), cells))
        )

    def check(self, names: Sequence[str], source: str) -> list[str]:
        """Compare the columns of another table with the model's, in any order; return remarks.

        Raises:
            ValueError: listing columns that are missing, and those that perhaps are theirs under another name.
        """
        present = set(names)
        missing = [name for name in self.names if name not in present]
        targets = set(self.target.columns if self.target else ())
        extra = [name for name in names if name not in {*self.names, *targets, self.id}]
        if missing:
            known = {name for name, _ in self.left_out}
            try:
                compare_names(
                    self.names, [n for n in names if n in self.names or n in set(extra) - known], "columns", exact=True
                )
            except ValueError as error:
                raise ValueError(f"{source}: {error}") from error
        return [f"{source}: columns that are no inputs were ignored: {', '.join(extra)}"] if extra else []

    def read(
        self,
        cells: Cells,
        *,
        labels: bool | None = None,
        strict: bool = False,
        skip: bool = False,
        fills_missing: bool = True,
    ) -> Values:
        """Return the records of another table as numbers, its columns matched by name.

        Args:
            cells: the table, or a piece of it.
            labels: True to require the target, False to ignore it, None to read it where the table has it.
            strict: whether what would be flagged is an error.
            skip: whether records with a cell that cannot be read are skipped and listed instead of being an error.
            fills_missing: whether a missing number becomes the median, for remarks.

        Raises:
            ValueError: if a column is missing or a cell cannot be read.
        """
        notes = self.check(list(cells.columns), cells.source)
        n, markers = len(cells), frozenset(self.markers)
        values = np.empty((n, len(self.columns)))
        problems: dict[int, Flag] = {}
        flags: list[tuple[int, Flag]] = []
        for j, column in enumerate(self.columns):
            raw = cells.columns[column.name]
            values[:, j], bad = column.parse(raw, markers)
            missing = np.isnan(values[:, j]) & ~bad
            if column.policy == "refuse":
                bad = bad | missing
            for i in bad.nonzero()[0].tolist():
                message = "the cell is missing; fill it in" if missing[i] else column.why_bad(raw[i])
                problems.setdefault(i, Flag(cells.name_of(i), column.name, message))
            if missing.any() and not column.missing:
                instead = "the median" if fills_missing and column.kind != "category" else "an average row"
                message = f"the cell is missing, which it never was in the training data; read as {instead}"
                flags += [(i, Flag(cells.name_of(i), column.name, message)) for i in missing.nonzero()[0].tolist()]
            if column.has_levels:
                unknown = np.flatnonzero(values[:, j] >= len(column.levels))
                flags += [
                    (i, Flag(cells.name_of(i), column.name, self._unknown(column, raw[i]))) for i in unknown.tolist()
                ]
        if problems and not skip:
            raise ValueError(f"{cells.source}, {problems[min(problems)]}")
        flags = sorted((pair for pair in flags if pair[0] not in problems), key=lambda pair: pair[0])
        if flags and strict:
            raise ValueError(f"{cells.source}, {flags[0][1]}")
        kept = np.array([i not in problems for i in range(n)], bool)
        rest = cells if kept.all() else cells.take(kept)
        y = self._labels(rest, labels, markers)
        return Values(
            values[kept],
            self._row_names(rest),
            kept.nonzero()[0],
            y,
            tuple(flag for _, flag in flags),
            (*cells.skipped, *(problems[i] for i in sorted(problems))),
            tuple(notes),
        )

    def _labels(self, cells: Cells, labels: bool | None, markers: frozenset[str]) -> Tensor | None:
        if self.target is None or labels is False or not len(cells):
            return None
        present = all(name in cells.columns for name in self.target.columns)
        if labels is None and not present:
            return None
        return self.target.read(cells, markers)

    def _row_names(self, cells: Cells) -> tuple[str, ...]:
        if self.id and self.id in cells.columns:
            names = cells.columns[self.id]
            return tuple(str(name) for name in names)
        return tuple(f"{cells.word} {line}" for line in cells.lines.tolist())

    @staticmethod
    def _unknown(column: Column, cell: Any) -> str:
        near = did_you_mean(str(cell), list(column.levels))
        if column.other:
            return f"{cell!r} is no level of the training data{near}; read as other"
        return f"{cell!r} is no level of the training data{near}; read as other, an average row"

    def report(self, *, fills_missing: bool = True) -> list[str]:
        """Return one line for each column: what it became, or why it was left out."""
        lines = [column.describe(fills_missing=fills_missing) for column in self.columns]
        lines += [f"{name}: left out, {reason}" for name, reason in self.left_out]
        return [*lines, *(self.target.describe() if self.target else []), *self.notes]

    def to_config(self) -> dict[str, Any]:
        """Return plain values for YAML."""
        return {
            "columns": [column.to_config() for column in self.columns],
            "target": self.target.to_config() if self.target else None,
            "left_out": [{"name": name, "reason": reason} for name, reason in self.left_out],
            "markers": list(self.markers),
            "id": self.id,
            "notes": list(self.notes),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TableSchema:
        """Return a schema from plain values.

        Raises:
            ValueError: if a key or a value is not understood.
        """
        if unknown := [key for key in config if key not in KEYS]:
            raise ValueError(f"a table has the unknown key {unknown[0]!r}{no_column(unknown[0], KEYS)}")
        target = config.get("target")
        return cls(
            tuple(map(Column.from_config, config["columns"])),
            Target.from_config(target) if target else None,
            tuple((row["name"], row["reason"]) for row in config.get("left_out", [])),
            tuple(config.get("markers", MARKERS)),
            config.get("id", ""),
            tuple(config.get("notes", [])),
        )
