"""Order of samples, a function of seed and epoch alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import Sampler

from zoo.data.mapped_tensors import long_row


def mix(*numbers: int) -> int:
    """Return a 63-bit random seed that depends on all numbers, the same on every machine.

    Example:
        >>> mix(0, 1) == mix(0, 1), mix(0, 1) == mix(1, 0)
        (True, False)
    """
    digest = hashlib.blake2b(",".join(map(str, numbers)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class EpochSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index) pairs, so that workers know the epoch of the augmentation.

    With ``shuffle`` the ranks of a distributed run share one permutation, repeated from its start until all ranks have
    the same number of samples. Without it each sample belongs to exactly one rank. Rank and world size are read at
    each iteration.

    Args:
        n: number of samples.
        batch_size: samples of one batch on one rank; the last batch may be smaller.
        shuffle: whether to draw a new order each epoch.
        seed: random seed of the order.
        shard: whether each rank of a distributed run gets a share of the samples; otherwise it gets all of them.

    Example:
        >>> list(EpochSampler(3, 2, shuffle=False, seed=0))
        [[(0, 0), (0, 1)], [(0, 2)]]
    """

    def __init__(self, n: int, batch_size: int, *, shuffle: bool, seed: int, shard: bool = True) -> None:
        self.n = n
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.shard = shard
        self.epoch = 0
        self._skip = 0

    @property
    def sampler(self) -> EpochSampler:
        """This sampler: Lightning calls ``set_epoch`` on ``loader.batch_sampler.sampler``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iterations."""
        self.epoch = epoch

    def skip(self, batches: int) -> None:
        """Skip the first batches of the next iteration only; the length stays that of a whole epoch."""
        self._skip = batches

    def _rank_and_world(self) -> tuple[int, int]:
        distributed = self.shard and dist.is_available() and dist.is_initialized()
        return (dist.get_rank(), dist.get_world_size()) if distributed else (0, 1)

    def __len__(self) -> int:
        rank, world = self._rank_and_world()
        own = -(-self.n // world) if self.shuffle else len(range(rank, self.n, world))
        return -(-own // self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        start = self._skip
        self._skip = 0
        epoch = self.epoch
        rank, world = self._rank_and_world()
        own: range | Tensor = range(rank, self.n, world)
        if self.shuffle:
            generator = torch.Generator().manual_seed(mix(self.seed, epoch))
            order = torch.randperm(self.n, generator=generator, out=long_row(self.n))
            if world > 1:
                order = order[torch.arange(-(-self.n // world) * world) % self.n]
            own = order[rank::world]
        for first in range(start * self.batch_size, len(own), self.batch_size):
            ids = own[first : first + self.batch_size]
            yield [(epoch, index) for index in (ids if isinstance(ids, range) else ids.tolist())]
