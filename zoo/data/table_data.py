"""Base class of tables: rows of numbers, standardized by the training split."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.data.base import Data, SplitName
from zoo.data.split import BatchDataset, Split
from zoo.data.tables._assignments import parse_assignments, require_all


class TableData(Data):
    """A source of labeled rows of numbers. ``x`` is ``(b, d)``, with mean 0 and std 1 over the training split.

    A subclass reads splits whose ``x`` has the original values. A constant column becomes 0.
    """

    @property
    def input_shape(self) -> tuple[int, ...]:
        """``(d,)``."""
        return (len(self.feature_names),)

    @cached_property
    def scale(self) -> tuple[Tensor, Tensor]:
        """Mean and std ``(d,)`` float64 of the training split; std is 1 for a constant column."""
        x = self._split("train").x
        assert x is not None
        x = x.double()
        low, high = x.aminmax(dim=0)  # rounding may make the std of a constant positive
        return torch.where(low < high, x.mean(0), low), torch.where(low < high, x.std(0, correction=0), 1.0)

    def _scaled(self, x: Tensor) -> Tensor:
        mean, std = self.scale
        return ((x.double() - mean) / std).float()

    def _serve(self, name: SplitName, *, augment: bool) -> RowDataset:
        split = self._split(name)
        assert split.x is not None
        return RowDataset(split, self._scaled(split.x))

    def values(self, x: Tensor) -> Tensor:
        """Return the original values of inputs ``(b, d)``."""
        mean, std = (s.to(x.device) for s in self.scale)
        return (x * std + mean).to(x.dtype)

    def feature_values(self, x: Tensor) -> list[list[tuple[str, str]]]:
        """Return names and original values of the features of inputs ``(b, d)``."""
        rows = [[f"{round(v, 5) + 0.0:.5g}".replace("-", "−") for v in row] for row in self.values(x).tolist()]
        return [list(zip(self.feature_names, row, strict=True)) for row in rows]

    def read_input(self, text: str) -> Tensor:
        """Return a row written ``name=value,name=value`` as an input ``(d,)``; it has every feature once.

        A name with a comma is quoted together with its value: ``"width, cm=3",height=2``.

        Raises:
            ValueError: if a feature is missing, unknown, given twice or not a finite number; it is named.
        """
        known = list(self.feature_names)
        expected = ",".join(f'"{name}=.."' if "," in name else f"{name}=.." for name in known)
        cells = parse_assignments(text, known, kind="feature", expected=f"; expected {expected}")
        values = {name: _number(cell) for name, cell in cells.items()}
        for name, value in values.items():
            if not math.isfinite(value):
                raise ValueError(
                    f"input {text!r}: {cells[name]!r} for feature {name!r} is not a finite number; expected {expected}"
                )
        require_all(cells, known, text, kind="feature", expected=f"; expected {expected}")
        return self._scaled(torch.tensor([values[name] for name in known]))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


class RowDataset(BatchDataset):
    """Serves batches of (epoch, index) pairs from the rows of a split.

    Args:
        split: n samples.
        x: inputs ``(n, d)`` of the samples.
    """

    def __init__(self, split: Split, x: Tensor) -> None:
        self.split = split
        self.x = x

    def __len__(self) -> int:
        return len(self.split)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Batch:
        """Return the batch of (epoch, index) pairs."""
        ids = torch.tensor([index for _, index in keys])
        concepts = None if self.split.concepts is None else self.split.concepts[ids]
        weight = None if self.split.weight is None else self.split.weight[ids]
        sequence = None if self.split.sequence is None else self.split.sequence[ids]
        return Batch(self.x[ids], self.split.y[ids], ids, concepts=concepts, weight=weight, sequence=sequence)
