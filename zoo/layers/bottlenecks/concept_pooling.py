"""Concept logits from a feature map: where in the image a concept is read, and how the places are combined."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Pooling = Literal["mean", "max", "attention"]


def concept_maps(features: Tensor, layer: nn.Linear) -> Tensor:
    """Return concept logits at each place ``(b, u, h, w)`` of a feature map ``(b, d, h, w)``.

    Example:
        >>> concept_maps(torch.ones(1, 2, 3, 3), nn.Linear(2, 4)).shape
        torch.Size([1, 4, 3, 3])
    """
    return torch.einsum("bdhw,ud->buhw", features, layer.weight) + layer.bias[:, None, None]


def pooled(maps: Tensor, pooling: Pooling) -> Tensor:
    """Return the logits ``(b, u)`` of maps ``(b, u, h, w)``.

    ``mean`` over all places, in which small parts are lost; ``max``, the strongest place; ``attention``, the mean
    weighted by the softmax of the map itself.

    Example:
        >>> maps = torch.tensor([[[[0.0, 0.0], [0.0, 4.0]]]])
        >>> [round(float(pooled(maps, how)), 2) for how in ("mean", "max", "attention")]
        [1.0, 4.0, 3.79]
    """
    flat = maps.flatten(2)
    if pooling == "mean":
        return flat.mean(2)
    if pooling == "max":
        return flat.amax(2)
    return (flat.softmax(2) * flat).sum(2)
