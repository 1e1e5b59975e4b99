"""Augmentation policies by name, applied to whole batches; keypoints move with the image.

Random numbers depend on (seed, epoch, sample) alone, and no sample of a batch depends on another, so that batches,
workers and ranks may be divided in any way.

Points are continuous image coordinates: pixel (row i, column j) covers [j, j+1) x [i, i+1), so ``int`` of a point is
its pixel and a horizontal flip maps x to s - x. Points may leave the image and are never clamped. A flip does not swap
the names of left and right parts, as in published code: the "left eye" of a flipped bird is the eye annotated so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from zoo.data.images._augment.color import jitter
from zoo.data.images._augment.draws import COLORED, FILL, Draws, draw
from zoo.data.images._augment.warp import move, warp
from zoo.data.sampler import mix

Augment = Literal["none", "shift", "flip", "full"]
UNIFORMS = 32  # random numbers of a sample
CHUNK = 1 << 18  # numbers of the images that are warped together on a CPU, few enough for its cache


@dataclass(frozen=True)
class Augmentation:
    """A policy for square images of ``size`` pixels.

    Args:
        name: ``shift``: small rotation, translation and scale; ``flip``: horizontal flip, crop and color; ``full``:
            horizontal flip, rotation, shear, perspective and color.
        size: side of the images, in pixels.
    """

    name: Augment
    size: int

    def draws(self, keys: Sequence[tuple[int, ...]]) -> Draws:
        """Return what the policy does to each of b samples.

        Args:
            keys: seed, epoch and index of each sample.
        """
        return draw(self.name, uniforms(keys), self.size)

    def images(self, images: Tensor, draws: Draws, finish: Callable[[Tensor], Tensor]) -> Tensor:
        """Return augmented images.

        Args:
            images: ``(b, 1 or 3, s, s)`` uint8.
            draws: of the b samples, on the same device.
            finish: maps some augmented images, floats from 0 to 255, to what is returned.
        """
        b = len(images)
        count = b if images.is_cuda else max(1, CHUNK // images[0].numel())
        parts = []
        for first in range(0, b, count):
            chunk = slice(first, first + count)
            part = draws[chunk]
            warped = warp(images[chunk].float(), part, fill=FILL[self.name])
            parts.append(finish(jitter(warped, part.factors, part.order) if self.name in COLORED else warped))
        return torch.cat(parts)

    def points(self, points: Tensor, draws: Draws) -> Tensor:
        """Return the keypoints ``(b, p, 2)`` of augmented images."""
        return move(points, draws, self.size)


def policy(name: Augment, size: int) -> Augmentation | None:
    """Return the policy of a name for square images of ``size`` pixels; None for ``none``.

    Raises:
        ValueError: if the policy does not exist.
    """
    if name not in get_args(Augment):
        raise ValueError(f"augment is {name!r}; expected one of {', '.join(get_args(Augment))}")
    return None if name == "none" else Augmentation(name, size)


def uniforms(keys: Sequence[tuple[int, ...]]) -> Tensor:
    """Return ``(b, UNIFORMS)`` float64 random numbers from 0 to 1, each row a function of its key alone.

    Example:
        >>> rows = uniforms([(0, 0, 7), (0, 1, 7)])
        >>> bool((rows[0] == uniforms([(0, 0, 7)])[0]).all()), bool((rows[0] == rows[1]).any())
        (True, False)
    """
    generator = torch.Generator()
    out = torch.empty(len(keys), UNIFORMS, dtype=torch.float64)
    for row, key in zip(out, keys, strict=True):
        generator.manual_seed(mix(*key))
        row.uniform_(generator=generator)
    return out
