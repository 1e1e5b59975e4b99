"""Views of an image: the same geometry, each with random brightness, contrast and saturation of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.data.images._augment.color import jitter
from zoo.data.sampler import mix

STRENGTH = 0.5  # a factor of brightness, contrast or saturation is 1 - STRENGTH to 1 + STRENGTH
SALT = 0x76696577  # keeps the random numbers of views apart from those of the geometry


@dataclass(frozen=True)
class ViewDraws:
    """What distinguishes v views of b samples.

    Attributes:
        factors: ``(b, v, 3)`` of brightness, contrast and saturation.
        order: ``(b, v, 3)`` the order in which they are applied.
    """

    factors: Tensor
    order: Tensor

    def to(self, device: torch.device | str) -> ViewDraws:
        """Return the same draws on ``device``."""
        return ViewDraws(self.factors.to(device), self.order.to(device))

    def pin_memory(self) -> ViewDraws:
        """Return the same draws in page-locked memory."""
        return ViewDraws(self.factors.pin_memory(), self.order.pin_memory())


def draw_views(keys: Sequence[tuple[int, ...]], count: int) -> ViewDraws:
    """Return the draws of ``count`` views of samples, each a function of its key (seed, epoch and index) alone.

    Example:
        >>> draw_views([(0, 0, 7), (0, 1, 7)], 2).factors.shape
        torch.Size([2, 2, 3])
    """
    generator = torch.Generator()
    u = torch.empty(len(keys), count, 6)
    for row, key in zip(u, keys, strict=True):
        generator.manual_seed(mix(SALT, *key))
        row.uniform_(generator=generator)
    return ViewDraws(1 + STRENGTH * (2 * u[..., :3] - 1), u[..., 3:].argsort(2))


def views_of(images: Tensor, draws: ViewDraws) -> Tensor:
    """Return views ``(b, v, 1 or 3, s, s)`` of images ``(b, 1 or 3, s, s)``, floats from 0 to 255."""
    pairs = zip(draws.factors.unbind(1), draws.order.unbind(1), strict=True)
    return torch.stack([jitter(images.clone(), factors, order) for factors, order in pairs], dim=1)
