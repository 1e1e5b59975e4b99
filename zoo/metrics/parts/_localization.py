"""Locations of units: from a pixel to the parts around it."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.metrics.parts._peaks import peak

__all__ = ["around", "cells", "hits", "mask_hits", "peak", "regions"]


def hits(
    peaks: Tensor, points: Tensor, visible: Tensor, *, size: int | tuple[int, int], half: float | None = None
) -> Tensor:
    """Which parts lie in the region around each peak.

    As in the public code of Huang et al., https://github.com/hqhQAQ/EvalProtoPNet: a keypoint is truncated toward
    zero to whole pixels, so that one just left of the image (-0.6) counts as 0; along both axes the region is
    [max(0, peak - half), min(side, peak + half)] with both ends inside, so a keypoint at ``side`` itself (one past
    the last pixel) can be hit; any other keypoint outside the image can not, but stays visible.

    Args:
        peaks: ``(b, k, 2)`` (x, y) pixel of each unit.
        points: ``(b, p, 2)`` float64 (x, y) keypoints in pixels of the input.
        visible: ``(b, p)`` bool, whether the part was annotated.
        size: side of the square input, or (height, width), in pixels.
        half: half the region's side in pixels; by default 36 / 224 of each side.

    Returns:
        ``(b, k, p)`` bool, never true for an invisible part.
    """
    height, width = (size, size) if isinstance(size, int) else size
    side = torch.tensor([width, height], dtype=torch.float64, device=peaks.device)
    reach = side * 36 / 224 if half is None else torch.full_like(side, half)
    where, at = peaks.double()[:, :, None], points.to(peaks.device).double().trunc()[:, None]
    inside = (at >= (where - reach).clamp_min(0)) & (at <= torch.minimum(where + reach, side))
    return inside.all(-1) & visible.to(peaks.device)[:, None]


def mask_hits(
    peaks: Tensor, masks: Tensor, visible: Tensor | None = None, *, half: float | tuple[float, float] = 0
) -> Tensor:
    """Which parts, given as masks, the place of each unit meets. A part whose mask is empty is never met.

    Args:
        peaks: ``(b, k, 2)`` (x, y) pixel of each unit.
        masks: ``(b, p, H, W)`` bool, pixels of each part, at the input's size.
        visible: ``(b, p)`` bool, whether the part was annotated; None if wherever its mask holds a pixel.
        half: half the side of the region around a peak, in pixels, or that of (x, y), both ends inside; 0 is the
            peak alone.

    Returns:
        ``(b, k, p)`` bool.
    """
    b, p, height, width = masks.shape
    table = torch.zeros(b, p, height + 1, width + 1, dtype=torch.int32, device=masks.device)
    table[..., 1:, 1:] = masks.bool().cumsum(-1, dtype=torch.int32).cumsum(-2, dtype=torch.int32)
    reach = torch.tensor(half if isinstance(half, tuple) else (half, half), device=masks.device).double()
    side = torch.tensor([width, height], device=masks.device)
    place = peaks.to(masks.device).double()
    low = (place - reach).ceil().long().clamp_min(0).minimum(side)
    high = ((place + reach).floor().long() + 1).clamp_min(0).minimum(side)
    row = torch.arange(b, device=masks.device)[:, None]
    (left, top), (right, bottom) = low.unbind(-1), high.unbind(-1)
    inside = table[row, :, bottom, right] - table[row, :, top, right] - table[row, :, bottom, left]
    met = (inside + table[row, :, top, left]) > 0
    return met if visible is None else met & visible.to(met.device)[:, None]


def cells(draw: Tensor, grid: tuple[int, int], size: int | tuple[int, int]) -> Tensor:
    """Pixels at the centers of grid cells.

    Args:
        draw: ``(b, k)`` int64, non-negative; its remainder picks a cell, row by row.
        grid: (h, w) of the model's map.
        size: side of the square input, or (height, width), in pixels.

    Returns:
        ``(b, k, 2)`` int64 (x, y) pixel.
    """
    height, width = (size, size) if isinstance(size, int) else size
    cell = draw % (grid[0] * grid[1])
    x, y = cell % grid[1], cell // grid[1]
    return torch.stack([(2 * x + 1) * width // (2 * grid[1]), (2 * y + 1) * height // (2 * grid[0])], -1)


def regions(batch: Batch) -> Tensor:
    """Return the pixels of each part ``(b, p, height, width)`` bool: its mask, or else the region around its keypoint.

    Raises:
        ValueError: if the parts have neither masks nor keypoints.
    """
    if batch.masks is not None:
        return batch.masks
    if batch.points is None or batch.visible is None:
        raise ValueError("the batch has neither masks nor keypoints of parts; expected one of them")
    return around(batch.points, batch.visible, (batch.x.shape[-2], batch.x.shape[-1]))


def around(points: Tensor, visible: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixels whose region in the part protocol contains a keypoint: squares of half side 36/224.

    A keypoint outside the image has none, as in ``hits``.

    Args:
        points: ``(b, p, 2)`` (x, y) in pixels.
        visible: ``(b, p)`` bool.
        size: (height, width) of the image.

    Returns:
        ``(b, p, height, width)`` bool.
    """
    at = points.trunc()[..., None]
    inside = []
    for axis, length in ((1, size[0]), (0, size[1])):
        line, place = torch.arange(length, device=points.device), at[:, :, axis]
        inside.append(((line - place).abs() <= length * 36 / 224) & (place >= 0) & (place <= length))
    return inside[0][..., :, None] & inside[1][..., None, :] & visible[..., None, None]
