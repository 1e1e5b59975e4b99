"""Images sampled along the map of each sample, and keypoints moved with them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.data.images._augment.draws import Draws

OUTSIDE = 3.0  # a normalized coordinate that is not in the image


def warp(images: Tensor, draws: Draws, *, fill: float) -> Tensor:
    """Return images ``(b, c, s, s)`` sampled bilinearly once along both maps; the argument is overwritten.

    Args:
        images: ``(b, c, s, s)`` float.
        draws: of the b samples.
        fill: value outside the image, and outside the plane between the maps.
    """
    size = images.shape[-1]
    at = torch.linspace(-1 + 1 / size, 1 - 1 / size, size, device=images.device)
    grid = torch.empty(len(images), size, size, 2, device=images.device)
    x, y = at.expand(len(images), 1, size), at.expand(len(images), size)[:, :, None]
    outside = None
    if bool(draws.bent.any()):
        m = draws.perspective.float()[..., None, None].unbind(1)
        depth = m[2][:, 0] * x + m[2][:, 1] * y + m[2][:, 2]
        x, y = ((m[i][:, 0] * x + m[i][:, 1] * y + m[i][:, 2]) / depth for i in range(2))
        outside = torch.maximum(x.abs(), y.abs()) > 1
    m = draws.affine.float()[..., None, None].unbind(1)
    for i in range(2):
        torch.add(m[i][:, 0] * x + m[i][:, 1] * y, m[i][:, 2], out=grid[..., i])
    if draws.window is not None:
        low, high = draws.window.float()[:, None, None].chunk(2, dim=-1)
        grid = grid.clamp(low, high)
    if outside is not None:
        grid[..., 0].masked_fill_(outside, OUTSIDE)
    if not fill:
        return F.grid_sample(images, grid, align_corners=False)
    return F.grid_sample(images.sub_(fill), grid, align_corners=False).add_(fill)


def move(points: Tensor, draws: Draws, size: int) -> Tensor:
    """Return points ``(b, p, 2)`` float64 in pixels, moved from the images to the augmented images.

    Args:
        points: ``(b, p, 2)``
        draws: of the b samples.
        size: side of the images, in pixels.
    """
    last = torch.tensor([0.0, 0.0, 1.0], dtype=points.dtype, device=points.device).expand(len(points), 1, 3)
    forward = torch.linalg.inv(torch.cat([draws.affine, last], 1) @ draws.perspective)
    normalized = F.pad(points * 2 / size - 1, (0, 1), value=1.0)
    moved = (normalized[:, :, None] * forward[:, None]).sum(3)
    return (moved[..., :2] / moved[..., 2:] + 1) * size / 2
