"""Adversarial masks made of eigenvectors of quadratic forms, and their control.

Pearce, Dooms, Rigg, Oramas, Sharkey, Bilinear MLPs enable weight-based mechanistic interpretability, ICLR 2025.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.layers.bilinear.bilinear import Bilinear, Spectrum


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


def accuracy_beside(added: Tensor, layer: Bilinear, head: nn.Linear, state: Tensor, y: Tensor) -> float:
    """Return the mean accuracy of ``head(layer(z + a))`` over all pairs of a state z and a mask a.

    The product ``(L(z + a)) * (R(z + a))`` is expanded: what depends on both z and a is linear in ``(L z, R z)``, so that
    one matrix product takes the place of a pass for each mask.

    Args:
        added: ``(n, d)`` embedded masks.
        layer: from d numbers to m products.
        head: from m products to c logits.
        state: ``(b, d)``
        y: ``(b,)`` classes.
    """
    left, right = F.linear(added, layer.weight).chunk(2, dim=-1)
    of_masks = F.linear(left * right, head.weight)
    across = torch.cat([right, left], dim=1)[:, None] * head.weight.repeat(1, 2)  # (n, c, 2m)
    correct = 0
    for states, classes in zip(state.split(1024), y.split(1024), strict=True):
        both = F.linear(states, layer.weight, layer.bias)
        left, right = both.chunk(2, dim=-1)
        mixed = F.linear(both, across.flatten(0, 1)).unflatten(1, of_masks.shape)
        logits = head(left * right)[:, None] + mixed + of_masks
        correct += int((logits.argmax(2) == classes[:, None]).sum())
    return correct / (len(added) * len(y))
