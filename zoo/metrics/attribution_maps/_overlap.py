"""Overlap of thresholded maps with annotated masks, and masks at one bit for each pixel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.metrics.base import expect, fraction

PIXELS = 1 << 22  # upsampled at a time: float32 products of 0 and 1 count exactly below 2 ** 24


def thresholds(maps: Tensor, quantile: float = 0.005) -> Tensor:
    """The level T of each unit with P(a > T) = quantile over all places of all samples (Bau et al., CVPR 2017).

    Args:
        maps: ``(n, k, h, w)`` evidence on the model's grid, of all samples.
        quantile: share of the places above T.

    Returns:
        ``(k,)``: the lowest of the observed values that no larger share of the places exceeds.
    """
    values = maps.transpose(0, 1).flatten(1)
    above = int(fraction("quantile", quantile) * values.shape[1] + 1e-9)
    return values.topk(min(above + 1, values.shape[1]), dim=1).values[:, -1]


def overlap(maps: Tensor, masks: Tensor, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels above each unit's level, pixels of each thing, and pixels of both.

    Args:
        maps: ``(n, k, h, w)`` evidence; stretched to the masks bilinearly, as published.
        masks: ``(n, p, height, width)`` bool.
        level: ``(k,)`` from ``thresholds``.

    Returns:
        ``(k,)``, ``(p,)`` and ``(k, p)`` int64 counts, to be added up over batches.

    Raises:
        ValueError: if a shape does not fit.
    """
    expect("maps", maps, None, len(level), None, None)
    expect("masks", masks, len(maps), None, None, None)
    k, p = maps.shape[1], masks.shape[1]
    units, things, both = (torch.zeros(s, dtype=torch.int64, device=maps.device) for s in ((k,), (p,), (k, p)))
    rows = max(1, PIXELS // (masks.shape[-2:].numel() * max(1, k + p)))
    for chunk, truth in zip(maps.split(rows), masks.split(rows), strict=True):
        wide = F.interpolate(chunk.float(), size=masks.shape[-2:], mode="bilinear", align_corners=False)
        on = (wide > level.float()[:, None, None]).transpose(0, 1).flatten(1).float()
        true = truth.to(maps.device).bool().transpose(0, 1).flatten(1).float()
        units, things, both = units + on.sum(1).long(), things + true.sum(1).long(), both + (on @ true.T).long()
    return units, things, both


def iou(units: Tensor, things: Tensor, both: Tensor) -> Tensor:
    """Intersection over union ``(k, p)`` float64 from the counts of ``overlap``; 0 where both are empty."""
    return both.double() / (units[:, None] + things - both).clamp_min(1)


def pack(masks: Tensor) -> Tensor:
    """``(b, p, height, width)`` bool as bytes ``(b, p / 8, height, width)``, rounded up."""
    whole = F.pad(masks.byte(), (0, 0, 0, 0, 0, -masks.shape[1] % 8)).unflatten(1, (-1, 8))
    return (whole << _places(masks.device)).sum(2, dtype=torch.uint8)


def unpack(packed: Tensor, p: int) -> Tensor:
    """The ``p`` masks of ``pack``, bool."""
    return ((packed[:, :, None] >> _places(packed.device)) & 1).flatten(1, 2)[:, :p].bool()


def _places(device: torch.device) -> Tensor:
    return torch.arange(8, dtype=torch.uint8, device=device)[:, None, None]
