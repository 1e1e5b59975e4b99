"""Patches as PIP-Net places them: the piece of an image that stands for one cell of a map."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

SIDE, PATCH = 224, 32  # pixels of the published image and of a patch in it


def one_sided(names: Sequence[str]) -> Tensor:
    """Group ``(p,)`` of each part: left and right of one name are one."""
    plain = [" ".join(re.sub(r"\b(left|right)\b", " ", name.lower()).split()) or name for name in names]
    known = {name: i for i, name in enumerate(dict.fromkeys(plain))}
    return torch.tensor([known[name] for name in plain])


def patch(cells: Tensor, count: int) -> Tensor:
    """First pixel, along one side of an image of 224, of the patch of 32 that stands for each of ``count`` cells."""
    step = round((SIDE - PATCH) / max(1, count - 1))
    start = ((cells - 1) * 8 + 4).clamp_min(0) if count == 26 else cells * step  # 26: ConvNeXt with a halved stride
    last = (cells == count - 1) | (start + PATCH >= SIDE)
    return torch.where(last, SIDE - PATCH if count > 1 else (SIDE - PATCH) // 2, start)


def holds(cells: Tensor, points: Tensor, visible: Tensor, *, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Parts ``(b, k, p)`` that lie in the patch of each cell ``(b, k)``; arguments as for ``Purity.update``."""
    scale = torch.tensor([SIDE / size[1], SIDE / size[0]], dtype=torch.float64, device=points.device)
    start = torch.stack([patch(cells % grid[1], grid[1]), patch(cells // grid[1], grid[0])], -1)[:, :, None]
    at = (points.double() * scale)[:, None]
    return ((at >= start) & (at <= start + PATCH)).all(-1) & visible.bool()[:, None]
