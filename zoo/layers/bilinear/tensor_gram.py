"""Norm, spectrum and cosine of the whole tensor of quadratic forms, from Gram matrices, without building it.

``of.out @ 1/2 ((L L.T) * (R R.T) + (L R.T) * (R L.T)) @ of.out.T`` is the Gram matrix of the symmetrized ``(n, d, d)``
tensor unfolded by output, so the largest matrix here is ``(m, m)``, whatever d is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.layers.bilinear.bilinear import Forms


def inner(one: Forms, other: Forms) -> Tensor:
    """Return Frobenius inner products ``(n, n')`` of the interaction matrices of two sets of forms of one input space.

    ``P 1/2 ((L L'^T) * (R R'^T) + (L R'^T) * (R L'^T)) P'^T``: four products of m x d and d x m', whatever d is.
    """
    same = (one.left @ other.left.T) * (one.right @ other.right.T)
    crossed = (one.left @ other.right.T) * (one.right @ other.left.T)
    return one.out @ (same + crossed) @ other.out.T / 2


def norm(of: Forms) -> Tensor:
    """Return the Frobenius norm of the whole tensor."""
    return inner(of, of).trace().clamp_min(0).sqrt()


def output_spectrum(of: Forms) -> tuple[Tensor, Tensor]:
    """Return singular values ``(n,)``, largest first, and left vectors ``(n, n)`` (rows) of the tensor by output.

    The vectors are the directions of the output that matter most. Values far below the first (1e-8 of it) are rounding
    errors.
    """
    values, vectors = torch.linalg.eigh(inner(of, of))
    return values.flip(0).clamp_min(0).sqrt(), vectors.mT.flip(0)


def cosine(one: Forms, other: Forms) -> Tensor:
    """Return the cosine of two tensors with paired outputs: 1 for the same function up to a positive factor.

    Example:
        >>> from zoo.layers.bilinear.bilinear import Bilinear, forms
        >>> of = forms(Bilinear(3, 5), torch.ones(2, 5))
        >>> round(float(cosine(of, of)), 6)
        1.0
    """
    return inner(one, other).trace() / (norm(one) * norm(other))
