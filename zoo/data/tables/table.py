"""Table of the user: one CSV file with a row for each sample."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.concept_schema import ConceptSchema
from zoo.data.concepts._concept_columns import Column, Labels, encode
from zoo.data.concepts._concepts_file import read_columns
from zoo.data.split import Split
from zoo.data.tables._column_roles import classes, division, inputs, sample_names
from zoo.data.tables._csv_file import Csv, read_csv
from zoo.data.tables._table_data import TableData
from zoo.registry import register


@register
class Table(TableData):
    """Rows of a CSV file with a header, in UTF-8: numeric inputs, a class column and optionally concepts.

    Without a split column, a stratified fifth of the rows is the test split, the same for every seed.

    Error messages count rows as a spreadsheet does: the header is row 1. Samples without an id are named by their
    position among the data rows: ``row 1`` is the one below the header.

    Args:
        file: the CSV file.
        target: column of the class: words or integers.
        features: input columns of finite numbers; None for all numeric columns without another role.
        concept_columns: columns that are concepts; kinds are inferred from their cells, see
            ``zoo.data.concepts._concept_columns.encode``.
        concepts_file: CSV file of further concepts. Its first column has the name ``id`` of this table and holds the
            ids; without ``id`` it is named ``row`` and holds row numbers from 1.
        concept_kinds: kind (binary, categorical or continuous) of concepts whose cells are ambiguous.
        id: column that names the samples.
        split: column that holds train, val or test.
        batch_size: samples per batch on each rank.
        common: other arguments of ``Data``.

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
        concept_columns: list[str] | None = None,
        concepts_file: str | None = None,
        concept_kinds: dict[str, str] | None = None,
        id: str | None = None,
        split: str | None = None,
        batch_size: int = 64,
        **common: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, **common)
        if features == []:
            raise ValueError("data.features is empty; name at least one column, or leave it out for all")
        if concept_kinds and not (concept_columns or concepts_file):
            raise ValueError("data.concept_kinds is given without data.concept_columns or data.concepts_file")
        self.file = Path(file).expanduser()
        self.target = target
        self.features = features
        self.concept_columns = concept_columns
        self.concepts_file = concepts_file
        self.concept_kinds = concept_kinds
        self.id = id
        self.split = split

    @cached_property
    def _csv(self) -> Csv:
        file = read_csv(self.file, argument="data.file")
        roles = {
            "data.target": [self.target],
            "data.id": [self.id] if self.id else [],
            "data.split": [self.split] if self.split else [],
            "data.concept_columns": self.concept_columns or [],
            "data.features": self.features or [],
        }
        use: dict[str, str] = {}
        for argument, name in ((argument, name) for argument, names in roles.items() for name in names):
            file.column(name, argument)
            if name in use:
                raise ValueError(f"{file.path}: column {name!r} is in {use[name]} and in {argument}; give it one role")
            use[name] = argument
        return file

    @cached_property
    def _inputs(self) -> dict[str, np.ndarray]:
        taken = {self.target, self.id, self.split, *(self.concept_columns or [])}
        names = self.features or [name for name in self._csv.names if name not in taken]
        return inputs(self._csv, names, chosen=self.features is not None)

    @property
    def feature_names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Names of the input columns."""
        return tuple(self._inputs)

    @cached_property
    def _classes(self) -> tuple[tuple[str, ...], Tensor]:
        return classes(self._csv, self.target)

    @property
    def class_names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Values of the target column: numbers in numeric, words in alphabetic order."""
        return self._classes[0]

    @cached_property
    def _labels(self) -> Labels | None:
        file = self._csv
        columns = [Column(name, file.columns[name], file.rows, file.path) for name in self.concept_columns or []]
        if self.concepts_file:
            keys = sample_names(file, self.id) if self.id else [str(i + 1) for i in range(len(file))]
            columns += read_columns(Path(self.concepts_file).expanduser(), keys, key_name=self.id or "row")
        return encode(columns, self.concept_kinds) if columns else None

    @cached_property
    def concepts(self) -> ConceptSchema | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Concept columns; mean and std are those of the training split."""
        return None if self._labels is None else self._labels.schema(self._divided_splits["train"].concepts)

    def _read(self) -> dict[str, Split]:
        names, y = self._classes
        x = torch.from_numpy(np.stack([*self._inputs.values()], 1)).float()
        concepts = self._labels and self._labels.values
        samples = Split(sample_names(self._csv, self.id), y, x=x, concepts=concepts)
        rows = division(self._csv, y, column=self.split, target=self.target, class_names=names)
        return {name: samples.take(ids) for name, ids in rows.items()}
