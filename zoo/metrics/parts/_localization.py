"""Locations of units: from a map of evidence to a pixel, and from a pixel to the parts around it.

The published part protocols turn on ties: a map of equal or mirrored values has many highest pixels, and rounding
picks one. Here every product and sum is a separate float64 operation in one fixed order (columns before rows, taps
from left to right, weights rounded to float32), which gives the bits of ``cv2.resize(..., INTER_CUBIC)`` on a
float64 map. So a peak depends neither on batch size, thread count nor device. In float32 cv2 itself breaks such
ties by its build's SIMD code.
"""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 1 << 22  # bytes of upsampled map in memory at a time: small enough to stay near a processor's cache


def taps(cells: int, size: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Indices and weights that stretch ``cells`` values to ``size`` pixels: cubic (a = -0.75), replicated border.

    Returns:
        ``(4, size)`` int64 indices and ``(4, size)`` float64 weights that were computed and rounded in float32.
    """
    place = ((torch.arange(size, dtype=torch.float64) + 0.5) * (cells / size) - 0.5).float()
    left = place.floor()
    x, a = place - left, -0.75
    outer = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    mirror = ((a + 2) * (1 - x) - (a + 3)) * (1 - x) * (1 - x) + 1
    index = (left.long() + torch.arange(-1, 3)[:, None]).clamp(0, cells - 1)
    weight = torch.stack([outer, inner, mirror, 1 - outer - inner - mirror]).double()
    return index.to(device), weight.to(device)


def _matrix(index: Tensor, weight: Tensor, cells: int) -> Tensor:
    return weight.new_zeros(index.shape[1], cells).scatter_add_(1, index.T, weight.T)


def _peak(maps: Tensor, rows: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor]) -> Tensor:
    """First maximum of each ``(n, h, w)`` float64 map once upsampled, as ``(n, 2)`` (x, y).

    A matrix product finds, to within rounding, the highest value of each row of pixels; only the rows that can hold the
    maximum are then computed in the exact order of operations.
    """
    coarse = _matrix(*rows, maps.shape[-2]) @ maps @ _matrix(*columns, maps.shape[-1]).T
    tops = coarse.amax(-1)
    slack = 1e-9 * maps.abs().amax((-2, -1))
    owner, y = (tops >= (tops.amax(-1) - slack)[:, None]).nonzero(as_tuple=True)
    wide = sum(maps.index_select(-1, i) * w for i, w in zip(*columns, strict=True))
    row = sum(wide[owner, i[y]] * w[y, None] for i, w in zip(*rows, strict=True))
    value, x = row.max(-1)
    best, at = torch.full_like(tops, -torch.inf), torch.zeros_like(tops, dtype=torch.int64)
    best[owner, y], at[owner, y] = value, x
    first = best.argmax(-1, keepdim=True)
    return torch.cat([at.gather(1, first), first], 1)


def peak(where: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Pixel of the highest evidence: the first maximum, row by row, of the cubically upsampled map.

    Args:
        where: ``(b, k, h, w)`` evidence on the model's grid, of any floating type.
        size: side of the square input, or (height, width), in pixels.

    Returns:
        ``(b, k, 2)`` int64 (x, y) pixel.

    Raises:
        ValueError: if ``where`` is not a stack of images or holds a value that is not finite.
    """
    if where.ndim != 4:
        raise ValueError(f"where is {tuple(where.shape)}; a peak in pixels needs (b, k, h, w)")
    height, width = (size, size) if isinstance(size, int) else size
    maps = where.detach().flatten(0, 1)
    if not bool(maps.isfinite().all()):
        row = int((~maps.isfinite()).flatten(1).any(1).nonzero()[0])
        raise ValueError(f"where[{row // where.shape[1]}, {row % where.shape[1]}] has a value that is not finite")
    rows, columns = taps(maps.shape[-2], height, maps.device), taps(maps.shape[-1], width, maps.device)
    chunks = maps.double().split(max(1, CHUNK // (8 * height * width)))
    found = torch.cat([_peak(chunk, rows, columns) for chunk in chunks])
    return found.unflatten(0, where.shape[:2])


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
