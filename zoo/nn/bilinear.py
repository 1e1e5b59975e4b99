"""Bilinear layers, and everything that can be read off their weights.

Pearce, Dooms, Rigg, Oramas, Sharkey, Bilinear MLPs enable weight-based mechanistic interpretability, ICLR 2025. Each
output of a bilinear layer is a quadratic form of the input. Letters here: n outputs, m hidden products, d inputs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Bilinear(nn.Module):
    """``(L x + a) * (R x + b)``, both sides in one fused weight.

    Args:
        in_features: d.
        out_features: m.
        bias: have ``a`` and ``b``.

    Attributes:
        weight: ``(2m, d)``, L above R.
        bias: ``(2m,)``, a above b, or None.
    """

    def __init__(self, in_features: int, out_features: int, *, bias: bool = False) -> None:
        super().__init__()
        both = nn.Linear(in_features, 2 * out_features, bias=bias)
        self.weight, self.bias = both.weight, both.bias

    def forward(self, x: Tensor) -> Tensor:
        """``x``: ``(..., d)``; returns ``(..., m)``."""
        left, right = F.linear(x, self.weight, self.bias).chunk(2, dim=-1)
        return left * right


class Forms(NamedTuple):
    """n quadratic forms with shared products: output o is ``sum_m out[o, m] (left[m] . x) (right[m] . x)``.

    With biases, x ends in a constant 1, so that linear and constant terms are the last row and column of every form.

    Attributes:
        out: ``(n, m)``
        left: ``(m, d)``
        right: ``(m, d)``
    """

    out: Tensor
    left: Tensor
    right: Tensor


class Spectrum(NamedTuple):
    """Eigenvalues ``values`` ``(n, d)``, largest absolute first, and eigenvectors ``vectors`` ``(n, d, d)``, in rows.

    The entry of an eigenvector that is largest in absolute value is positive.
    """

    values: Tensor
    vectors: Tensor


def forms(layer: Bilinear, out: Tensor, *, shift: Tensor | None = None, embed: Tensor | None = None) -> Forms:
    """The quadratic forms ``out @ layer(embed @ x) + shift``, in float64.

    Args:
        layer: m products of d inputs.
        out: ``(n, m)`` directions of the layer's output.
        shift: ``(n,)`` constants. With it, or with a layer that has biases, the constant coordinate is appended to x.
        embed: ``(d, e)`` linear map before the layer; None for none.
    """
    legs, out = layer.weight.detach().double(), out.detach().double()
    if embed is not None:
        legs = legs @ embed.detach().double()
    if layer.bias is not None or shift is not None:
        bias = legs.new_zeros(len(legs)) if layer.bias is None else layer.bias.detach().double()
        legs = torch.cat([legs, bias[:, None]], dim=1)
    left, right = legs.chunk(2)
    if shift is not None:  # one more product, of the constant with itself
        one = F.one_hot(torch.tensor([legs.shape[1] - 1], device=legs.device), legs.shape[1]).to(legs)
        left, right = torch.cat([left, one]), torch.cat([right, one])
        out = torch.cat([out, shift.detach().double()[:, None]], dim=1)
    return Forms(out, left, right)


def interactions(of: Forms) -> Tensor:
    """The symmetric matrices ``Q`` ``(n, d, d)`` with ``output = x.T @ Q @ x``, in one batched product."""
    q = (of.out[:, :, None] * of.left).mT @ of.right
    return (q + q.mT) / 2


def spectrum(of: Forms) -> Spectrum:
    """Eigenvalues and orthonormal eigenvectors of all forms: ``output = sum_i values_i (vectors_i . x)^2``."""
    values, vectors = torch.linalg.eigh(interactions(of))
    order = values.abs().argsort(dim=1, descending=True, stable=True)
    vectors = vectors.mT.gather(1, order[:, :, None].expand_as(vectors))
    largest = vectors.gather(2, vectors.abs().argmax(2, keepdim=True))
    return Spectrum(values.gather(1, order), vectors * largest.sign())


def effective_rank(values: Tensor) -> Tensor:
    """``(sum |v|)^2 / sum v^2`` over the last dimension of ``values``: 1 for a single value, d for d equal ones."""
    return values.abs().sum(-1).square() / values.square().sum(-1).clamp_min(torch.finfo(values.dtype).tiny)


class Truncated(NamedTuple):
    """Outputs ``(b, n)`` from part of a spectrum, each off from the whole one's by at most ``bound`` ``(b, n)``."""

    outputs: Tensor
    bound: Tensor


def project(x: Tensor, vectors: Tensor) -> Tensor:
    """``vectors . x`` ``(..., u)`` of ``x`` ``(..., d)``; vectors ``(u, d + 1)`` end in the constant coordinate."""
    d = x.shape[-1]
    found = x @ vectors[:, :d].T
    return found + vectors[:, d] if vectors.shape[1] > d else found


def truncate(x: Tensor, of: Spectrum, keep: int) -> Truncated:
    """The forms at ``x`` ``(b, d)`` from their first ``keep`` eigenvectors.

    Bound: the largest absolute eigenvalue left out, times the squared norm of the part of x that is left out.
    """
    values, vectors = F.pad(of.values, (0, 1)).to(x), of.vectors[:, :keep].to(x)
    n, keep, d = vectors.shape
    kept = project(x, vectors.flatten(0, 1)).square().unflatten(1, (n, keep))
    left = x.square().sum(1, keepdim=True) + (d - x.shape[1]) - kept.sum(2)
    return Truncated((kept * values[:, :keep]).sum(2), values[:, keep].abs() * left.clamp_min(0))


def selective(of: Spectrum, embed: Tensor, top: int) -> Tensor:
    """Inputs that each excite the first positive eigenvector of one form, and no other of the first ``top`` of all.

    Columns of the pseudo-inverse of the stacked eigenvectors, mapped to the input with ``embed`` as published; where
    eigenvectors are not independent or rows of ``embed`` not orthogonal, this is approximate.

    Args:
        of: the forms of an embedded input.
        embed: ``(d, e)`` the embedding.
        top: positive eigenvectors of each form that are kept apart.

    Returns:
        ``(k, e)``, one for each form that has a positive eigenvalue.
    """
    values, order = of.values.sort(dim=1, descending=True)
    values, order = values[:, :top], order[:, :top]
    vectors = of.vectors.gather(1, order[:, :, None].expand(-1, -1, of.vectors.shape[2]))[:, :, : len(embed)]
    first = (torch.arange(values.shape[1], device=values.device) == 0).expand_as(values)[values > 0]
    return torch.linalg.pinv(vectors[values > 0]).T[first] @ embed.to(vectors)
