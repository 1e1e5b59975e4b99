"""The preprocessing of pictures as a part of a graph: decoded pixels of any size become inputs of a model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from zoo.inputs.image import ImageInputs

BITS = 22  # of the weights, which are integers


class Pixels(nn.Module):
    """Resizes and normalizes decoded pictures exactly as ``ImageInputs`` does.

    The resampling is that of Pillow, in integers: columns first, then rows, by a triangle filter that is as wide as the
    step between output pixels, with weights of 22 bits, rounded after each of the two.

    Args:
        inputs: size, channels and normalization.

    Example:
        >>> pixels = Pixels(ImageInputs(size=8))
        >>> pixels(torch.zeros(2, 20, 30, 3, dtype=torch.uint8)).shape
        torch.Size([2, 3, 8, 8])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, inputs: ImageInputs) -> None:
        super().__init__()
        self.size = inputs.size
        self.crop = inputs.resize == "crop"
        self.gray = inputs.channels == 1
        self.register_buffer("mean", torch.tensor(inputs.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(inputs.std)[:, None, None])

    def forward(self, pixels: Tensor) -> Tensor:
        """Return inputs ``(b, channels, s, s)`` of pixels ``(b, height, width, 3)`` uint8, red green blue."""
        x = pixels.permute(0, 3, 1, 2).to(torch.int32)
        height, width = x.shape[2:]
        side = torch.sym_min(height, width)
        rows, columns = (side, side) if self.crop else (height, width)
        x = resampled(x, self.size, columns)
        x = resampled(x.mT, self.size, rows).mT.float()
        x = (x.mean(1, keepdim=True) if self.gray else x) / 255
        return (x - self.mean) / self.std


def resampled(x: Tensor, size: int, n: Any) -> Tensor:
    """Return the n values in the middle of ``(..., m)`` int32, from 0 to 255, resampled to ``(..., size)``.

    In a graph n is symbolic.

    Example:
        >>> resampled(torch.tensor([[0, 100, 200, 250]], dtype=torch.int32), 2, 4).tolist()
        [[71, 207]]
    """
    start = (x.shape[-1] - n) // 2
    taps = 2 * ((n + size - 1) // size) + 1
    scale = torch.ones((), dtype=torch.float64, device=x.device) * n / size
    support = scale.clamp_min(1)
    center = (torch.arange(size, device=x.device) + 0.5).double()[:, None] * scale
    first = (center - support + 0.5).long().clamp_min(0)
    end = (center + support + 0.5).long().clamp_max(n)
    place = first + torch.arange(taps, device=x.device)
    weight = (1 - ((place - center + 0.5) / support).abs()).clamp_min(0) * (place < end)
    weight = (weight / weight.sum(1, keepdim=True) * (1 << BITS) + 0.5).to(torch.int32)
    total = (x[..., start + place.clamp_max(n - 1)] * weight).sum(-1, dtype=torch.int32)
    return (total + (1 << (BITS - 1))) // (1 << BITS)
