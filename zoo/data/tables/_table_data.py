"""What all tables share: rows of numbers, standardised by the training split."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.utils.data import Dataset

from zoo.batch import Batch
from zoo.data.base import Data, SplitName
from zoo.data.split import Split
from zoo.paths import did_you_mean


class TableData(Data):
    """A source of labelled rows of numbers. ``x`` is ``(b, d)``, with mean 0 and std 1 over the training split.

    A subclass reads splits whose ``x`` is as it was measured. A column that does not vary is left at 0.
    """

    @property
    def input_shape(self) -> tuple[int, ...]:
        """``(d,)``."""
        return (len(self.feature_names),)

    @cached_property
    def scale(self) -> tuple[Tensor, Tensor]:
        """Mean and std ``(d,)`` float64 of the training split; std is 1 where a column does not vary."""
        x = self._split("train").x
        assert x is not None
        x = x.double()
        low, high = x.aminmax(dim=0)  # by rounding, the std of a constant may be above 0
        return torch.where(low < high, x.mean(0), low), torch.where(low < high, x.std(0, correction=0), 1.0)

    def _scaled(self, x: Tensor) -> Tensor:
        mean, std = self.scale
        return ((x.double() - mean) / std).float()

    def _serve(self, name: SplitName, *, augment: bool) -> Rows:
        split = self._split(name)
        assert split.x is not None
        return Rows(split, self._scaled(split.x))

    def values(self, x: Tensor) -> Tensor:
        """Rows ``(b, d)`` as they were measured."""
        mean, std = (s.to(x.device) for s in self.scale)
        return (x * std + mean).to(x.dtype)

    def feature_values(self, x: Tensor) -> list[list[tuple[str, str]]]:
        """Features and their measured values."""
        rows = [[f"{round(v, 5) + 0.0:.5g}".replace("-", "−") for v in row] for row in self.values(x).tolist()]
        return [list(zip(self.feature_names, row, strict=True)) for row in rows]

    def read_input(self, text: str) -> Tensor:
        """A row ``(d,)`` of the user's own, written ``name=value,name=value``; every feature once.

        A name with a comma in it is quoted, with its value: ``"width, cm=3",height=2``.

        Raises:
            ValueError: if a feature is missing, unknown, given twice or no finite number; it is named.
        """
        known, given = list(self.feature_names), {}
        expected = ",".join(f'"{name}=.."' if "," in name else f"{name}=.." for name in known)
        for part in next(csv.reader([text], skipinitialspace=True), []):
            name, _, cell = (piece.strip() for piece in part.rpartition("="))
            if name not in known:
                wrong = f"{name or part!r} is no feature{did_you_mean(name or part, known)}"
            elif name in given:
                wrong = f"feature {name!r} is given twice"
            elif not math.isfinite(value := _number(cell)):
                wrong = f"{cell!r} for feature {name!r} is no finite number"
            else:
                given[name] = value
                continue
            raise ValueError(f"input {text!r}: {wrong}; expected {expected}")
        if missing := [name for name in known if name not in given]:
            raise ValueError(f"input {text!r}: feature {missing[0]!r} is missing; expected {expected}")
        return self._scaled(torch.tensor([given[name] for name in known]))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


class Rows(Dataset):
    """Serves batches of (epoch, index) pairs from the rows of a split.

    Args:
        split: n samples.
        x: ``(n, d)`` their inputs.
    """

    def __init__(self, split: Split, x: Tensor) -> None:
        self.split, self.x = split, x

    def __len__(self) -> int:
        return len(self.split)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Batch:
        """The batch of these pairs."""
        ids = torch.tensor([index for _, index in keys])
        concepts = None if self.split.concepts is None else self.split.concepts[ids]
        return Batch(self.x[ids], self.split.y[ids], ids, concepts=concepts)
