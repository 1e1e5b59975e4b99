"""Adversarial masks made of eigenvectors of quadratic forms, and their control.

Pearce, Dooms, Rigg, Oramas, Sharkey, Bilinear MLPs enable weight-based mechanistic interpretability, ICLR 2025.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from zoo.layers.bilinear.bilinear import Spectrum


def selective(of: Spectrum, embed: Tensor, top: int) -> Tensor:
    """Return inputs that each activate the first positive eigenvector of one form and no other of the first ``top``.

    They are columns of the pseudo-inverse of the stacked eigenvectors, mapped to the input with ``embed`` as published;
    with dependent eigenvectors or rows of ``embed`` that are not orthogonal, this is approximate.

    Args:
        of: the forms of an embedded input.
        embed: ``(d, e)`` the embedding.
        top: positive eigenvectors of each form that are separated.

    Returns:
        ``(k, e)``, one for each form that has a positive eigenvalue.
    """
    values, order = of.values.sort(dim=1, descending=True)
    values, order = values[:, :top], order[:, :top]
    vectors = of.vectors.gather(1, order[:, :, None].expand(-1, -1, of.vectors.shape[2]))[:, :, : len(embed)]
    first = (torch.arange(values.shape[1], device=values.device) == 0).expand_as(values)[values > 0]
    return torch.linalg.pinv(vectors[values > 0]).T[first] @ embed.to(vectors)


def masks(of: Spectrum, embed: Tensor, mean: Tensor, *, strength: float, top: int = 10) -> Tensor:
    """Return ``selective`` inputs of standard deviation ``strength`` with the sign of the mean state's projection.

    Args:
        of: the forms of an embedded input.
        embed: ``(d, e)`` the embedding.
        mean: ``(d,)`` the mean embedded input.
        strength: standard deviation over the entries of a mask.
        top: positive eigenvectors of each form that are separated.
    """
    inputs = selective(of, embed, top)
    inputs = inputs / inputs.std(1, correction=0, keepdim=True) * strength
    return inputs * torch.where(inputs @ embed.to(inputs).T @ mean.to(inputs) < 0, -1, 1)[:, None]


def shuffled(rows: Tensor, times: int) -> Tensor:
    """Return ``rows`` ``(n, e)`` with their entries in ``times`` fixed random orders, ``(n * times, e)``.

    Example:
        >>> shuffled(torch.arange(6.0).view(2, 3), 2).shape
        torch.Size([4, 3])
    """
    g = torch.Generator().manual_seed(0)
    orders = torch.stack([torch.randperm(rows.shape[1], generator=g) for _ in range(times)])
    return rows[:, orders.to(rows.device)].flatten(0, 1)


def accuracy_beside(added: Tensor, decide: Callable[[Tensor], Tensor], state: Tensor, y: Tensor) -> float:
    """Return the mean accuracy of ``decide`` on states ``(b, d)`` of classes ``y`` + each of ``added`` ``(n, d)``."""
    correct = 0
    for states, classes in zip(state.split(128), y.split(128), strict=True):
        correct += int((decide(states + added[:, None]).argmax(2) == classes).sum())
    return correct / (len(added) * len(y))
