"""Sums over samples in many replicates at once, each sample weighted in each replicate."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.metrics.perturbations.noise import random_bits

STREAM = 5 << 32  # draw numbers of the bootstrap, apart from those of perturbations
POISSON_CDF = [math.exp(-1) * sum(1 / math.factorial(i) for i in range(k + 1)) for k in range(18)]
CHUNK = 1 << 16  # weighted counts made at a time, so that they stay in a processor's cache
DENSE = 1 << 22  # float64 values of a dense batch converted at a time


def poisson(ids: Tensor, replicates: int) -> Tensor:
    """Weights of samples in bootstrap replicates: Poisson of mean 1, a hash of (sample id, replicate).

    Args:
        ids: ``(b,)`` int64 identity of the cluster each row belongs to: the image, the sequence.
        replicates: r.

    Returns:
        ``(b, r)`` int64.

    Example:
        >>> weight = poisson(torch.tensor([7, 3, 7]), 4)
        >>> weight.shape, torch.equal(weight[0], weight[2])
        (torch.Size([3, 4]), True)
    """
    share = (random_bits(ids, draw=STREAM, count=replicates) & (2**53 - 1)).double() / 2**53
    return torch.searchsorted(torch.tensor(POISSON_CDF, dtype=torch.float64, device=ids.device), share, right=True)


def add_weighted(
    total: Tensor, weight: Tensor, rows: Tensor, *, at: Tensor | None = None, by: Tensor | None = None
) -> None:
    """Add rows, times the weights of their samples, to the sums of all replicates, in place.

    Args:
        total: ``(*shape, r)`` float64, contiguous.
        weight: ``(b, r)`` float64 weight of each sample in each replicate.
        rows: as for ``Score._add``.
        at: likewise.
        by: likewise.

    Example:
        >>> total = torch.zeros(3, 2, dtype=torch.float64)
        >>> add_weighted(total, torch.tensor([[1.0, 0.0], [2.0, 1.0]]).double(), torch.tensor([[1, 0, 1], [1, 1, 0]]))
        >>> total.T
        tensor([[3., 2., 1.],
                [1., 1., 0.]], dtype=torch.float64)
    """
    r = total.shape[-1]
    if at is not None:
        at = at.to(total.device)
        table = total.view(len(total), -1, r)
        width = table.shape[1]
        flat = rows.reshape(at.numel(), width)
        for chunk in flat.any(1).nonzero()[:, 0].split(max(1, CHUNK // (width * r))):
            share = flat[chunk].double()[..., None] * weight[chunk // at.shape[1], None]
            table.index_add_(0, at.flatten()[chunk], share)
    elif by is not None:
        by = by.to(total.device)
        table = total.view(rows.shape[1], -1)
        for chunk in torch.arange(len(rows), device=total.device).split(max(1, CHUNK // (by.shape[1] * r))):
            table.addmm_(rows[chunk].double().T, (by[chunk].double()[..., None] * weight[chunk, None]).flatten(1))
    else:
        table = total.view(-1, r)
        flat = rows.reshape(len(rows), len(table))
        for columns in torch.arange(len(table), device=total.device).split(max(1, DENSE // max(1, len(rows)))):
            part = slice(int(columns[0]), int(columns[-1]) + 1)
            table[part].addmm_(flat[:, part].double().T, weight)
