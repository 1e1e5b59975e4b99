"""Changes of the input that a stable explanation should survive."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import torch
from torch import Tensor

from zoo.batch import Batch

GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)  # steps of a counter that visit every 64-bit number; as a signed number
CHUNK = 1 << 18  # numbers made at a time, so that they stay in a processor's cache: five times as fast
CHOICE = 0x5EED  # first draw number that is not used for noise
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


def chosen(ids: Tensor, share: float) -> Tensor:
    """Which samples ``(b,)`` belong to about a ``share`` of all, by a hash of their ids."""
    bits = random_bits(ids, draw=CHOICE, count=1)[:, 0]
    return ((bits >> 11) & ((1 << 53) - 1)).double() * 2.0**-53 < share


def gaussian_noise(x: Tensor, sample_ids: Tensor, *, draw: int, clip: float | None, std: float = 0.2) -> Tensor:
    """Add normal noise that is a function of (sample id, draw), whatever the batch.

    Args:
        x: ``(b, ...)`` normalized inputs; left as they are.
        sample_ids: ``(b,)`` int64 identity of each sample.
        draw: number of the draw.
        clip: largest absolute noise; None for no limit.
        std: standard deviation, in units of the normalized input.

    Returns:
        ``(b, ...)`` of the type of ``x``.

    Raises:
        ValueError: if there is not one id for each sample.
    """
    if sample_ids.shape != x.shape[:1]:
        raise ValueError(f"sample_ids is {tuple(sample_ids.shape)}; expected ({len(x)},), one for each sample")
    size = math.prod(x.shape[1:])
    chunks = sample_ids.to(x.device).split(max(1, CHUNK // max(1, size)))
    noise = torch.cat([_normal(ids, draw, size) for ids in chunks]).mul_(std)
    noise = noise if clip is None else noise.clamp_(-clip, clip)
    return x + noise.reshape(x.shape).to(x.dtype)


def _normal(ids: Tensor, draw: int, size: int) -> Tensor:
    """``(b, size)`` standard normal numbers by Box and Muller (1958), two from each 64 bits."""
    bits = random_bits(ids, draw=draw, count=-(-size // 2))
    radius = (((bits >> 40) & 0xFFFFFF).float() + 0.5).mul_(2**-24).log_().mul_(-2).sqrt_()
    angle = (bits & 0xFFFFFF).float().mul_(2 * math.pi / 2**24)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], 1)[:, :size]


@dataclass(frozen=True)
class Change:
    """A perturbation: new inputs, and the annotation mapped along, as pure functions of (sample id, draw).

    A subclass is a frozen dataclass: it changes inputs in ``inputs`` and, if it moves things, maps
    locations in ``place``. Keypoints outside the image, before or after, are not visible.

    Attributes:
        random: whether draws differ.
        moves: whether places move.
        takes: what it can change: ``images``, ``tokens``, ``texts`` or ``numbers``.
    """

    random: ClassVar[bool] = False
    moves: ClassVar[bool] = False
    takes: ClassVar[str] = "images"

    def unfit(self, x: Tensor) -> str:
        """Why it cannot change inputs ``(b, ...)``; empty if it can."""
        real, tokens = x.is_floating_point(), not x.is_floating_point() and x.ndim == 2
        able = {"images": real and x.ndim == 4, "tokens": tokens, "numbers": real}[self.takes]
        return "" if able else f"{type(self).__name__.lower()} changes {self.takes}, and inputs are none"

    def inputs(self, x: Tensor, ids: Tensor, draw: int) -> Tensor:
        """The changed inputs ``(b, ...)`` of samples ``ids`` ``(b,)``."""
        return x

    def place(self, points: Tensor, ids: Tensor, draw: int, size: tuple[int, ...]) -> Tensor:
        """Where places go: (x, y) ``(b, n, 2)`` in an image of (height, width), positions ``(b, n)`` in t tokens."""
        return points

    def __call__(self, batch: Batch, draw: int) -> Batch:
        """The same samples, changed, with their keypoints moved."""
        changed = replace(batch, x=self.inputs(batch.x, batch.index, draw))
        if not self.moves or batch.points is None or batch.visible is None or batch.x.ndim != 4:
            return changed
        size = tuple(batch.x.shape[-2:])
        side = torch.tensor([size[1], size[0]], device=batch.points.device)
        points = self.place(batch.points, batch.index, draw, size)
        inside = [((p >= 0) & (p < side)).all(-1) for p in (batch.points, points)]
        return replace(changed, points=points, visible=batch.visible & inside[0] & inside[1])

    @property
    def label(self) -> str:
        """Its name and the settings that are not at their defaults, as in ``shift/pixels8``; a long one as a hash."""
        out = type(self).__name__.lower()
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                long = isinstance(value, tuple)
                out += f"/{field.name}" + (f"{zlib.crc32(repr(value).encode()):08x}" if long else str(value))
        return out


@dataclass(frozen=True)
class Noise(Change):
    """Gaussian noise on the normalized image, as a perturbation; the annotation stays.

    Attributes:
        clip: largest absolute noise; None for no limit.
        std: standard deviation.
    """

    random: ClassVar[bool] = True
    takes: ClassVar[str] = "numbers"
    clip: float | None = 0.25
    std: float = 0.2

    def inputs(self, x: Tensor, ids: Tensor, draw: int) -> Tensor:
        """The same inputs with noise added."""
        return gaussian_noise(x, ids, draw=draw, clip=self.clip, std=self.std)
