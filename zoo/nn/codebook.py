"""Codebooks: a vector is replaced by the mean of the k codes that suit it best, out of a fixed list.

Tamkin, Taufeeque, Goodman, Codebook features, 2023. Letters: g groups (such as heads), each with a list of c codes of
its own, e width of a group.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BUDGET, LEAST = {"cpu": 1 << 20}, 256  # scores held at a time: on a CPU what its cache holds; vectors at least
PLENTY = 1 << 26


class Snapped(NamedTuple):
    """What a codebook made of vectors ``(..., g, e)``.

    Attributes:
        value: ``(..., g, e)`` the mean of the chosen codes; its gradient goes to the codes, and straight to the input.
        ids: ``(..., g, k)`` the chosen codes, best first.
        wanted: ``(..., g, e)`` what was to be matched: the normalised input.
    """

    value: Tensor
    ids: Tensor
    wanted: Tensor


class Codebook(nn.Module):
    """Layer norm, then ``(1/k) sum`` of the k codes with the largest inner product with the normalised code.

    All groups are one batched operation. Nothing depends on the other vectors of a batch.

    Args:
        groups: g.
        codes: c.
        width: e.
        k: codes chosen for each vector.

    Attributes:
        codes: ``(g, c, e)``
        hits: ``(g, c)`` how often each code was chosen in training since this was last set to 0.
        wanted: ``(n, g, e)`` what was to be matched in the last training pass; None before.

    Raises:
        ValueError: if a number is out of range.
    """

    hits: Tensor

    def __init__(self, groups: int, codes: int, width: int, k: int) -> None:
        super().__init__()
        if codes < 1:
            raise ValueError(f"codes is {codes}; expected 1 or more")
        if not 1 <= k <= codes:
            raise ValueError(f"k is {k}; expected 1 to the {codes} codes")
        self.k = k
        self.gain, self.shift = nn.Parameter(torch.ones(groups, width)), nn.Parameter(torch.zeros(groups, width))
        self.codes = nn.Parameter(torch.randn(groups, codes, width))
        self.register_buffer("hits", torch.zeros(groups, codes, dtype=torch.int64))
        self.wanted: Tensor | None = None

    def normed(self, x: Tensor) -> Tensor:
        """``(..., g, e)`` of the same."""
        return F.layer_norm(x, x.shape[-1:]) * self.gain + self.shift

    @torch.no_grad()
    def nearest(self, wanted: Tensor, k: int | None = None) -> Tensor:
        """The ``(n, g, k)`` best codes for ``(n, g, e)``, by scores in float32 or better."""
        k = k or self.k
        wide = torch.promote_types(wanted.dtype, torch.float32)
        unit = F.normalize(self.codes.to(wide), dim=-1).mT
        found = []
        with torch.autocast(wanted.device.type, enabled=False):
            rows = BUDGET.get(wanted.device.type, PLENTY) // (unit.shape[0] * unit.shape[2])
            for some in wanted.to(wide).split(max(LEAST, rows)):
                score = torch.bmm(some.transpose(0, 1), unit)
                best = score.argmax(-1, keepdim=True) if k == 1 else score.topk(k, dim=-1).indices
                found.append(best.transpose(0, 1))
        return torch.cat(found)

    def forward(self, x: Tensor) -> Snapped:
        """Snap vectors ``(..., g, e)`` to codes."""
        wanted = self.normed(x)
        flat = wanted.flatten(0, -3) if wanted.ndim > 3 else wanted
        ids = self.nearest(flat.detach())
        if self.training:
            self._note(flat.detach(), ids)
        groups, codes, width = self.codes.shape
        rows = ids + codes * torch.arange(groups, device=ids.device)[:, None]
        value = F.embedding_bag(rows.flatten(0, 1), self.codes.flatten(0, 1), mode="mean").view(wanted.shape)
        value = value + (wanted - wanted.detach())
        return Snapped(value, ids.view(*wanted.shape[:-1], self.k), wanted)

    @torch.no_grad()
    def _note(self, wanted: Tensor, ids: Tensor) -> None:
        self.wanted = wanted
        groups, codes = self.hits.shape
        rows = ids + codes * torch.arange(groups, device=ids.device)[:, None]
        self.hits += torch.bincount(rows.flatten(), minlength=groups * codes).view(groups, codes)

    @torch.no_grad()
    def fit(self, x: Tensor, *, rounds: int, seed: int = 0) -> None:
        """Start as k-means of vectors ``(n, g, e)`` by the codebook's own score, from k-means++ seeds.

        First the norm's gain and shift become those that bring its output nearest to its input, so that codes put into
        a trained network speak on the scale that it is used to. A code that nothing is nearest to stays.

        Args:
            x: at least as many vectors as codes.
            rounds: of assignment and mean.
            seed: of the draws.

        Raises:
            ValueError: if there are fewer vectors than codes.
        """
        groups, codes, width = self.codes.shape
        if len(x) < codes:
            raise ValueError(f"{len(x)} vectors cannot start {codes} codes; take more batches")
        plain = F.layer_norm(x, x.shape[-1:])
        centre, middle = plain.mean(0), x.mean(0)
        spread = (plain - centre).square().mean(0).clamp_min(torch.finfo(x.dtype).tiny)
        self.gain.copy_(((plain - centre) * (x - middle)).mean(0) / spread)
        self.shift.copy_(middle - self.gain * centre)
        wanted = self.normed(x)
        self.codes.copy_(spread_out(wanted, codes, seed=seed))
        offset = codes * torch.arange(groups, device=x.device)
        for _ in range(rounds):
            rows = (self.nearest(wanted, 1)[:, :, 0] + offset).flatten()
            count = torch.bincount(rows, minlength=groups * codes)[:, None]
            total = wanted.new_zeros(groups * codes, width).index_add_(0, rows, wanted.flatten(0, 1))
            mean = torch.where(count > 0, total / count.clamp_min(1), self.codes.flatten(0, 1))
            self.codes.copy_(mean.view_as(self.codes))


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


def matched(found: Snapped, real: Tensor | None = None) -> Tensor:
    """Mean squared distance between what was wanted and the codes, summed over e; only the codes learn from it.

    Args:
        found: of vectors ``(b, t, g, e)``.
        real: ``(b, t)`` bool, which positions count; None for all.
    """
    return _mean((_codes_of(found) - found.wanted.detach()).square().sum(-1), real)


def committed(found: Snapped, real: Tensor | None = None) -> Tensor:
    """The same distance; only the input learns from it."""
    return _mean((found.wanted - found.value.detach()).square().sum(-1), real)


def _codes_of(found: Snapped) -> Tensor:
    """The mean of the codes without the straight-through gradient to the input."""
    return found.value - (found.wanted - found.wanted.detach())


def _mean(distance: Tensor, real: Tensor | None) -> Tensor:
    return distance.mean() if real is None else distance[real].mean()
