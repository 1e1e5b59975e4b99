"""Gaussian noise on normalized images, as augmentation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.data.sampler import mix

SALT = 0x6E6F6973  # keeps the random numbers apart from those of the geometry


@dataclass(frozen=True)
class Noise:
    """Add clipped Gaussian noise to a share of the images.

    The random numbers of an image depend on its key (seed, epoch and index) alone. They are made by another generator
    than the noise of the stability score.

    Attributes:
        std: standard deviation, in units of the normalized image.
        clip: largest absolute noise.
        share: share of the images that get noise.

    Raises:
        ValueError: if a number is out of range.

    Example:
        >>> Noise(0.2, 0.25, 1.0)(torch.zeros(2, 3, 4, 4), [(0, 0, 7), (0, 1, 7)]).abs().amax() <= 0.25
        tensor(True)
    """

    std: float
    clip: float
    share: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.std) and self.std > 0 and self.clip > 0):
            raise ValueError(f"data.noise is {self.std}, data.noise_clip {self.clip}; expected numbers above 0")
        if not 0 < self.share <= 1:
            raise ValueError(f"data.noise_share is {self.share}; expected a share above 0 and at most 1")

    def __call__(self, x: Tensor, keys: Sequence[tuple[int, ...]]) -> Tensor:
        """Return normalized images ``(b, ...)`` with noise, given the key of each."""
        generator = torch.Generator()
        out = x.clone()
        for image, key in zip(out, keys, strict=True):
            generator.manual_seed(mix(SALT, *key))
            if float(torch.rand((), generator=generator)) < self.share:
                noise = torch.randn(image.shape, generator=generator).mul_(self.std).clamp_(-self.clip, self.clip)
                image += noise.to(image)
        return out
