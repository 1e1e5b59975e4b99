"""Bilinear layers, and the quadratic forms and eigenvectors of their weights.

Pearce, Dooms, Rigg, Oramas, Sharkey, Bilinear MLPs enable weight-based mechanistic interpretability, ICLR 2025. Each
output of a bilinear layer is a quadratic form of the input. Letters: n outputs, m hidden products, d inputs.
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
        bias: add ``a`` and ``b``.

    Attributes:
        weight: ``(2m, d)``, L above R.
        bias: ``(2m,)``, a above b, or None.

    Example:
        >>> Bilinear(3, 5)(torch.ones(2, 3)).shape
        torch.Size([2, 5])
    """

    def __init__(self, in_features: int, out_features: int, *, bias: bool = False) -> None:
        super().__init__()
        both = nn.Linear(in_features, 2 * out_features, bias=bias)
        self.weight = both.weight
        self.bias = both.bias

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` ``(..., d)`` to ``(..., m)``."""
        left, right = F.linear(x, self.weight, self.bias).chunk(2, dim=-1)
        return left * right


class Forms(NamedTuple):
    """n quadratic forms with common products: output o is ``sum_m out[o, m] (left[m] . x) (right[m] . x)``.

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
    """Return the quadratic forms ``out @ layer(embed @ x) + shift``, in float64.

    Args:
        layer: m products of d inputs.
        out: ``(n, m)`` directions of the layer's output.
        shift: ``(n,)`` constants. With it, or with a layer that has biases, the constant coordinate is appended to x.
        embed: ``(d, e)`` linear map before the layer; None for none.

    Example:
        >>> of = forms(Bilinear(3, 5), torch.ones(2, 5))
        >>> interactions(of).shape, spectrum(of).values.shape
        (torch.Size([2, 3, 3]), torch.Size([2, 3]))
    """
    factors = layer.weight.detach().double()
    out = out.detach().double()
    if embed is not None:
        factors = factors @ embed.detach().double()
    if layer.bias is not None or shift is not None:
        bias = factors.new_zeros(len(factors)) if layer.bias is None else layer.bias.detach().double()
        factors = torch.cat([factors, bias[:, None]], dim=1)
    left, right = factors.chunk(2)
    if shift is not None:  # one more product, of the constant with itself
        last = torch.tensor([factors.shape[1] - 1], device=factors.device)
        one = F.one_hot(last, factors.shape[1]).to(factors)
        left, right = torch.cat([left, one]), torch.cat([right, one])
        out = torch.cat([out, shift.detach().double()[:, None]], dim=1)
    return Forms(out, left, right)


def interactions(of: Forms) -> Tensor:
    """Return the symmetric matrices ``Q`` ``(n, d, d)`` with ``output = x.T @ Q @ x``, in one batched product."""
    q = (of.out[:, :, None] * of.left).mT @ of.right
    return (q + q.mT) / 2


def spectrum(of: Forms) -> Spectrum:
    """Return eigenvalues and orthonormal eigenvectors of all forms: ``output = sum_i values_i (vectors_i . x)^2``.

    With fewer factors than inputs, all forms are 0 outside the span of the rows of left and right: they are decomposed
    inside that space, and have the same eigenvectors of value 0 outside it.
    """
    factors = torch.cat([of.left, of.right])
    d = factors.shape[1]
    if len(factors) < d:
        _, size, basis = torch.linalg.svd(factors)
        rank = max(1, int((size > size[0] * d * torch.finfo(size.dtype).eps).sum()))
        inside = basis[:rank]
        outside = basis[rank:].expand(len(of.out), -1, -1)
        values, vectors = torch.linalg.eigh(interactions(Forms(of.out, of.left @ inside.T, of.right @ inside.T)))
        values = F.pad(values, (0, d - rank))
        vectors = torch.cat([vectors.mT @ inside, outside], dim=1)
    else:
        values, vectors = torch.linalg.eigh(interactions(of))
        vectors = vectors.mT
    order = values.abs().argsort(dim=1, descending=True, stable=True)
    vectors = vectors[torch.arange(len(order), device=order.device)[:, None], order]
    low, high = vectors.aminmax(dim=2, keepdim=True)
    return Spectrum(values.gather(1, order), vectors.mul_(torch.where(high < -low, -1, 1)))
