"""Checks of a split that was read: classes, numbers, keypoints."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from zoo.data.split import Split


def check_split(
    name: str, split: Split, num_classes: int, class_names: Sequence[str], part_names: Sequence[str]
) -> None:
    """Refuse targets and keypoints that cannot be trained on or scored.

    Args:
        name: of the split.
        split: its samples.
        num_classes: number of classes.
        class_names: name of each class.
        part_names: name of each keypoint.

    Raises:
        ValueError: naming the split and the sample or class.
    """
    if split.y.is_floating_point():
        _check_numbers(name, split)
    else:
        _check_classes(name, split, num_classes, class_names)
    if split.points is not None and split.visible is not None:
        bad = ~torch.isfinite(split.points).all(-1) & split.visible
        if bad.any():
            row, part = bad.nonzero()[0].tolist()
            point = f"{part_names[part]!r} marked visible at {split.points[row, part].tolist()}"
            raise ValueError(f"{name}: {split.names[row]} has {point}; give two numbers or mark it not visible")


def _check_classes(name: str, split: Split, num_classes: int, class_names: Sequence[str]) -> None:
    count = torch.bincount(split.y, minlength=num_classes)
    if len(count) > num_classes or (len(split) and split.y.min() < 0):
        raise ValueError(f"{name} has labels up to {len(count) - 1}; there are only {num_classes} classes")
    if name == "train" and (count == 0).any():
        missing = class_names[int((count == 0).nonzero()[0])]
        raise ValueError(f"class {missing!r} has no sample in {name}; add one or remove the class")


def _check_numbers(name: str, split: Split) -> None:
    wrong = split.y.isinf() if split.y.ndim > 1 else ~split.y.isfinite()  # an unknown label is NaN
    if bool(wrong.any()):
        i = int(wrong.reshape(len(split), -1).any(1).nonzero()[0])
        raise ValueError(f"{name}: the target of {split.names[i]} is {split.y[i].tolist()}; expected finite numbers")
