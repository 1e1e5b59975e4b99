"""Bilinear layers, and everything that can be read off their weights.

Pearce, Dooms, Rigg, Oramas, Sharkey, Bilinear MLPs enable weight-based mechanistic interpretability, ICLR 2025. Each
output of a bilinear layer is a quadratic form of the input. Letters here: n outputs, m hidden products, d inputs.
"""

from __future__ import annotations

from collections.abc import Callable
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
    """Eigenvalues and orthonormal eigenvectors of all forms: ``output = sum_i values_i (vectors_i . x)^2``.

    With fewer factors than inputs, all forms vanish outside the rows of left and right: they are decomposed inside that
    space, and share the eigenvectors of value 0 outside it.
    """
    legs = torch.cat([of.left, of.right])
    d, basis = legs.shape[1], None
    if len(legs) < d:
        _, size, basis = torch.linalg.svd(legs)
        rank = max(1, int((size > size[0] * d * torch.finfo(size.dtype).eps).sum()))
        basis, outside = basis[:rank], basis[rank:].expand(len(of.out), -1, -1)
        of = Forms(of.out, of.left @ basis.T, of.right @ basis.T)
    values, vectors = torch.linalg.eigh(interactions(of))
    vectors = vectors.mT
    if basis is not None:
        values, vectors = F.pad(values, (0, d - len(basis))), torch.cat([vectors @ basis, outside], dim=1)
    order = values.abs().argsort(dim=1, descending=True, stable=True)
    vectors = vectors[torch.arange(len(order), device=order.device)[:, None], order]
    low, high = vectors.aminmax(dim=2, keepdim=True)
    return Spectrum(values.gather(1, order), vectors.mul_(torch.where(high < -low, -1, 1)))


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


def masks(of: Spectrum, embed: Tensor, mean: Tensor, *, strength: float, top: int = 10) -> Tensor:
    """``selective`` inputs of standard deviation ``strength``, each signed to add to what the mean state excites.

    Args:
        of: the forms of an embedded input.
        embed: ``(d, e)`` the embedding.
        mean: ``(d,)`` the mean embedded input.
        strength: standard deviation over the entries of a mask.
        top: positive eigenvectors of each form that are kept apart.
    """
    found = selective(of, embed, top)
    found = found / found.std(1, correction=0, keepdim=True) * strength
    return found * torch.where(found @ embed.to(found).T @ mean.to(found) < 0, -1, 1)[:, None]


def shuffled(rows: Tensor, times: int) -> Tensor:
    """``rows`` ``(n, e)`` with their entries in ``times`` fixed random orders, ``(n * times, e)``."""
    g = torch.Generator().manual_seed(0)
    orders = torch.stack([torch.randperm(rows.shape[1], generator=g) for _ in range(times)])
    return rows[:, orders.to(rows.device)].flatten(0, 1)


def accuracy_beside(added: Tensor, decide: Callable[[Tensor], Tensor], state: Tensor, y: Tensor) -> float:
    """Accuracy of ``decide`` on states ``(b, d)`` of classes ``y`` with each of ``added`` ``(n, d)`` added, mean."""
    right = 0
    for some, truth in zip(state.split(128), y.split(128), strict=True):
        right += int((decide(some + added[:, None]).argmax(2) == truth).sum())
    return right / (len(added) * len(y))
