"""How the values of a table become the numbers that a model reads: the part of the inputs that a family chooses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from zoo.inputs.tables.columns import MISSING, OTHER, Column


class Encoding(ABC):
    """Turns the values ``(n, d)`` of a table's columns, see ``Column``, into inputs ``(n, D)`` and back.

    A subclass sets ``name`` and is then found by it in ``inputs.yaml``. What it needs beyond the columns is kept in
    ``to_config``.

    Args:
        columns: the d columns.

    Attributes:
        fills_missing: whether a missing number becomes the median; otherwise the model knows that it is missing.
    """

    name: ClassVar[str] = ""
    fills_missing: ClassVar[bool] = True
    kinds: ClassVar[dict[str, type[Encoding]]] = {}

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.name:
            Encoding.kinds[cls.name] = cls

    @classmethod
    def fit(cls, columns: Sequence[Column], values: np.ndarray, **arguments: Any) -> Encoding:
        """Return the encoding of columns, fitted on their training values ``(n, d)``."""
        return cls(columns, **arguments)

    @property
    @abstractmethod
    def feature_names(self) -> tuple[str, ...]:
        """One name for each of the D numbers."""

    @property
    @abstractmethod
    def owner(self) -> tuple[int, ...]:
        """For each of the D numbers the column that it is made of."""

    @abstractmethod
    def encode(self, values: np.ndarray) -> Tensor:
        """Return the inputs ``(n, D)`` of values ``(n, d)``, where NaN is missing."""

    @abstractmethod
    def decode(self, x: Tensor) -> np.ndarray:
        """Return the values ``(n, d)`` float64 of inputs ``(n, D)``."""

    def to_config(self) -> dict[str, Any]:
        """Return what ``from_config`` needs beside the columns."""
        return {}

    @classmethod
    def from_config(cls, columns: Sequence[Column], config: Mapping[str, Any]) -> Encoding:
        """Return the encoding that ``to_config`` described."""
        return cls(columns, **config)


class DenseEncoding(Encoding):
    """Standardised numbers, one-hot levels and indicators of missing cells, for models that read a plain vector.

    A number, a date, an ordinal and a boolean are one feature of mean 0 and std 1 over the known training cells; a
    missing one is the median, with 1 in an indicator of its own. A category is one feature of 0 or 1 for each level,
    for *other* and for missing cells. Indicators, *other* and the missing level exist only where the training split
    had such cells. What it never had is encoded as an average training row: the median of a number, the frequencies of
    the levels of a category.
    """

    name = "dense"

    @cached_property
    def _blocks(self) -> list[tuple[int, list[str]]]:
        """First feature of each column, and the names of its features."""
        blocks, start = [], 0
        for column in self.columns:
            names = [column.name]
            if column.kind == "category":
                levels = [*column.levels, *([OTHER] if column.other else [])]
                names = [f"{column.name}={level}" for level in levels]
                names += [f"{column.name}={MISSING}"] if column.missing else []
            elif column.missing:
                names.append(f"{column.name} is missing")
            blocks.append((start, names))
            start += len(names)
        return blocks

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One name for each of the D numbers, such as ``age``, ``age is missing`` and ``sex=F``."""
        return tuple(name for _, names in self._blocks for name in names)

    @property
    def owner(self) -> tuple[int, ...]:
        """For each of the D numbers the column that it is made of."""
        return tuple(j for j, (_, names) in enumerate(self._blocks) for _ in names)

    def encode(self, values: np.ndarray) -> Tensor:
        """Return the inputs ``(n, D)`` float32 of values ``(n, d)``, where NaN is missing."""
        parts = [self._encode(column, values[:, j]) for j, column in enumerate(self.columns)]
        return torch.from_numpy(np.concatenate(parts, 1).astype(np.float32))

    def _encode(self, column: Column, values: np.ndarray) -> np.ndarray:
        missing = np.isnan(values)
        if column.kind == "category":
            frequencies = np.array(_frequencies(column))
            out = np.tile(frequencies, (len(values), 1))
            place = np.where(missing, len(frequencies) - 1 if column.missing else -1, np.nan_to_num(values, nan=0))
            never_seen = ~missing & (values >= len(column.levels)) & (not column.other)
            place = np.where(never_seen, -1, place).astype(int)
            known = place >= 0
            out[known] = 0.0
            out[known.nonzero()[0], place[known]] = 1.0
            return out
        unknown = np.zeros(len(values), bool) if not column.has_levels else values >= len(column.levels)
        filled = np.where(missing, column.median, np.where(unknown, column.mean, values))
        scaled = (filled - column.mean) / column.std
        return np.stack([scaled, missing], 1) if column.missing else scaled[:, None]

    def decode(self, x: Tensor) -> np.ndarray:
        """Return the values ``(n, d)`` float64 of inputs ``(n, D)``.

        A category is its largest feature, or *other* where none is above one half. A missing number whose column has no
        indicator is read as the median.
        """
        rows = x.detach().double().cpu().numpy()
        out = np.empty((len(rows), len(self.columns)))
        for j, (column, (start, names)) in enumerate(zip(self.columns, self._blocks, strict=True)):
            block = rows[:, start : start + len(names)]
            if column.kind == "category":
                place = block.argmax(1).astype(float)
                place[place >= len(column.levels)] = len(column.levels)
                if column.missing:
                    place[block.argmax(1) == len(names) - 1] = np.nan
                out[:, j] = np.where(block.max(1) > 0.5, place, len(column.levels))
                continue
            value = block[:, 0] * column.std + column.mean
            if column.has_levels:
                value = np.clip(np.round(value), 0, len(column.levels) - 1)
            out[:, j] = np.where(block[:, 1] > 0.5, np.nan, value) if column.missing else value
        return out


def _frequencies(column: Column) -> list[float]:
    """Share of training rows of each feature of a category."""
    counts = [*column.counts, *([column.other] if column.other else []), *([column.missing] if column.missing else [])]
    total = max(1, sum(counts))
    return [count / total for count in counts]


def encoding_from(columns: Sequence[Column], config: Mapping[str, Any]) -> Encoding:
    """Return the encoding of plain values ``{name: dense, ...}``.

    Raises:
        ValueError: if the name is not known.
    """
    config = dict(config)
    name = config.pop("name", None)
    if name not in Encoding.kinds:
        raise ValueError(f"an encoding is named {name!r}; expected one of {', '.join(sorted(Encoding.kinds))}")
    return Encoding.kinds[name].from_config(columns, config)
