"""Rows of a whole split, gathered over processes."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor


def in_order(rows: Iterable[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Concatenate per-batch tensors of a whole split in the split's order, gathered over ranks.

    Args:
        rows: for each batch a tuple of tensors with leading dimension b, the last one ``Batch.index``.

    Returns:
        The concatenated tensors, without the index.

    Example:
        >>> in_order([(torch.tensor([5.0, 6.0]), torch.tensor([1, 0]))])[0].tolist()
        [6.0, 5.0]
    """
    columns = [torch.cat(column) for column in zip(*rows, strict=True)]
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        columns = [_gather_rows(column) for column in columns]
    order = columns[-1].argsort(stable=True)
    return tuple(column[order] for column in columns[:-1])


def _gather_rows(mine: Tensor) -> Tensor:
    """Concatenate the rows of all ranks, whose numbers of rows may differ."""
    size = torch.tensor([len(mine)], device=mine.device)
    sizes = [torch.zeros_like(size) for _ in range(dist.get_world_size())]
    dist.all_gather(sizes, size)
    largest = int(max(sizes))
    padded = torch.cat([mine, mine.new_zeros(largest - len(mine), *mine.shape[1:])]).contiguous()
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    return torch.cat([p[: int(n)] for p, n in zip(parts, sizes, strict=True)])
