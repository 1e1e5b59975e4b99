"""The order of samples, a function of seed and epoch alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch.utils.data import Sampler


def mix(*numbers: int) -> int:
    """A 63-bit random seed that depends on all the numbers given, the same on every machine."""
    digest = hashlib.blake2b(",".join(map(str, numbers)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class EpochSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index) pairs, so that every worker knows the epoch it draws augmentations for.

    Shuffled, the ranks of a distributed run share one permutation, which wraps round until all have equally many
    samples. Not shuffled, each sample is seen by exactly one rank. Rank and world size are read when asked.

    Args:
        n: number of samples.
        batch_size: samples of one batch on one rank; the last batch may be smaller.
        shuffle: whether to draw a new order each epoch.
        seed: of the order.
        shard: whether the ranks of a distributed run divide the samples; otherwise each rank gets all of them.
    """

    def __init__(self, n: int, batch_size: int, *, shuffle: bool, seed: int, shard: bool = True) -> None:
        self.n, self.batch_size, self.shuffle, self.seed, self.shard = n, batch_size, shuffle, seed, shard
        self.epoch = self._skip = 0

    @property
    def sampler(self) -> EpochSampler:
        """Itself: Lightning calls ``set_epoch`` on ``loader.batch_sampler.sampler``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iterations."""
        self.epoch = epoch

    def skip(self, batches: int) -> None:
        """Leave out the first batches of the next iteration only; the length stays that of a whole epoch."""
        self._skip = batches

    def _share(self) -> tuple[int, int]:
        spread = self.shard and dist.is_available() and dist.is_initialized()
        return (dist.get_rank(), dist.get_world_size()) if spread else (0, 1)

    def __len__(self) -> int:
        rank, world = self._share()
        mine = -(-self.n // world) if self.shuffle else len(range(rank, self.n, world))
        return -(-mine // self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        start, self._skip = self._skip, 0
        epoch, (rank, world) = self.epoch, self._share()
        order = torch.arange(self.n)
        if self.shuffle:
            order = torch.randperm(self.n, generator=torch.Generator().manual_seed(mix(self.seed, epoch)))
            order = order[torch.arange(-(-self.n // world) * world) % self.n]
        mine = order[rank::world].tolist()
        for first in range(start * self.batch_size, len(mine), self.batch_size):
            yield [(epoch, index) for index in mine[first : first + self.batch_size]]
