"""Changes of images that leave everything in its place."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zoo.metrics.base import count
from zoo.metrics.perturbations.noise import Change

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def positive(name: str, value: float, limit: float = math.inf) -> None:
    """Refuse what is not a number above 0 and up to ``limit``."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= limit:
        raise ValueError(
            f"{name} is {value!r}; expected a number above 0" + (f", up to {limit}" if limit < 1e9 else "")
        )


@dataclass(frozen=True)
class Blur(Change):
    """Gaussian blur; the border is replicated.

    Attributes:
        sigma: its standard deviation, in pixels. Taps reach as far as 3 sigma.

    Example:
        >>> Blur(sigma=1.0).inputs(torch.ones(1, 1, 2, 2), torch.tensor([0]), 0).round(decimals=4)
        tensor([[[[1., 1.],
                  [1., 1.]]]])
    """

    sigma: float = 1.0

    def __post_init__(self) -> None:
        positive("sigma", self.sigma)

    def inputs(self, x: Tensor, ids: Tensor, draw: int) -> Tensor:
        """The blurred images; one tap at a time, so that rounding does not depend on other images."""
        reach = math.ceil(3 * self.sigma)
        weight = [math.exp(-(i**2) / (2 * self.sigma**2)) for i in range(-reach, reach + 1)]
        for axis in (-2, -1):
            at, size, old, x = torch.arange(x.shape[axis], device=x.device), x.shape[axis], x, torch.zeros_like(x)
            for i, w in zip(range(-reach, reach + 1), weight, strict=True):
                x = x + old.index_select(axis, (at + i).clamp(0, size - 1)) * (w / sum(weight))
        return x


@dataclass(frozen=True)
class Jpeg(Change):
    """Saved as JPEG and read again, by Pillow.

    Attributes:
        quality: 1 to 100.
        mean: per channel (or one for all), with which pixels in [0, 1] were normalized; those of ImageNet by default.
        std: likewise. They have to be the data's own.
    """

    quality: int = 50
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        positive("quality", count("quality", self.quality), 100)
        for name in ("mean", "std"):
            given = getattr(self, name)
            object.__setattr__(self, name, tuple(map(float, given if isinstance(given, tuple | list) else [given])))
        if len(self.mean) != len(self.std) or min(self.std) <= 0:
            raise ValueError(f"mean is {self.mean} and std {self.std}; expected as many, and std above 0")

    def unfit(self, x: Tensor) -> str:
        """Why it cannot change inputs ``(b, ...)``; empty if it can."""
        if (why := super().unfit(x)) or (x.shape[1] in (1, 3) and len(self.mean) in (1, x.shape[1])):
            return why
        return f"jpeg of {x.shape[1]} channels, with {len(self.mean)} of mean and std; expected 1 or 3 of both"

    def inputs(self, x: Tensor, ids: Tensor, draw: int) -> Tensor:
        """The images as they come back."""
        if why := self.unfit(x):
            raise ValueError(why)
        c = x.shape[1]
        mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (self.mean, self.std))
        pixels = ((x.cpu().double() * std + mean).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
        back = [_jpeg(p[..., 0] if c == 1 else p, self.quality) for p in pixels]
        decoded = torch.from_numpy(np.stack(back) if back else pixels).reshape(pixels.shape).permute(0, 3, 1, 2)
        return ((decoded.double() / 255 - mean) / std).to(x.device, x.dtype)


def _jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))
