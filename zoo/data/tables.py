"""What all tables share: rows of numbers, standardised by the training split."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from zoo.batch import Batch
from zoo.data.base import Data, SplitName
from zoo.data.split import Split


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
        """Mean and std ``(d,)`` of the training split."""
        x = self._split("train").x
        assert x is not None
        std = x.std(0, correction=0)
        return x.mean(0), torch.where(std > 0, std, 1.0)

    def _serve(self, name: SplitName, *, augment: bool) -> Rows:
        return Rows(self._split(name), *self.scale)

    def values(self, x: Tensor) -> Tensor:
        """Rows ``(b, d)`` as they were measured."""
        mean, std = (s.to(x) for s in self.scale)
        return x * std + mean

    def read_input(self, text: str) -> Tensor:
        """A row ``(d,)`` of the user's own, written ``name=value,name=value``; every feature once.

        Raises:
            ValueError: if a feature is missing, unknown or no number; it is named.
        """
        given: dict[str, Any] = dict(part.partition("=")[::2] for part in text.split(","))
        if (missing := [n for n in self.feature_names if n not in given]) or len(given) > len(self.feature_names):
            strange = [n for n in given if n not in self.feature_names]
            wrong = f"{strange[0]!r} is no feature" if strange else f"feature {missing[0]!r} is missing"
            raise ValueError(f"input {text!r}: {wrong}; expected {','.join(f'{n}=..' for n in self.feature_names)}")
        try:
            row = torch.tensor([float(given[name]) for name in self.feature_names])
        except ValueError as error:
            raise ValueError(f"input {text!r}: {error}; expected numbers") from error
        mean, std = self.scale
        return (row - mean) / std


class Rows(Dataset):
    """Serves batches of (epoch, index) pairs from the rows of a split."""

    def __init__(self, split: Split, mean: Tensor, std: Tensor) -> None:
        assert split.x is not None
        self.split, self.x = split, (split.x - mean) / std

    def __len__(self) -> int:
        return len(self.split)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Batch:
        """The batch of these pairs."""
        ids = torch.tensor([index for _, index in keys])
        concepts = None if self.split.concepts is None else self.split.concepts[ids]
        return Batch(self.x[ids], self.split.y[ids], ids, concepts=concepts)
