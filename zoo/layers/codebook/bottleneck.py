"""Codebooks: a vector is replaced by the mean of the k best matching codes of a fixed list.

Tamkin, Taufeeque, Goodman, Codebook features, 2023. Letters: g groups (such as heads), each with its own list of c
codes, e width of a group.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.layers.codebook.kmeans import means, spread_out
from zoo.layers.codebook.nearest_codes import search


class Quantized(NamedTuple):
    """The output of a codebook for vectors ``(..., g, e)``.

    Attributes:
        value: ``(..., g, e)`` the mean of the selected codes; its gradient goes to the codes and, straight through, to
            the input.
        ids: ``(..., g, k)`` the selected codes, best first.
        normalized: ``(..., g, e)`` the normalized input, which the codes approximate.
    """

    value: Tensor
    ids: Tensor
    normalized: Tensor


class Codebook(nn.Module):
    """Layer norm, then the mean of the k codes whose directions have the largest inner products with the vector.

    All groups are one batched operation. Nothing depends on the other vectors of a batch, and the forward pass changes
    no state: training records use with ``note``. Norms and scores are float32 or wider, under autocast too.

    Args:
        groups: g.
        codes: c.
        width: e.
        k: codes selected for each vector.

    Attributes:
        codes: ``(g, c, e)``
        hits: ``(g, c)`` how often each code was selected in training since the last reset of dead codes.

    Raises:
        ValueError: if a number is out of range.

    Example:
        >>> quantized = Codebook(groups=2, codes=5, width=4, k=1)(torch.ones(3, 2, 4))
        >>> quantized.value.shape, quantized.ids.shape
        (torch.Size([3, 2, 4]), torch.Size([3, 2, 1]))
    """

    hits: Tensor

    def __init__(self, groups: int, codes: int, width: int, k: int) -> None:
        super().__init__()
        if codes < 1:
            raise ValueError(f"codes is {codes}; expected 1 or more")
        if not 1 <= k <= codes:
            raise ValueError(f"k is {k}; expected 1 to the {codes} codes")
        self.k = k
        self.gain = nn.Parameter(torch.ones(groups, width))
        self.shift = nn.Parameter(torch.zeros(groups, width))
        self.codes = nn.Parameter(torch.randn(groups, codes, width))
        self.register_buffer("hits", torch.zeros(groups, codes, dtype=torch.int64))
        self.noted: CodeUse | None = None

    def normed(self, x: Tensor) -> Tensor:
        """Return the layer norm ``(..., g, e)`` of vectors ``(..., g, e)``."""
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        return F.layer_norm(x, x.shape[-1:]) * self.gain + self.shift

    @torch.no_grad()
    def nearest(self, normalized: Tensor, k: int | None = None) -> Tensor:
        """Return the ids ``(n, g, k)`` of the best codes for normalized vectors ``(n, g, e)``."""
        return search(normalized, F.normalize(self.codes.to(normalized.dtype), dim=-1), k or self.k)

    def forward(self, x: Tensor) -> Quantized:
        """Quantize vectors ``(..., g, e)``."""
        normalized = self.normed(x)
        ids = self.nearest(normalized.detach().reshape(-1, *normalized.shape[-2:]))
        rows, codes = self.rows(ids).flatten(0, 1), self.codes.flatten(0, 1)
        exporting = torch.compiler.is_exporting()  # ONNX has no embedding bag: it would be a loop over all vectors
        value = codes[rows].mean(1) if exporting else F.embedding_bag(rows, codes, mode="mean")
        value = value.view(normalized.shape) + (normalized - normalized.detach())
        value = value.to(self.codes.dtype)  # of a model in half precision
        return Quantized(value, ids.view(*normalized.shape[:-1], self.k), normalized)

    def rows(self, ids: Tensor) -> Tensor:
        """Return ids ``(..., g, k)`` as row numbers of ``codes.flatten(0, 1)``."""
        groups, codes, _ = self.codes.shape
        return ids + codes * torch.arange(groups, device=ids.device)[:, None]

    @torch.no_grad()
    def note(self, quantized: Quantized, real: Tensor) -> None:
        """Record for ``DeadCodeReset`` the selected codes and the vectors; does nothing in eval mode.

        Args:
            quantized: of vectors ``(b, t, g, e)``.
            real: ``(b, t)`` bool, which positions count.
        """
        if self.training:
            count = torch.bincount(self.rows(quantized.ids[real]).flatten(), minlength=self.hits.numel())
            before = 0 if self.noted is None else self.noted.hits
            self.noted = CodeUse(before + count.view_as(self.hits), quantized.normalized[real])

    @torch.no_grad()
    def fit(self, x: Tensor, *, rounds: int, seed: int = 0) -> None:
        """Initialize by k-means of vectors ``(n, g, e)`` with the codebook's own score, from k-means++ seeds.

        First gain and shift of the norm are fitted so that its output is nearest to its input: codes put into a trained
        network then have the scale of its activations. A code without vectors stays at its seed.

        Raises:
            ValueError: if there are fewer vectors than codes.
        """
        codes = self.codes.shape[1]
        if len(x) < codes:
            raise ValueError(f"{len(x)} vectors for {codes} codes; expected at least as many: take more batches")
        plain = F.layer_norm(x, x.shape[-1:])
        plain_mean = plain.mean(0)
        mean = x.mean(0)
        variance = plain.var(0, correction=0).clamp_min(torch.finfo(x.dtype).tiny)
        self.gain.copy_(((plain - plain_mean) * (x - mean)).mean(0) / variance)
        self.shift.copy_(mean - self.gain * plain_mean)
        normalized = self.normed(x)
        self.codes.copy_(means(normalized, spread_out(normalized, codes, seed=seed), rounds=rounds))


class CodeUse(NamedTuple):
    """Use of a codebook in training.

    Attributes:
        hits: ``(g, c)`` how often each code was selected since the last optimizer step.
        vectors: ``(n, g, e)`` the normalized vectors of the last batch.
    """

    hits: Tensor
    vectors: Tensor


def matched(quantized: Quantized, real: Tensor | None = None) -> Tensor:
    """Return the mean squared distance of codes from vectors, summed over e; only the codes get gradients.

    Args:
        quantized: of vectors ``(b, t, g, e)``.
        real: ``(b, t)`` bool, which positions count; None for all.
    """
    vectors = quantized.normalized
    codes = quantized.value - (vectors - vectors.detach())  # without the straight-through gradient
    return _mean((codes - vectors.detach()).square().sum(-1), real)


def committed(quantized: Quantized, real: Tensor | None = None) -> Tensor:
    """Return the same distance as ``matched``; only the vectors get gradients."""
    return _mean((quantized.normalized - quantized.value.detach()).square().sum(-1), real)


def _mean(distance: Tensor, real: Tensor | None) -> Tensor:
    if real is None:
        return distance.mean()
    return torch.where(real[..., None], distance, 0).sum() / (real.sum() * distance.shape[-1])
