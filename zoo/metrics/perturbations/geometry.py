"""Changes of images that move everything in them, which a stable explanation should follow."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.metrics.base import count
from zoo.metrics.perturbations.image_changes import positive
from zoo.metrics.perturbations.noise import Change, random_bits


def _share(ids: Tensor, draw: int, n: int, salt: int) -> Tensor:
    """``(b, n)`` float64 uniform in [0, 1), of (sample, draw) alone and unlike other uses of the generator."""
    return (random_bits(ids, draw=draw + (salt << 32), count=n) & (2**52 - 1)).double() / 2**52


@dataclass(frozen=True)
class Shift(Change):
    """Moved by a random whole number of pixels along each axis; the border is replicated.

    Attributes:
        pixels: the furthest, either way.

    Example:
        >>> x = torch.arange(9.0).reshape(1, 1, 3, 3)
        >>> Shift(pixels=1).inputs(x, torch.tensor([0]), 0).shape
        torch.Size([1, 1, 3, 3])
    """

    random: ClassVar[bool] = True
    moves: ClassVar[bool] = True
    pixels: int = 4

    def __post_init__(self) -> None:
        count("pixels", self.pixels)

    def _by(self, ids: Tensor, draw: int) -> Tensor:
        return (_share(ids, draw, 2, 1) * (2 * self.pixels + 1)).long() - self.pixels

    def inputs(self, x: Tensor, ids: Tensor, draw: int) -> Tensor:
        """The moved images."""
        (h, w), by = x.shape[-2:], self._by(ids.to(x.device), draw)
        row, column = ((torch.arange(n, device=x.device) - by[:, i, None]).clamp(0, n - 1) for i, n in ((1, h), (0, w)))
        sample = torch.arange(len(x), device=x.device)[:, None, None]
        return x.permute(0, 2, 3, 1)[sample, row[:, :, None], column[:, None, :]].permute(0, 3, 1, 2)

    def place(self, points: Tensor, ids: Tensor, draw: int, size: tuple[int, ...]) -> Tensor:
        """The moved points."""
        return points + self._by(ids.to(points.device), draw)[:, None]


@dataclass(frozen=True)
class Flip(Change):
    """Mirrored left to right.

    Attributes:
        parts: for each part, the one that it becomes in the mirror (left wing: right wing), as the annotation of a
            mirrored photograph would have it. None, and parts keep their names.

    Example:
        >>> import torch
        >>> Flip().place(torch.tensor([[[1.0, 2.0]]]), torch.tensor([0]), 0, (8, 10))
        tensor([[[9., 2.]]])
    """

    moves: ClassVar[bool] = True
    parts: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.parts is not None:
            object.__setattr__(self, "parts", tuple(self.parts))
            if sorted(self.parts) != list(range(len(self.parts))):
                raise ValueError(f"parts is {self.parts}; expected each number from 0 to {len(self.parts) - 1} once")

    def inputs(self, x: Tensor, ids: Tensor, draw: int) -> Tensor:
        """The mirrored images."""
        return x.flip(-1)

    def place(self, points: Tensor, ids: Tensor, draw: int, size: tuple[int, ...]) -> Tensor:
        """The mirrored points: x to w - x."""
        return torch.stack([size[1] - points[..., 0], points[..., 1]], -1)

    def __call__(self, batch: Batch, draw: int) -> Batch:
        """The mirrored samples, their parts renamed if asked."""
        changed = super().__call__(batch, draw)
        if self.parts is None or changed.points is None or changed.visible is None:
            return changed
        if len(self.parts) != changed.points.shape[1]:
            raise ValueError(f"parts names {len(self.parts)} parts; the data have {changed.points.shape[1]}")
        old = torch.tensor(self.parts, device=changed.points.device).argsort()
        return replace(changed, points=changed.points[:, old], visible=changed.visible[:, old])


@dataclass(frozen=True)
class Rotate(Change):
    """Turned about the center by a random angle, bilinearly; the border is replicated.

    Attributes:
        degrees: the largest angle, either way.
    """

    random: ClassVar[bool] = True
    moves: ClassVar[bool] = True
    degrees: float = 10.0

    def __post_init__(self) -> None:
        positive("degrees", self.degrees, 180)

    def _turn(self, points: Tensor, ids: Tensor, draw: int, size: tuple[int, ...], sign: int) -> Tensor:
        angle = sign * math.radians(self.degrees) * (2 * _share(ids.to(points.device), draw, 1, 2) - 1)
        center = torch.tensor([size[1] / 2, size[0] / 2], dtype=torch.float64, device=points.device)
        x, y = (points.double() - center).unbind(-1)
        return torch.stack([x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos()], -1) + center

    def inputs(self, x: Tensor, ids: Tensor, draw: int) -> Tensor:
        """The turned images."""
        h, w = x.shape[-2:]
        at = [torch.arange(n, dtype=torch.float64, device=x.device) + 0.5 for n in (w, h)]
        pixels = torch.stack(torch.meshgrid(*at, indexing="xy"), -1).reshape(1, -1, 2).expand(len(x), -1, -1)
        side = torch.tensor([w, h], device=x.device)
        grid = self._turn(pixels, ids, draw, (h, w), -1).reshape(-1, h, w, 2) * 2 / side - 1
        wide = x if x.dtype == torch.float64 else x.float()
        return torch.nn.functional.grid_sample(
            wide, grid.to(wide.dtype), padding_mode="border", align_corners=False
        ).to(x.dtype)

    def place(self, points: Tensor, ids: Tensor, draw: int, size: tuple[int, ...]) -> Tensor:
        """The turned points."""
        return self._turn(points, ids, draw, size, 1)
