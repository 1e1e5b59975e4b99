"""What a policy does to each sample: maps between image and augmented image, and color factors, from uniform numbers.

Distributions are those of torchvision's ``RandomHorizontalFlip``, ``RandomAffine``, ``RandomPerspective``,
``RandomResizedCrop`` and ``ColorJitter``. Coordinates are normalized: -1 and 1 are the borders of the image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

COLOR = 0.2  # a factor of brightness, contrast or saturation is 1 - COLOR to 1 + COLOR
COLORED = ("flip", "full")
FILL = {"shift": 0.0, "flip": 0.0, "full": 128.0}  # outside the image
SHIFT_ANGLE = 10.0  # degrees
SHIFT_MOVE = 0.08  # of the side
SHIFT_SCALE = 0.1  # 0.9 to 1.1
FULL_ANGLE = 15.0  # degrees
FULL_SHEAR = 10.0  # degrees
FULL_PERSPECTIVE = 0.2  # largest move of a corner, of half the side
CROP_AREA = (0.7, 1.0)
CROP_RATIO = (0.85, 1.18)
CROP_TRIES = 10


@dataclass(frozen=True)
class Draws:
    """The augmentation of b samples.

    Attributes:
        affine: ``(b, 2, 3)`` from the plane between the two maps to the image.
        perspective: ``(b, 3, 3)`` from the augmented image to the plane between; the identity for most policies.
        bent: ``(b,)`` bool, whether ``perspective`` is not the identity.
        window: ``(b, 4)`` left, top, right and bottom center of a pixel that is read; None for the whole image.
        factors: ``(b, 3)`` of brightness, contrast and saturation.
        order: ``(b, 3)`` the order in which they are applied.
    """

    affine: Tensor
    perspective: Tensor
    bent: Tensor
    window: Tensor | None
    factors: Tensor
    order: Tensor

    def __getitem__(self, rows: slice) -> Draws:
        return self._map(lambda value: value[rows])

    def to(self, device: torch.device | str) -> Draws:
        """Return the same draws on ``device``."""
        return self._map(lambda value: value.to(device, non_blocking=value.is_pinned()))

    def pin_memory(self) -> Draws:
        """Return the same draws in page-locked memory."""
        return self._map(lambda value: value.pin_memory())

    def _map(self, change: Callable[[Tensor], Tensor]) -> Draws:
        tensors: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: change(value) for name, value in tensors.items() if value is not None})


def draw(name: str, u: Tensor, size: int) -> Draws:
    """Return the draws of a policy from uniform numbers ``(b, UNIFORMS)`` float64.

    Args:
        name: of the policy.
        u: numbers from 0 to 1.
        size: side of the images, in pixels.
    """
    b = len(u)
    perspective = torch.eye(3, dtype=torch.float64).repeat(b, 1, 1)
    bent = torch.zeros(b, dtype=torch.bool)
    window = None
    if name == "shift":
        moved = (_between(u[:, 1:3], -SHIFT_MOVE * size, SHIFT_MOVE * size)).round() * 2 / size
        scale = _between(u[:, 3], 1 - SHIFT_SCALE, 1 + SHIFT_SCALE)
        affine = _inverse_affine(_between(u[:, 0], -SHIFT_ANGLE, SHIFT_ANGLE), moved=moved, scale=scale)
    elif name == "flip":
        affine, window = _crop(u[:, 7:29], size)
    else:
        shear = _between(u[:, 8], -FULL_SHEAR, FULL_SHEAR)
        affine = _inverse_affine(_between(u[:, 7], -FULL_ANGLE, FULL_ANGLE), shear=shear)
        bent = u[:, 9] < 0.5
        perspective[bent] = _inverse_perspective(u[bent, 10:18], size)
    if name in COLORED:
        affine[u[:, 0] < 0.5, 0] *= -1  # the image is flipped first
        if window is not None:
            flipped = u[:, 0] < 0.5
            window[flipped] = torch.stack([-window[:, 2], window[:, 1], -window[:, 0], window[:, 3]], 1)[flipped]
    factors = _between(u[:, 1:4], 1 - COLOR, 1 + COLOR)
    return Draws(affine, perspective, bent, window, factors.float(), u[:, 4:7].argsort(1))


def _between(u: Tensor, low: float, high: float) -> Tensor:
    return low + u * (high - low)


def _inverse_affine(
    angle: Tensor, *, shear: Tensor | None = None, moved: Tensor | None = None, scale: Tensor | None = None
) -> Tensor:
    """Return ``(b, 2, 3)`` inverses of: scale, shear along x and rotate about the center, then move.

    Args:
        angle: ``(b,)`` degrees.
        shear: ``(b,)`` degrees.
        moved: ``(b, 2)``
        scale: ``(b,)``
    """
    angle = angle.deg2rad()
    tan = torch.zeros_like(angle) if shear is None else shear.deg2rad().tan()
    cos, sin = angle.cos(), angle.sin()
    turn = torch.stack([cos - sin * tan, sin + cos * tan, -sin, cos], 1).unflatten(1, (2, 2))
    if scale is not None:
        turn = turn / scale[:, None, None]
    offset = (
        torch.zeros(len(angle), 2, 1, dtype=angle.dtype)
        if moved is None
        else -(turn * moved[:, None]).sum(2)[:, :, None]
    )
    return torch.cat([turn, offset], 2)


def _inverse_perspective(u: Tensor, size: int) -> Tensor:
    """Return ``(b, 3, 3)`` maps that take four random corners back to the corners of the image.

    Args:
        u: ``(b, 8)``
        size: side of the images, in pixels.
    """
    bound = int(FULL_PERSPECTIVE * (size // 2)) + 1
    low = torch.tensor([0, 0, size - bound, 0, size - bound, size - bound, 0, size - bound], dtype=u.dtype)
    corners = ((u * bound).floor() + low).unflatten(1, (4, 2)) * 2 / size - 1
    last = (size - 1) * 2 / size - 1
    image = torch.tensor([[-1.0, -1.0], [last, -1.0], [last, last], [-1.0, last]], dtype=u.dtype).expand_as(corners)
    x, y = corners.unbind(2)
    one, none = torch.ones_like(x), torch.zeros_like(x)
    rows = []
    for axis, row in enumerate(([x, y, one, none, none, none], [none, none, none, x, y, one])):
        target = image[:, :, axis]
        rows.append(torch.stack([*row, -target * x, -target * y], 2))
    known = torch.linalg.solve(torch.cat(rows, 1), image.mT.flatten(1))
    return torch.cat([known, torch.ones_like(known[:, :1])], 1).unflatten(1, (3, 3))


def _crop(u: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return ``(b, 2, 3)`` maps to random crops, and their windows ``(b, 4)``.

    Args:
        u: ``(b, 2 * CROP_TRIES + 2)``
        size: side of the images, in pixels.
    """
    area = _between(u[:, :CROP_TRIES], *CROP_AREA) * size**2
    ratio = _between(u[:, CROP_TRIES : 2 * CROP_TRIES], *map(math.log, CROP_RATIO)).exp()
    sides = torch.stack([(area * ratio).sqrt().round(), (area / ratio).sqrt().round()], 2)
    fits = ((sides > 0) & (sides <= size)).all(2)
    first = fits.int().argmax(1)  # the first try that fits
    sides = torch.where(fits.any(1, keepdim=True), sides[torch.arange(len(u)), first], float(size))
    start = (u[:, -2:] * (size - sides + 1)).floor()
    share = sides / size
    center = (2 * start + sides) / size - 1
    zero = torch.zeros_like(share[:, 0])
    affine = torch.stack([share[:, 0], zero, center[:, 0], zero, share[:, 1], center[:, 1]], 1).unflatten(1, (2, 3))
    return affine, torch.cat([(2 * start + 1) / size - 1, (2 * (start + sides) - 1) / size - 1], 1)
