"""Concepts of another data source as rows of words, the input of programs."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from zoo.concept_schema import ConceptSchema
from zoo.data.base import Data
from zoo.data.split import Split
from zoo.data.tables._categorical_rows import EMPTY, CategoricalRows
from zoo.registry import register


@register
class ConceptWords(CategoricalRows):
    """True concepts of another data source as rows of words, such as ``has_hole=yes``.

    Args:
        source: name of the data source, such as digits; it must have concepts, none of them continuous.
        source_args: arguments of the source.
        batch_size: samples per batch on each rank.
        common: other arguments of ``zoo.data.base.Data``; ``val`` and ``seed`` are passed to the source.

    Raises:
        ValueError: if the source has no concepts, or a continuous one.
    """

    license = "as of the source"

    def __init__(
        self, *, source: str, source_args: dict[str, Any] | None = None, batch_size: int = 128, **common: Any
    ) -> None:
        super().__init__(batch_size=batch_size, **common)
        from zoo.data import create_data

        args = {"val": self.val, "seed": self.seed, **(source_args or {})}
        self.source: Data = create_data(source, batch_size=batch_size, **args)
        self.name = source

    @property
    def class_names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Class names of the source."""
        return self.source.class_names

    @cached_property
    def _schema(self) -> ConceptSchema:
        schema = self.source.concepts
        if schema is None:
            raise ValueError(f"data.source: {self.name} has no concepts; choose data with concepts")
        for concept in schema.concepts:
            if concept.kind == "continuous":
                raise ValueError(
                    f"data.source: concept {concept.name!r} of {self.name} is continuous; expected a category"
                )
        return schema

    @cached_property
    def _columns(self) -> dict[str, list[str]]:  # pyright: ignore[reportIncompatibleVariableOverride]
        columns: list[tuple[str, list[str]]] = []
        for group in self._schema.group_names:  # as in _words
            members = [c for c in self._schema.concepts if c.group == group]
            if members[0].kind == "binary":
                columns += [(c.name, ["no", "yes", EMPTY]) for c in members]
            else:
                columns.append((group, [*(c.name.removeprefix(f"{group}: ") for c in members), EMPTY]))
        names = [name for name, _ in columns]
        repeated = [name for name in names if names.count(name) > 1]
        if repeated:
            raise ValueError(
                f"data.source: {repeated[0]!r} of {self.name} is a concept and a group of others; rename one"
            )
        return dict(columns)

    def _read(self) -> dict[str, Split]:
        _ = self._schema  # raises if there are none
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
