"""Changes of the pixels of images by which map scores question a model."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.metrics.perturbations.noise import CHOICE, gaussian_noise, random_bits

PixelChange = Callable[[Tensor, Tensor, int], Tensor]  # x (b, c, h, w), ids (b,), draw -> changed x


def squares(side: float, baseline: float = 0.0) -> PixelChange:
    """One square of each image set to a constant, at a place drawn from (sample id, draw).

    Args:
        side: of the square, as a share of the image's.
        baseline: what the square is filled with.
    """

    def change(x: Tensor, ids: Tensor, draw: int) -> Tensor:
        places = random_bits(ids, draw=CHOICE + 4 + draw, count=2) & 0x7FFFFFFFFFFFFFFF
        inside = []
        for length, bits in zip(x.shape[-2:], places.unbind(1), strict=True):
            wide = max(1, round(side * length))
            offset = torch.arange(length, device=x.device) - (bits % (length - wide + 1))[:, None]
            inside.append((offset >= 0) & (offset < wide))
        return torch.where((inside[0][:, :, None] & inside[1][:, None])[:, None], baseline, x)

    return change


def noise(std: float) -> PixelChange:
    """Normal noise on every entry, drawn from (sample id, draw)."""
    return lambda x, ids, draw: gaussian_noise(x, ids, draw=CHOICE + 4 + draw, clip=None, std=std)


def blur(x: Tensor, *, side: int = 11, sigma: float = 5.0) -> Tensor:
    """Images ``(b, c, h, w)`` under a Gaussian window of ``side`` pixels, the border replicated."""
    work = x if x.dtype == torch.float64 else x.float()
    place = torch.arange(side, device=x.device, dtype=work.dtype) - side // 2
    window = torch.exp(-place.square() / (2 * sigma**2))
    window = window / window.sum()
    half = side // 2
    rows = work.flatten(0, 1)[:, None]
    rows = F.conv2d(F.pad(rows, (half, half, half, half), mode="replicate"), window[None, None, None])
    return F.conv2d(rows, window[None, None, :, None]).reshape(x.shape).to(x.dtype)


def nearby(x: Tensor, ids: Tensor, *, draw: int, radius: float) -> Tensor:
    """Inputs moved by uniform noise in [-radius, radius], a function of (sample id, draw) alone.

    Args:
        x: ``(b, ...)``; not changed.
        ids: ``(b,)`` int64.
        draw: number of the draw.
        radius: largest change of any entry.

    Returns:
        ``(b, ...)`` of the type of ``x``.
    """
    size = math.prod(x.shape[1:])
    bits = random_bits(ids, draw=draw, count=-(-size // 2)).view(torch.int32)[:, :size]
    return x + (bits.float() * (radius * 2.0**-31)).reshape(x.shape).to(x.dtype)
