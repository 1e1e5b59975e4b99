"""A Gaussian blur of images as a layer, separable, with replicated borders."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class GaussianBlur(nn.Module):
    """Blur images ``(b, c, h, w)`` by a Gaussian, cut off at three standard deviations; the size stays.

    Args:
        sigma: standard deviation in pixels.

    Raises:
        ValueError: if ``sigma`` is not a finite number above 0.

    Example:
        >>> GaussianBlur(1.0)(torch.ones(1, 3, 8, 8)).mean().round(decimals=4)
        tensor(1.)
    """

    kernel: Tensor

    def __init__(self, sigma: float) -> None:
        super().__init__()
        if not (math.isfinite(sigma) and sigma > 0):
            raise ValueError(f"the standard deviation of a blur is {sigma}; expected a number of pixels above 0")
        radius = math.ceil(3 * sigma)
        taps = torch.arange(-radius, radius + 1, dtype=torch.float64)
        weights = torch.exp(-0.5 * (taps / sigma).square())
        self.register_buffer("kernel", (weights / weights.sum()).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return blurred images."""
        with torch.autocast(x.device.type, enabled=False):
            return self._weights(x.shape[-2], x) @ x @ self._weights(x.shape[-1], x).mT

    def _weights(self, size: int, x: Tensor) -> Tensor:
        """Weight ``(size, size)`` of each old pixel in each new one, along one axis: faster than a convolution."""
        radius = len(self.kernel) // 2
        pixel = torch.arange(size, device=x.device)[:, None]
        source = (pixel + torch.arange(-radius, radius + 1, device=x.device)).clamp(0, size - 1)
        weights = self.kernel.to(x.dtype).expand(size, -1)
        return torch.zeros(size, size, dtype=x.dtype, device=x.device).scatter_add(1, source, weights)
