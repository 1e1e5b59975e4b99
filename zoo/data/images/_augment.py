"""Augmentation policies by name; keypoints move with the image.

Points are continuous image coordinates: pixel (row i, column j) covers [j, j+1) x [i, i+1), so ``int`` of a point is
its pixel and a horizontal flip maps x to s - x. Points may leave the image and are never clamped. A flip does not swap
the names of left and right parts, as in published code: the "left eye" of a flipped bird is the eye annotated so.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from zoo.data.sampler import mix

Augment = Literal["none", "shift", "flip", "full"]


class HorizontalFlip(v2.RandomHorizontalFlip):
    """A random horizontal flip that maps a continuous x to s - x.

    The flip of torchvision maps it to s - 1 - x, which suits pixel indices but not its other transforms.
    """

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Flip one image or one set of keypoints."""
        out = super().transform(inpt, params)
        if isinstance(out, tv_tensors.KeyPoints):
            shifted = out.as_subclass(Tensor) + torch.tensor([1.0, 0.0], dtype=out.dtype)
            out = tv_tensors.wrap(shifted, like=out)  # pyright: ignore[reportCallIssue]
        return out


def policy(name: Augment, size: int) -> v2.Transform | None:
    """Return the transform of a policy for square images of ``size`` pixels; None for ``none``.

    Args:
        name: ``none``; ``shift``: small rotation, translation and scale; ``flip``: horizontal flip, crop and color;
            ``full``: horizontal flip, rotation, shear, perspective and color.
        size: side of the images, in pixels.

    Raises:
        ValueError: if the policy does not exist.
    """
    if name not in get_args(Augment):
        raise ValueError(f"augment is {name!r}; expected one of {', '.join(get_args(Augment))}")
    bilinear = v2.InterpolationMode.BILINEAR
    color = v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2)
    if name == "shift":
        return v2.RandomAffine([-10, 10], translate=(0.08, 0.08), scale=(0.9, 1.1), interpolation=bilinear)
    if name == "flip":
        crop = v2.RandomResizedCrop(size, scale=(0.7, 1.0), ratio=(0.85, 1.18), antialias=True)
        return v2.Compose([HorizontalFlip(), crop, color])
    if name == "full":
        affine = v2.RandomAffine([-15, 15], shear=10, interpolation=bilinear, fill=128)
        perspective = v2.RandomPerspective(0.2, interpolation=bilinear, fill=128)
        return v2.Compose([HorizontalFlip(), affine, perspective, color])
    return None


def view_policy() -> v2.Transform:
    """Return the transform that makes views of one image: one random change of color, tone or sharpness.

    In the manner of TrivialAugment (Mueller and Hutter, ICCV 2021), without its changes of geometry: a place of one
    view is the same place of every other one.
    """
    return v2.RandomChoice(
        [
            v2.Identity(),
            v2.ColorJitter(brightness=0.5),
            v2.ColorJitter(contrast=0.5),
            v2.ColorJitter(saturation=0.5),
            v2.ColorJitter(hue=0.1),
            v2.RandomAdjustSharpness(2.0, p=1.0),
            v2.RandomAdjustSharpness(0.3, p=1.0),
            v2.RandomPosterize(4, p=1.0),
            v2.RandomAutocontrast(p=1.0),
            v2.RandomEqualize(p=1.0),
        ]
    )


def augment(
    transform: v2.Transform, image: Tensor, points: Tensor | None, *, key: tuple[int, ...]
) -> tuple[Tensor, Tensor | None]:
    """Return an image and its keypoints, transformed by random numbers that depend on ``key`` alone.

    The global random state is restored.

    Args:
        transform: a policy.
        image: ``(1 or 3, s, s)`` uint8.
        points: ``(p, 2)`` float64 or None.
        key: seed, epoch and index of the sample.
    """
    sample: dict[str, Tensor] = {"image": tv_tensors.Image(image)}
    if points is not None:
        sample["points"] = tv_tensors.KeyPoints(  # pyright: ignore[reportCallIssue]
            points, canvas_size=(image.shape[-2], image.shape[-1])
        )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(mix(*key))  # torch.manual_seed would also reseed the accelerator
        sample = transform(sample)
    new = {name: value.as_subclass(Tensor) for name, value in sample.items()}
    return new["image"], new.get("points")
