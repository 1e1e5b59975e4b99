"""Seeds that are far from one another, and means of what is nearest to each: how lists of codes begin."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.layers.codebook.nearest_codes import search


def spread_out(x: Tensor, count: int, *, seed: int) -> Tensor:
    """``count`` vectors ``(g, count, e)`` out of ``x`` ``(n, g, e)``, each group for itself.

    k-means++ (Arthur and Vassilvitskii, 2007): each next one is drawn in proportion to its squared distance from the
    nearest of those already drawn.
    """
    g, x = torch.Generator().manual_seed(seed), x.transpose(0, 1).contiguous()
    rows, size = torch.arange(len(x), device=x.device), x.square().sum(2)
    pick = torch.randint(x.shape[1], (len(x),), generator=g).to(x.device)
    drawn, left = [], torch.full_like(size, torch.inf)
    for _ in range(count):
        one = x[rows, pick]
        drawn.append(one)
        away = size + size[rows, pick][:, None] - 2 * torch.bmm(x, one[:, :, None])[:, :, 0]
        left = torch.minimum(left, away.clamp_min(0))
        left[rows, pick] = 0
        chance = torch.where(left.sum(1, keepdim=True) > 0, left, 1)
        at = torch.rand(len(x), 1, generator=g, dtype=torch.float64).to(x.device) * chance.double().sum(1, keepdim=True)
        pick = torch.searchsorted(chance.double().cumsum(1), at).clamp_max(x.shape[1] - 1)[:, 0]
    return torch.stack(drawn, 1)


def means(x: Tensor, start: Tensor, *, rounds: int) -> Tensor:
    """Centres ``(g, c, e)``: each the mean of those vectors that have the largest inner product with its direction.

    Args:
        x: ``(n, g, e)`` what is to be represented.
        start: ``(g, c, e)``; a centre that no vector falls to stays.
        rounds: of assignment and mean.
    """
    groups, count, width = start.shape
    offset = count * torch.arange(groups, device=x.device)
    for _ in range(rounds):
        rows = (search(x, F.normalize(start, dim=-1), 1)[:, :, 0] + offset).flatten()
        size = torch.bincount(rows, minlength=groups * count)[:, None]
        total = x.new_zeros(groups * count, width).index_add_(0, rows, x.flatten(0, 1))
        start = torch.where(size > 0, total / size.clamp_min(1), start.flatten(0, 1)).view_as(start)
    return start
