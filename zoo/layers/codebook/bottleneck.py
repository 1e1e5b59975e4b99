"""Codebooks: a vector is replaced by the mean of the k codes that suit it best, out of a fixed list.

Tamkin, Taufeeque, Goodman, Codebook features, 2023. Letters: g groups (such as heads), each with a list of c codes of
its own, e width of a group.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.layers.codebook.kmeans import means, spread_out
from zoo.layers.codebook.nearest_codes import search


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

    All groups are one batched operation. Nothing depends on the other vectors of a batch, and the pass changes nothing:
    what training must remember of it is told to ``note``. Norms and scores are float32 or better, under autocast too.

    Args:
        groups: g.
        codes: c.
        width: e.
        k: codes chosen for each vector.

    Attributes:
        codes: ``(g, c, e)``
        hits: ``(g, c)`` how often each code was chosen in training since ``Revival`` last set this to 0.

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
        self.noted: Noted | None = None

    def normed(self, x: Tensor) -> Tensor:
        """``(..., g, e)`` of the same."""
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        return F.layer_norm(x, x.shape[-1:]) * self.gain + self.shift

    @torch.no_grad()
    def nearest(self, wanted: Tensor, k: int | None = None) -> Tensor:
        """The ``(n, g, k)`` best codes for ``(n, g, e)``."""
        return search(wanted, F.normalize(self.codes.to(wanted.dtype), dim=-1), k or self.k)

    def forward(self, x: Tensor) -> Snapped:
        """Snap vectors ``(..., g, e)`` to codes."""
        wanted = self.normed(x)
        ids = self.nearest(wanted.detach().reshape(-1, *wanted.shape[-2:]))
        value = F.embedding_bag(self.rows(ids).flatten(0, 1), self.codes.flatten(0, 1), mode="mean")
        value = value.view(wanted.shape) + (wanted - wanted.detach())
        return Snapped(value, ids.view(*wanted.shape[:-1], self.k), wanted)

    def rows(self, ids: Tensor) -> Tensor:
        """Choices ``(..., g, k)`` as rows of ``codes.flatten(0, 1)``."""
        groups, codes, _ = self.codes.shape
        return ids + codes * torch.arange(groups, device=ids.device)[:, None]

    @torch.no_grad()
    def note(self, found: Snapped, real: Tensor) -> None:
        """Remember, until ``Revival`` asks, which codes were chosen and what was wanted; nothing in eval mode.

        Args:
            found: of vectors ``(b, t, g, e)``.
            real: ``(b, t)`` bool, which positions count.
        """
        if self.training:
            many = torch.bincount(self.rows(found.ids[real]).flatten(), minlength=self.hits.numel())
            before = 0 if self.noted is None else self.noted.hits
            self.noted = Noted(before + many.view_as(self.hits), found.wanted[real])

    @torch.no_grad()
    def fit(self, x: Tensor, *, rounds: int, seed: int = 0) -> None:
        """Start as k-means of vectors ``(n, g, e)`` by the codebook's own score, ``rounds`` from k-means++ seeds.

        First the norm's gain and shift become those that bring its output nearest to its input, so that codes put into
        a trained network speak on the scale that it is used to. A code that nothing is nearest to stays.

        Raises:
            ValueError: if there are fewer vectors than codes.
        """
        codes = self.codes.shape[1]
        if len(x) < codes:
            raise ValueError(f"{len(x)} vectors cannot start {codes} codes; take more batches")
        plain = F.layer_norm(x, x.shape[-1:])
        centre, middle = plain.mean(0), x.mean(0)
        spread = plain.var(0, correction=0).clamp_min(torch.finfo(x.dtype).tiny)
        self.gain.copy_(((plain - centre) * (x - middle)).mean(0) / spread)
        self.shift.copy_(middle - self.gain * centre)
        wanted = self.normed(x)
        self.codes.copy_(means(wanted, spread_out(wanted, codes, seed=seed), rounds=rounds))


class Noted(NamedTuple):
    """``hits`` ``(g, c)`` since the last step, and what was ``wanted`` ``(n, g, e)`` in the last batch."""

    hits: Tensor
    wanted: Tensor


def matched(found: Snapped, real: Tensor | None = None) -> Tensor:
    """Mean squared distance between what was wanted and the codes, summed over e; only the codes learn from it.

    Args:
        found: of vectors ``(b, t, g, e)``.
        real: ``(b, t)`` bool, which positions count; None for all.
    """
    codes = found.value - (found.wanted - found.wanted.detach())  # without the way straight to the input
    return _mean((codes - found.wanted.detach()).square().sum(-1), real)


def committed(found: Snapped, real: Tensor | None = None) -> Tensor:
    """The same distance; only the input learns from it."""
    return _mean((found.wanted - found.value.detach()).square().sum(-1), real)


def _mean(distance: Tensor, real: Tensor | None) -> Tensor:
    if real is None:
        return distance.mean()
    return torch.where(real[..., None], distance, 0).sum() / (real.sum() * distance.shape[-1])
