"""Attacks on units: images changed outside the region that the map highlights."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.explanation import upsample
from zoo.metrics.record_batch import evaluating


def attack(
    model: Any,
    x: Tensor,
    unit: Tensor,
    mask: Tensor,
    *,
    target: Tensor,
    max_change: float = 0.1,
    step: float = 0.01,
    steps: int = 20,
) -> Tensor | None:
    """Images changed so that the strength of one unit of each falls; model and images stay as they are.

    Args:
        model: offers ``explain(x, target, shown)``; used in eval mode.
        x: ``(b, ...)`` normalized images.
        unit: ``(b,)`` int64 unit of each.
        mask: ``(b, 1, height, width)`` bool, where an image may change.
        target: ``(b,)`` classes to explain; the strength does not depend on them.
        max_change: largest change of a value.
        step: change of a value in one step.
        steps: how many.

    Returns:
        ``(b, ...)``, or None if the strength has no gradient in the image.
    """
    with evaluating(model), torch.inference_mode(False), torch.enable_grad():
        start, unit, target = x.detach().clone(), unit.clone(), target.clone()
        now, ways = start, mask.clone().to(start)
        for _ in range(steps):
            leaf = now.clone().requires_grad_()
            strength = model.explain(leaf, target=target, shown=unit[:, None]).strength.gather(1, unit[:, None])
            if not strength.requires_grad:
                return None
            (slope,) = torch.autograd.grad(strength.sum(), leaf)
            now = (now - step * slope.sign() * ways).clamp(start - max_change, start + max_change)
    return now.detach()


def box(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """First and last row, first and last column ``(n, 4)`` of the strongest 5 % of maps ``(n, h, w)``, in pixels."""
    pixels = upsample(maps.detach().double()[:, None], size)[:, 0]
    strong, edges = pixels >= _quantile(pixels, 0.95), []
    for axis, side in ((2, size[0]), (1, size[1])):
        on = strong.any(axis).int()
        edges += [on.argmax(1), side - 1 - on.flip(1).argmax(1)]
    return torch.stack(edges, 1)


def outside(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixels ``(b, 1, height, width)`` outside the box of maps ``(b, h, w)``, widened by 10 pixels of 224."""
    top, bottom, left, right = box(maps, size)[..., None].unbind(1)
    (y, tall), (x, wide) = ((torch.arange(side, device=maps.device), 10 * side / 224) for side in size)
    rows, columns = (y >= top - tall) & (y <= bottom + tall), (x >= left - wide) & (x <= right + wide)
    return ~(rows[:, :, None] & columns[:, None])[:, None]


def highest(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixels ``(b, height, width)`` above the 0.9 quantile of maps ``(b, h, w)``."""
    pixels = F.interpolate(maps.detach().double()[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    return pixels > _quantile(pixels, 0.9)


def _quantile(pixels: Tensor, share: float) -> Tensor:
    """Quantile ``(b, 1, 1)`` of each ``(b, height, width)``, linear between values."""
    flat = pixels.flatten(1)
    at = share * (flat.shape[1] - 1)
    low, high = (flat.kthvalue(k + 1, 1).values for k in (int(at), min(int(at) + 1, flat.shape[1] - 1)))
    return (low + (at - int(at)) * (high - low))[:, None, None]
