"""Concept logits from a feature map: where in the image a concept is read, and how the places are combined."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from zoo.explanation import gather

Pooling = Literal["mean", "max", "attention", "spatial"]


def concept_maps(features: Tensor, layer: nn.Linear) -> Tensor:
    """Return concept logits at each place ``(b, u, h, w)`` of a feature map ``(b, d, h, w)``.

    Example:
        >>> concept_maps(torch.ones(1, 2, 3, 3), nn.Linear(2, 4)).shape
        torch.Size([1, 4, 3, 3])
    """
    return torch.einsum("bdhw,ud->buhw", features, layer.weight) + layer.bias[:, None, None]


class ConceptPooling(nn.Module):
    """Combines the places of concept maps into one logit for each concept, a weighted mean over the places.

    The weights are equal (``mean``, in which small parts are lost), 1 at the strongest place (``max``), the softmax of
    the map itself (``attention``), or learned for each concept, the same for all inputs (``spatial``: the location that
    an aligned object has its part at; the softmax of a table that starts at 0, which is the mean).

    Args:
        pooling: which weights.
        concepts: u.
        grid: height and width of the map; only ``spatial`` needs it.

    Raises:
        ValueError: if ``spatial`` has no grid of more than one place.

    Example:
        >>> maps = torch.tensor([[[[0.0, 0.0], [0.0, 4.0]]]])
        >>> hows = ("mean", "max", "attention", "spatial")
        >>> [round(float(ConceptPooling(how, 1, (2, 2))(maps)), 2) for how in hows]
        [1.0, 4.0, 3.79, 1.0]
    """

    def __init__(self, pooling: Pooling, concepts: int, grid: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.pooling: Pooling = pooling
        if pooling == "spatial":
            if grid is None or grid[0] * grid[1] < 2:
                raise ValueError(f"pooling is 'spatial' and the grid of the backbone {grid}; expected several places")
            self.location = nn.Parameter(torch.zeros(concepts, *grid))

    def weights(self, maps: Tensor) -> Tensor:
        """Return the weights ``(b, u, h, w)`` of the places of maps ``(b, u, h, w)``; they sum to 1.

        Raises:
            ValueError: if ``spatial`` was made for another grid.
        """
        flat = maps.flatten(2)
        if self.pooling == "mean":
            flat = torch.full_like(flat, 1 / flat.shape[2])
        elif self.pooling == "max":
            flat = torch.zeros_like(flat).scatter(2, flat.argmax(2, keepdim=True), 1.0)
        elif self.pooling == "attention":
            flat = flat.softmax(2)
        else:
            if self.location.shape[1:] != maps.shape[2:]:
                own, given = tuple(self.location.shape[1:]), tuple(maps.shape[2:])
                raise ValueError(f"pooling 'spatial' has weights for a grid of {own} and the map has {given}")
            flat = self.location.flatten(1).softmax(1).to(flat).expand(flat.shape)
        return flat.unflatten(2, maps.shape[2:])

    def forward(self, maps: Tensor) -> Tensor:
        """Return the logits ``(b, u)`` of maps ``(b, u, h, w)``."""
        if self.pooling == "mean":
            return maps.flatten(2).mean(2)
        if self.pooling == "max":
            return maps.flatten(2).amax(2)
        return (self.weights(maps) * maps).sum((2, 3))

    def where(self, maps: Tensor, shown: Tensor) -> Tensor:
        """Return what each place adds ``(b, k, h, w)`` to the logits of the concepts shown ``(b, k)``.

        The map itself for ``max`` and ``attention``, whose weights follow it; for ``spatial`` the map times its
        weights, since a strong value counts nothing where the weight is 0.
        """
        return gather(self.weights(maps) * maps if self.pooling == "spatial" else maps, shown)


@torch.no_grad()
def grid_of(backbone: nn.Module, input_shape: list[int] | None) -> tuple[int, int] | None:
    """Return height and width of the feature map of a backbone, tried out on a zero input; None without a shape."""
    if input_shape is None:
        return None
    training = backbone.training
    height, width = backbone.eval()(torch.zeros(1, *input_shape)).shape[2:]
    backbone.train(training)
    return height, width
