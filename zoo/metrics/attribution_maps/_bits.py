"""Masks at one bit for each pixel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def pack(masks: Tensor) -> Tensor:
    """``(b, p, height, width)`` bool as bytes ``(b, p / 8, height, width)``, rounded up."""
    whole = F.pad(masks.byte(), (0, 0, 0, 0, 0, -masks.shape[1] % 8)).unflatten(1, (-1, 8))
    return (whole << _places(masks.device)).sum(2, dtype=torch.uint8)


def unpack(packed: Tensor, p: int) -> Tensor:
    """The ``p`` masks of ``pack``, bool."""
    return ((packed[:, :, None] >> _places(packed.device)) & 1).flatten(1, 2)[:, :p].bool()


def _places(device: torch.device) -> Tensor:
    return torch.arange(8, dtype=torch.uint8, device=device)[:, None, None]
