"""Quadratic forms from their eigenvectors: projections, truncation with a bound, effective rank."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.layers.bilinear.bilinear import Spectrum


def effective_rank(values: Tensor) -> Tensor:
    """Return ``(sum |v|)^2 / sum v^2`` over the last dimension of ``values``: 1 for one value, d for d equal ones.

    Example:
        >>> float(effective_rank(torch.tensor([2.0, -2.0, 0.0])))
        2.0
    """
    return values.abs().sum(-1).square() / values.square().sum(-1).clamp_min(torch.finfo(values.dtype).tiny)


class Truncated(NamedTuple):
    """Outputs ``(b, n)`` from part of a spectrum, whose errors are at most ``bound`` ``(b, n)``."""

    outputs: Tensor
    bound: Tensor


def project(x: Tensor, vectors: Tensor) -> Tensor:
    """Return ``vectors . x`` ``(..., u)`` of ``x`` ``(..., d)``; vectors can have a constant coordinate at the end."""
    d = x.shape[-1]
    projection = x @ vectors[:, :d].T
    return projection + vectors[:, d] if vectors.shape[1] > d else projection


def truncate(x: Tensor, of: Spectrum, keep: int) -> Truncated:
    """Compute the forms at ``x`` ``(b, d)`` from their first ``keep`` eigenvectors.

    The bound is the largest absolute eigenvalue left out times the squared norm of the part of x that is left out.
    """
    values = F.pad(of.values, (0, 1)).to(x)
    vectors = of.vectors[:, :keep].to(x)
    n, keep, d = vectors.shape
    kept = project(x, vectors.flatten(0, 1)).square().unflatten(1, (n, keep))
    left = x.square().sum(1, keepdim=True) + (d - x.shape[1]) - kept.sum(2)
    return Truncated((kept * values[:, :keep]).sum(2), values[:, keep].abs() * left.clamp_min(0))
