"""Order of whole sequences, each with all questions about it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from zoo.data.sampler import EpochSampler, mix


class SequenceSampler(EpochSampler):
    """Batches of whole sequences, with all questions about each.

    Args:
        first: ``(s,)`` first question of each sequence; the questions of a sequence are contiguous.
        questions: total number of questions.
        batch_size: sequences per batch.
        shuffle: see ``EpochSampler``.
        seed: see ``EpochSampler``.
        shard: see ``EpochSampler``.
        length: ``(s,)`` length of each sequence; needed for ``even`` and ``alike``.
        even: share of draws, with replacement, in which all lengths are equally likely; 0 draws each sequence once.
        alike: whether the sequences of a batch have similar length.
    """

    WINDOW = 50  # batches among which sequences are exchanged to be with others of similar length

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
        self.first = first.tolist()
        self.end = [*first[1:].tolist(), questions]
        self.length = None if length is None else length.tolist()
        self.alike = alike and length is not None
        self.weight = None
        if even and length is not None:
            count = torch.bincount(length)
            self.weight = (1 - even) / len(length) + even / (count[length] * (count > 0).sum())

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        drawn = list(range(self.n))
        if self.weight is not None:
            generator = torch.Generator().manual_seed(mix(self.seed, self.epoch, 1))
            drawn = torch.multinomial(self.weight, self.n, replacement=True, generator=generator).tolist()
        skip = 0
        if self.alike:
            skip = self._skip
            self._skip = 0
        batches = ([drawn[i] for _, i in batch] for batch in super().__iter__())
        for batch in list(self._by_length(list(batches)))[skip:] if self.alike else batches:
            yield [(self.epoch, q) for i in batch for q in range(self.first[i], self.end[i])]

    def _by_length(self, batches: list[list[int]]) -> Iterator[list[int]]:
        """Yield as many batches of the same sizes, each of sequences of similar length, in random order."""
        assert self.length is not None
        generator = torch.Generator().manual_seed(mix(self.seed, self.epoch, 2))
        for start in range(0, len(batches), self.WINDOW):
            window = batches[start : start + self.WINDOW]
            ids = iter(sorted((i for batch in window for i in batch), key=self.length.__getitem__))
            window = [[next(ids) for _ in batch] for batch in window]
            yield from (window[i] for i in torch.randperm(len(window), generator=generator).tolist())
