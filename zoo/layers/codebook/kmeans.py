"""k-means++ seeds and k-means for the initialization of codebooks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.layers.codebook.nearest_codes import search


def spread_out(x: Tensor, count: int, *, seed: int) -> Tensor:
    """Draw ``count`` k-means++ seeds ``(g, count, e)`` from ``x`` ``(n, g, e)``, independently for each group.

    Arthur and Vassilvitskii, 2007: each next seed is drawn in proportion to its squared distance from the nearest seed
    already drawn.
    """
    g = torch.Generator().manual_seed(seed)
    x = x.transpose(0, 1).contiguous()
    rows = torch.arange(len(x), device=x.device)
    size = x.square().sum(2)
    pick = torch.randint(x.shape[1], (len(x),), generator=g).to(x.device)
    drawn: list[Tensor] = []
    distance = torch.full_like(size, torch.inf)
    for _ in range(count):
        new = x[rows, pick]
        drawn.append(new)
        from_new = size + size[rows, pick][:, None] - 2 * torch.bmm(x, new[:, :, None])[:, :, 0]
        distance = torch.minimum(distance, from_new.clamp_min(0))
        distance[rows, pick] = 0
        weight = torch.where(distance.sum(1, keepdim=True) > 0, distance, 1)
        uniform = torch.rand(len(x), 1, generator=g, dtype=torch.float64).to(x.device)
        at = uniform * weight.double().sum(1, keepdim=True)
        pick = torch.searchsorted(weight.double().cumsum(1), at).clamp_max(x.shape[1] - 1)[:, 0]
    return torch.stack(drawn, 1)


def means(x: Tensor, start: Tensor, *, rounds: int) -> Tensor:
    """Run k-means; a vector belongs to the center whose direction has the largest inner product with it.

    Args:
        x: ``(n, g, e)`` vectors.
        start: ``(g, c, e)`` initial centers; a center without vectors stays where it is.
        rounds: of assignment and mean.

    Returns:
        ``(g, c, e)`` centers.
    """
    groups, count, width = start.shape
    offset = count * torch.arange(groups, device=x.device)
    for _ in range(rounds):
        rows = (search(x, F.normalize(start, dim=-1), 1)[:, :, 0] + offset).flatten()
        size = torch.bincount(rows, minlength=groups * count)[:, None]
        total = x.new_zeros(groups * count, width).index_add_(0, rows, x.flatten(0, 1))
        start = torch.where(size > 0, total / size.clamp_min(1), start.flatten(0, 1)).view_as(start)
    return start
