"""Brightness, contrast and saturation of a batch, each image with its own factors and order."""

from __future__ import annotations

import torch
from torch import Tensor

GRAY = (0.2989, 0.587, 0.114)
BRIGHTNESS, CONTRAST, SATURATION = range(3)


def jitter(images: Tensor, factors: Tensor, order: Tensor) -> Tensor:
    """Change the colors of images in place and return them.

    Every change mixes an image with another: black (brightness), its mean gray (contrast) or its gray version
    (saturation), and clamps the result.

    Args:
        images: ``(b, 1 or 3, s, s)`` float, 0 to 255.
        factors: ``(b, 3)`` weights of the image, for brightness, contrast and saturation.
        order: ``(b, 3)`` in which they are changed.
    """
    weight = factors.gather(1, order)[:, :, None, None, None]
    for step in range(order.shape[1]):
        change = order[:, step]
        kinds = set(change.tolist()) if len(order) == 1 else {BRIGHTNESS, CONTRAST, SATURATION}
        mixed = None
        if kinds != {BRIGHTNESS}:
            gray = _gray(images)
            if CONTRAST in kinds:
                mean = gray.mean((1, 2, 3), keepdim=True)
                gray = torch.where((change == CONTRAST)[:, None, None, None], mean, gray) if len(kinds) > 1 else mean
            share = torch.where((change == BRIGHTNESS)[:, None, None, None], 0.0, 1 - weight[:, step])
            mixed = gray * share
        images.mul_(weight[:, step])
        if mixed is not None:
            images.add_(mixed)
        images.clamp_(0, 255)
    return images


def _gray(images: Tensor) -> Tensor:
    """Return the gray version ``(b, 1, s, s)``."""
    if images.shape[1] == 1:
        return images
    gray = images[:, :1] * GRAY[0]
    for channel in (1, 2):
        gray += images[:, channel : channel + 1] * GRAY[channel]
    return gray
