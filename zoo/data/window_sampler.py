"""The order of whole sequences, each with all questions about it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from zoo.data.sampler import EpochSampler, mix


class SequenceSampler(EpochSampler):
    """Batches of whole sequences: all questions about each.

    Args:
        first: ``(s,)`` first question of each sequence; its questions follow.
        questions: number of all of them.
        batch_size: sequences.
        shuffle: as of ``EpochSampler``.
        seed: as of ``EpochSampler``.
        shard: as of ``EpochSampler``.
        length: ``(s,)`` of each sequence; needed for the following.
        even: share of the draws, with replacement, in which all lengths are equally likely; 0: each sequence once.
        alike: let the sequences of a batch be of like length.
    """

    WINDOW = 50  # batches whose sequences change places to be among their like

    def __init__(
        self,
        first: Tensor,
        questions: int,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int,
        shard: bool = True,
        length: Tensor | None = None,
        even: float = 0.0,
        alike: bool = False,
    ) -> None:
        super().__init__(len(first), batch_size, shuffle=shuffle, seed=seed, shard=shard)
        self.first, self.end = first.tolist(), [*first[1:].tolist(), questions]
        self.length, self.alike = None if length is None else length.tolist(), alike and length is not None
        self.weight = None
        if even and length is not None:
            many = torch.bincount(length)
            self.weight = (1 - even) / len(length) + even / (many[length] * (many > 0).sum())

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        drawn = list(range(self.n))
        if self.weight is not None:
            generator = torch.Generator().manual_seed(mix(self.seed, self.epoch, 1))
            drawn = torch.multinomial(self.weight, self.n, replacement=True, generator=generator).tolist()
        skip, self._skip = (self._skip, 0) if self.alike else (0, self._skip)
        batches = ([drawn[i] for _, i in batch] for batch in super().__iter__())
        for batch in list(self._among_like(list(batches)))[skip:] if self.alike else batches:
            yield [(self.epoch, q) for i in batch for q in range(self.first[i], self.end[i])]

    def _among_like(self, batches: list[list[int]]) -> Iterator[list[int]]:
        """As many batches of the same sizes, each of sequences of like length, in random order."""
        assert self.length is not None
        generator = torch.Generator().manual_seed(mix(self.seed, self.epoch, 2))
        for start in range(0, len(batches), self.WINDOW):
            window = batches[start : start + self.WINDOW]
            ids = iter(sorted((i for batch in window for i in batch), key=self.length.__getitem__))
            window = [[next(ids) for _ in batch] for batch in window]
            yield from (window[i] for i in torch.randperm(len(window), generator=generator).tolist())
