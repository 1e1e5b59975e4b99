"""Changes of the input that a stable explanation should survive."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zoo.batch import Batch

GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)  # steps of a counter that visit every 64-bit number; as a signed number
CHUNK = 1 << 18  # numbers made at a time, so that they stay in a processor's cache: five times as fast
FIRST, SECOND = 0xBF58476D1CE4E5B9 - (1 << 64), 0x94D049BB133111EB - (1 << 64)


def _mix(x: Tensor) -> Tensor:
    for shift, factor in ((30, FIRST), (27, SECOND)):
        x = (x ^ ((x >> shift) & ((1 << (64 - shift)) - 1))) * factor
    return x ^ ((x >> 31) & ((1 << 33) - 1))


def random_bits(ids: Tensor, *, draw: int, count: int) -> Tensor:
    """Random 64-bit numbers that depend on (id, draw, position) alone: SplitMix64 (Steele et al., 2014) on a counter.

    Args:
        ids: int64 of any shape.
        draw: number of the draw.
        count: numbers for each id.

    Returns:
        ``(*ids.shape, count)`` int64, uniform over all 64 bits.
    """
    key = _mix(_mix(ids * GOLDEN + FIRST) + (draw + 1) * SECOND % (1 << 63))
    return _mix(key[..., None] + torch.arange(1, count + 1, device=ids.device) * GOLDEN)


def gaussian_noise(x: Tensor, sample_ids: Tensor, *, draw: int, clip: float | None, std: float = 0.2) -> Tensor:
    """Add normal noise that is a function of (sample id, draw), whatever the batch.

    Args:
        x: ``(b, ...)`` normalised inputs; left as they are.
        sample_ids: ``(b,)`` int64 identity of each sample.
        draw: number of the draw.
        clip: largest absolute noise; None for no limit.
        std: standard deviation, in units of the normalised input.

    Returns:
        ``(b, ...)`` of the type of ``x``.

    Raises:
        ValueError: if there is not one id for each sample.
    """
    if sample_ids.shape != x.shape[:1]:
        raise ValueError(f"sample_ids is {tuple(sample_ids.shape)}; expected ({len(x)},), one for each sample")
    size = math.prod(x.shape[1:])
    some = sample_ids.to(x.device).split(max(1, CHUNK // max(1, size)))
    noise = torch.cat([_normal(ids, draw, size) for ids in some]).mul_(std)
    noise = noise if clip is None else noise.clamp_(-clip, clip)
    return x + noise.reshape(x.shape).to(x.dtype)


def _normal(ids: Tensor, draw: int, size: int) -> Tensor:
    """``(b, size)`` standard normal numbers by Box and Muller (1958), two from each 64 bits."""
    bits = random_bits(ids, draw=draw, count=-(-size // 2))
    radius = (((bits >> 40) & 0xFFFFFF).float() + 0.5).mul_(2**-24).log_().mul_(-2).sqrt_()
    angle = (bits & 0xFFFFFF).float().mul_(2 * math.pi / 2**24)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], 1)[:, :size]


@dataclass(frozen=True)
class Noise:
    """Gaussian noise on the normalised image, as a perturbation; the annotation stays.

    Attributes:
        clip: largest absolute noise; None for no limit.
        std: standard deviation.
    """

    clip: float | None = 0.25
    std: float = 0.2

    def __call__(self, batch: Batch, draw: int) -> Batch:
        """The same samples with noise added."""
        return replace(batch, x=gaussian_noise(batch.x, batch.index, draw=draw, clip=self.clip, std=self.std))
