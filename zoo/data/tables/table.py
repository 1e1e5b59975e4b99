"""Table of the user: one CSV file with a row for each sample."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from zoo.concept_schema import ConceptSchema
from zoo.data.base import SplitName
from zoo.data.concepts._concept_columns import Column, Labels, encode
from zoo.data.concepts._concepts_file import read_columns
from zoo.data.split import Split
from zoo.data.table_data import RowDataset, TableData
from zoo.data.tables._annotations import read_groups, read_times, read_weights
from zoo.data.tables._column_roles import division, sample_names
from zoo.inputs.base import Inputs
from zoo.inputs.table import TableInputs
from zoo.inputs.tables.cells import Cells
from zoo.inputs.tables.columns import MARKERS
from zoo.inputs.tables.table_reader import read_table
from zoo.inputs.tables.target import Target, TargetKind, fit_target
from zoo.registry import register
from zoo.task import Classification, MultiLabel, Regression, Task

ANNOTATIONS = ("group", "time", "weight")  # arguments that name columns of annotations
TARGETS: dict[str, TargetKind] = {"classification": "classes", "regression": "number", "multilabel": "labels"}


@register
class Table(TableData):
    """Rows of a CSV, TSV or Parquet file: inputs of any type, a class, number or labels as target, and concepts.

    The columns are typed by the rules of ``zoo.inputs.tables`` and fitted on the training split; a trained model reads
    other files through its own inputs, matched by name. Without a split column, a stratified fifth of the rows is the
    test split, the same for every seed.

    Error messages count the lines of the file: the header is line 1. Samples without an id are named by their position
    among the data rows: ``row 1`` is the one below the header.

    Args:
        file: the file.
        target: column of the class (words or integers) or number; several columns of yes and no for labels.
        task: classification, regression or multilabel; None to see it from the target.
        features: input columns; None for all columns that have no other role and are not identifiers.
        concept_columns: columns that are concepts; kinds are inferred from their cells, see
            ``zoo.data.concepts._concept_columns.encode``.
        concepts_file: CSV file of further concepts. Its first column has the name ``id`` of this table and holds the
            ids; without ``id`` it is named ``row`` and holds row numbers from 1.
        concept_kinds: kind (binary, categorical or continuous) of concepts whose cells are ambiguous.
        id: column that names the samples.
        split: column that holds train, val or test.
        group: column of groups, such as patients, whose rows stay in one split.
        time: column of numbers or dates; the latest rows are the test split, those before them the validation split.
        weight: column of the weights of the rows in the loss and in calibration.
        kinds: kind (number, category, boolean, date or ordinal) of columns whose cells are ambiguous.
        levels: levels of a category, or of an ordinal in order, by column.
        units: text after or before the numbers of a column, by column.
        dates: format of the dates of a column, such as ``%d/%m/%Y``, by column.
        missing: cells that mean a missing value; None for the usual ones, see ``zoo.inputs.tables.columns``.
        missing_policy: ``indicator`` beside the median, a level of its own for a category; or ``refuse``.
        decimal: decimal mark, where the cells are ambiguous.
        thousands: mark between groups of three digits, where the cells are ambiguous.
        separator: separator of cells; None for a tab in ``.tsv`` and a comma in others.
        encoding: encoding of the text.
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
        target: str | list[str],
        task: Literal["classification", "regression", "multilabel"] | None = None,
        features: list[str] | None = None,
        concept_columns: list[str] | None = None,
        concepts_file: str | None = None,
        concept_kinds: dict[str, str] | None = None,
        id: str | None = None,
        split: str | None = None,
        group: str | None = None,
        time: str | None = None,
        weight: str | None = None,
        kinds: dict[str, str] | None = None,
        levels: dict[str, list[str]] | None = None,
        units: dict[str, str] | None = None,
        dates: dict[str, str] | None = None,
        missing: list[str] | None = None,
        missing_policy: str = "indicator",
        decimal: str = "",
        thousands: str = "",
        separator: str | None = None,
        encoding: str = "utf-8",
        batch_size: int = 64,
        **common: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, **common)
        if features == []:
            raise ValueError("data.features is empty; name at least one column, or leave it out for all")
        if concept_kinds and not (concept_columns or concepts_file):
            raise ValueError("data.concept_kinds is given without data.concept_columns or data.concepts_file")
        if group and time:
            raise ValueError("data.group and data.time are both given; hold out whole groups, or the latest rows")
        self.file = Path(file).expanduser()
        self.targets = list(target) if isinstance(target, list | tuple) else [target]
        if any(isinstance(name, list | tuple | dict) for name in self.targets):
            raise ValueError(f"data.target is {target}; expected the name of a column, or a list of names")
        if not self.targets:
            raise ValueError("data.target is empty; name the column to be predicted")
        self.task_kind = task
        self.features = features
        self.concept_columns = concept_columns
        self.concepts_file = concepts_file
        self.concept_kinds = concept_kinds
        self.id = id
        self.split = split
        self.group = group
        self.time = time
        self.weight = weight
        self._typing: dict[str, Any] = {
            "kinds": kinds,
            "levels": levels,
            "units": units,
            "dates": dates,
            "missing": missing,
            "missing_policy": missing_policy,
            "decimal": decimal,
            "thousands": thousands,
        }
        self._text = {"separator": separator, "encoding": encoding}
        self._markers = frozenset(MARKERS if missing is None else missing)
        self._encoding = "dense"
        self._trained: TableInputs | None = None
        self._trained_concepts: ConceptSchema | None = None

    def use_inputs(self, inputs: Inputs, concepts: ConceptSchema | None = None) -> None:
        """Read the file with the inputs of a trained model, matched by name.

        Raises:
            ValueError: if the inputs of the model are not tables.
        """
        if not isinstance(inputs, TableInputs):
            raise ValueError(f"the model reads inputs of kind {inputs.kind!r}, not tables; name other data")
        self._trained = inputs
        self._trained_concepts = concepts
        target = inputs.schema.target
        if target is not None:
            self.targets = list(target.columns)

    def use_encoding(self, name: str) -> None:
        """Encode the columns as a family of models reads them; inputs of a trained model keep their own encoding."""
        if name != self._encoding:
            self._encoding = name
            self.__dict__.pop("inputs", None)

    @property
    def is_available(self) -> bool:
        """Whether the file exists; a trained model answers for rows without it."""
        return self.file.is_file()

    @cached_property
    def _cells(self) -> Cells:
        text = self._text
        if self._trained is not None:
            text = {"separator": self._trained.separator, "encoding": self._trained.text_encoding}
        cells = read_table(self.file, argument="data.file", **text)
        roles = {
            "data.target": self.targets,
            "data.id": [self.id] if self.id else [],
            "data.split": [self.split] if self.split else [],
            **{f"data.{argument}": self._annotation(argument, cells) for argument in ANNOTATIONS},
            "data.concept_columns": self.concept_columns or [],
            "data.features": self.features or [] if self._trained is None else [],
        }
        use: dict[str, str] = {}
        for argument, name in ((argument, name) for argument, names in roles.items() for name in names):
            cells.column(name, argument)
            if name in use:
                raise ValueError(f"{self.file}: column {name!r} is in {use[name]} and in {argument}; give it one role")
            use[name] = argument
        return cells

    def _annotation(self, argument: str, cells: Cells) -> list[str]:
        """The column of an annotation as a list; other data of a trained model need not have it."""
        name: str | None = getattr(self, argument)
        return [name] if name and (self._trained is None or name in cells.columns) else []

    @cached_property
    def _target(self) -> Target:
        if self._trained is not None and self._trained.schema.target is not None:
            return self._trained.schema.target
        kind = None if self.task_kind is None else TARGETS[self.task_kind]
        return fit_target(self._cells, self.targets, kind, self._markers)[0]

    @cached_property
    def inputs(self) -> TableInputs:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The columns as fitted on the training split, or those of the trained model."""
        if self._trained is not None:
            return self._trained
        train = self._places["train"].x
        assert train is not None
        annotations = (self.split, self.group, self.time, self.weight)
        return TableInputs.fit(
            self._cells.take(train[:, 0].numpy()),
            target=self.targets,
            features=self.features,
            ignore=[name for name in (*annotations, *(self.concept_columns or [])) if name],
            id=self.id or "",
            task=next(task for task, kind in TARGETS.items() if kind == self._target.kind),
            encoding=self._encoding,
            separator=self._text["separator"],
            text_encoding=self._text["encoding"] or "utf-8",
            **self._typing,
        )

    @property
    def feature_names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Name of each number of an input."""
        return self.inputs.feature_names

    @property
    def class_names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Values of the target column: numbers in numeric, words in alphabetic order; columns of labels; or none."""
        return self._target.class_names

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the classes or labels, or of the column of the number."""
        return self.class_names or tuple(self.targets)

    @cached_property
    def model_task(self) -> Task:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Task of a model of these data, as fitted on the training split."""
        target = self.inputs.schema.target
        assert target is not None
        if target.kind == "number":
            return Regression(mean=target.mean, std=target.std)
        if target.kind == "labels":
            return MultiLabel(len(target.class_names), counts=target.counts, rows=target.rows)
        return Classification(len(target.class_names), counts=target.counts)

    @cached_property
    def _labels(self) -> Labels | None:
        file = self._cells
        columns = [
            Column(name, ["" if cell in self._markers else cell for cell in file.text(name)], file.lines.tolist(), file)
            for name in self.concept_columns or []
        ]
        if self.concepts_file:
            keys = sample_names(file, self.id) if self.id else [str(i + 1) for i in range(len(file))]
            columns += read_columns(Path(self.concepts_file).expanduser(), keys, key_name=self.id or "row")
        if not columns:
            return None
        return encode(columns, self.concept_kinds).in_order_of(self._trained_concepts)

    @cached_property
    def concepts(self) -> ConceptSchema | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Concept columns; mean and std are those of the training split, or of a trained model that has concepts."""
        if self._trained is not None and not self.is_available:
            return self._trained_concepts
        if self._labels is not None and self._trained_concepts is not None:
            return self._trained_concepts
        return None if self._labels is None else self._labels.schema(self._divided_splits["train"].concepts)

    def _read(self) -> dict[str, Split]:
        y = self._target.read(self._cells, self._markers)
        concepts = self._labels and self._labels.values
        places = torch.arange(len(y))[:, None]
        cells, markers = self._cells, self._markers
        date_format = (self._typing["dates"] or {}).get(self.time, "")
        samples = Split(
            sample_names(self._cells, self.id),
            y,
            x=places,
            concepts=concepts,
            weight=next((read_weights(cells, name, markers) for name in self._annotation("weight", cells)), None),
            group=next((read_groups(cells, name, markers) for name in self._annotation("group", cells)), None),
            time=next(
                (read_times(cells, name, markers, date_format) for name in self._annotation("time", cells)), None
            ),
        )
        rows = division(
            self._cells,
            y,
            column=self.split,
            target=self.targets[0],
            class_names=self.class_names,
            trained=self._trained is not None,
            group=samples.group,
            time=samples.time,
        )
        return {name: samples.take(ids) for name, ids in rows.items()}

    @cached_property
    def _places(self) -> dict[str, Split]:
        """The splits; ``x`` is the position ``(n, 1)`` of each sample in the file."""
        return self._divide()

    @cached_property
    def _divided_splits(self) -> dict[str, Split]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The splits; ``x`` has the values ``(n, d)`` of the columns, NaN where missing."""
        splits = self._places
        read = self.inputs.schema.read(self._cells, labels=False)
        values = torch.from_numpy(read.values)
        return {name: replace(split, x=values[split.x[:, 0]]) for name, split in splits.items() if split.x is not None}

    def _check_split(self, name: str, split: Split) -> None:
        if self._trained is None:  # a table to be evaluated need not have every class
            super()._check_split(name, split)

    def _serve(self, name: SplitName, *, augment: bool) -> RowDataset:
        split = self._split(name)
        assert split.x is not None
        return RowDataset(split, self.inputs.encoding.encode(split.x.numpy()))

    @property
    def input_scale(self) -> str:
        """Description of the numbers of an input, for a model card."""
        return "values of the columns" if self.inputs.encoding.name == "values" else super().input_scale

    def values(self, x: Tensor) -> Tensor:
        """Return inputs ``(b, D)`` as values ``(b, d)`` of the columns, see ``zoo.inputs.tables.columns.Column``."""
        return torch.from_numpy(self.inputs.encoding.decode(x))

    def feature_values(self, x: Tensor) -> list[list[tuple[str, str]]]:
        """Return names and original values of the columns of inputs ``(b, D)``."""
        return self.inputs.show(x)

    def read_input(self, text: str) -> Tensor:
        """Return a row written ``name=value,name=value`` as an input ``(D,)``; it has every column once.

        Raises:
            ValueError: if a column is missing, unknown, given twice or cannot be read; it is named.
        """
        return self.inputs.read(text, labels=False).x[0]
