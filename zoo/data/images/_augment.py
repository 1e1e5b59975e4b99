"""Named augmentation policies under which part keypoints move with the image.

Points are continuous image coordinates: pixel (row i, column j) covers [j, j+1) x [i, i+1), so ``int`` of a point is
its pixel and a mirror takes x to s - x. They may leave the image and are never clamped. A mirror does not exchange the
names of left and right parts, as published code does not: a mirrored bird's "left eye" is the eye annotated as such.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from zoo.data.sampler import mix

Augment = Literal["none", "shift", "flip", "full"]


class Mirror(v2.RandomHorizontalFlip):
    """A horizontal flip that takes a continuous x to s - x.

    torchvision's takes it to s - 1 - x, which is right for indices of pixels but not beside its other transforms.
    """

    def transform(self, inpt, params):
        """Flip one image or one set of keypoints."""
        out = super().transform(inpt, params)
        if isinstance(out, tv_tensors.KeyPoints):
            out = tv_tensors.wrap(out.as_subclass(Tensor) + torch.tensor([1.0, 0.0], dtype=out.dtype), like=out)
        return out


def policy(name: Augment, size: int) -> v2.Transform | None:
    """The transform of a policy, for square images of ``size`` pixels; None for ``none``.

    Args:
        name: ``none``; ``shift``: rotation, translation and scale, all small; ``flip``: mirror, crop and colour;
            ``full``: mirror, rotation, shear, perspective and colour.
        size: side of the images.

    Raises:
        ValueError: if there is no such policy.
    """
    if name not in get_args(Augment):
        raise ValueError(f"augment is {name!r}; expected one of {', '.join(get_args(Augment))}")
    smooth = v2.InterpolationMode.BILINEAR
    colour = v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2)
    if name == "shift":
        return v2.RandomAffine(10, translate=(0.08, 0.08), scale=(0.9, 1.1), interpolation=smooth)
    if name == "flip":
        crop = v2.RandomResizedCrop(size, scale=(0.7, 1.0), ratio=(0.85, 1.18), antialias=True)
        return v2.Compose([Mirror(), crop, colour])
    if name == "full":
        tilt = v2.RandomAffine(15, shear=10, interpolation=smooth, fill=128)
        return v2.Compose([Mirror(), tilt, v2.RandomPerspective(0.2, interpolation=smooth, fill=128), colour])
    return None


def augment(transform: v2.Transform, image: Tensor, points: Tensor | None, *, key: tuple[int, ...]) -> tuple:
    """One image and its keypoints, transformed as ``key`` alone decides; the global random state is left as it was.

    Args:
        transform: a policy.
        image: ``(1 or 3, s, s)`` uint8.
        points: ``(p, 2)`` float64 or None.
        key: seed, epoch and index of the sample.

    Returns:
        The new image and points.
    """
    sample: dict[str, Tensor] = {"image": tv_tensors.Image(image)}
    if points is not None:
        sample["points"] = tv_tensors.KeyPoints(points, canvas_size=image.shape[-2:])
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(mix(*key))  # torch.manual_seed would also reseed the accelerator
        sample = transform(sample)
    new = {name: value.as_subclass(Tensor) for name, value in sample.items()}
    return new["image"], new.get("points")
