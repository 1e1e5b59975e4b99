"""Images as inputs: any picture becomes a normalized square tensor, and back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zoo.inputs.base import Flag, Inputs, Reading
from zoo.inputs.images.class_folders import find_splits, list_pictures, read_class_folders
from zoo.inputs.images.picture import WHITE, read_picture
from zoo.inputs.labels import compare_names, order_by_name
from zoo.inputs.tables.target import Target

CHUNK = 64  # pictures at a time
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
Fit = Literal["squash", "crop"]


class ImageInputs(Inputs):
    """How pictures are read: size, channels, normalization, and the names of classes and parts.

    Args:
        size: side of the square inputs, in pixels.
        channels: 3, or 1 for the mean of the three.
        mean: one for each channel, of values from 0 to 1.
        std: one for each channel.
        class_names: names of the classes.
        part_names: names of the keypoints.
        background: color behind transparent pixels.
        value_range: values that are black and white in pictures that are not of 8 bits; None for their type's own.
        fit: ``squash`` the whole picture to a square, or ``crop`` the largest square in its middle.
        target: columns of a file that the model answers with; None where the classes are folders.

    Raises:
        ValueError: if an argument is out of range.

    >>> inputs = ImageInputs(size=8, class_names=("robin", "wren"))
    >>> inputs.read(np.zeros((20, 30, 3), np.uint8)).x.shape
    torch.Size([1, 3, 8, 8])
    """

    kind = "image"

    def __init__(
        self,
        *,
        size: int,
        channels: int = 3,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
        class_names: Sequence[str] = (),
        part_names: Sequence[str] = (),
        background: Sequence[int] = WHITE,
        value_range: Sequence[float] | None = None,
        fit: Fit = "squash",
        target: Target | None = None,
    ) -> None:
        self.target = target
        self.size, self.channels, self.mean, self.std = int(size), channels, tuple(mean), tuple(std)
        self.class_names, self.part_names = tuple(class_names), tuple(part_names)
        self.background = tuple(int(value) for value in background)
        self.value_range = None if value_range is None else (float(value_range[0]), float(value_range[1]))
        self.resize: Fit = fit
        if not 1 <= self.size <= 10_000:
            raise ValueError(f"data.size is {size}; expected 1 to 10000")
        if channels not in (1, 3):
            raise ValueError(f"data.channels is {channels}; expected 1 or 3")
        finite = all(map(math.isfinite, (*self.mean, *self.std)))
        if not finite or len(self.mean) != channels or len(self.std) != channels or min(self.std) <= 0:
            raise ValueError(
                f"data.mean is {self.mean}, data.std {self.std}; expected {channels} numbers each, std above 0"
            )
        if len(self.background) != 3 or not all(0 <= value <= 255 for value in self.background):
            raise ValueError(f"data.background is {self.background}; expected three numbers from 0 to 255")
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            raise ValueError(f"data.value_range is {self.value_range}; expected two rising numbers")
        if fit not in get_args(Fit):
            raise ValueError(f"data.fit is {fit!r}; expected one of {', '.join(get_args(Fit))}")

    @classmethod
    def fit(cls, train: Any = None, **arguments: Any) -> ImageInputs:
        """Return the inputs; a folder of classes as ``train`` gives their names, nothing else is fitted."""
        if train is not None and "class_names" not in arguments:
            arguments["class_names"] = read_class_folders(Path(train).expanduser(), identical=False).class_names
        return cls(**arguments)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(channels, size, size)``."""
        return self.channels, self.size, self.size

    def pixels(self, source: Any) -> np.ndarray:
        """Return a picture as people see it, resized, gray ``(s, s)`` or RGB ``(s, s, 3)`` uint8.

        Raises:
            ValueError: as ``read_picture``.
        """
        background = self.background[0], self.background[1], self.background[2]
        options = {"background": background, "value_range": self.value_range, "side": self.size}
        image = Image.fromarray(read_picture(source, **options))
        if self.resize == "crop":
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            image = image.crop((left, top, left + side, top + side))
        same = image.size == (self.size, self.size)
        return np.asarray(image if same else image.resize((self.size, self.size), Image.Resampling.BILINEAR))

    def normalize(self, pixels: np.ndarray) -> Tensor:
        """Return pixels ``(s, s)`` or ``(s, s, 3)`` uint8 as an input ``(channels, s, s)``."""
        x = torch.from_numpy(np.array(pixels)).float()
        x = x[None] if x.ndim == 2 else x.permute(2, 0, 1)
        x = (x.mean(0, keepdim=True) if self.channels == 1 else x.expand(3, -1, -1)) / 255
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (x - mean) / std

    def scan(
        self, raw: Any, *, labels: bool | None = None, strict: bool = False, skip: bool = False
    ) -> Iterator[Reading]:
        """Read pictures, at most ``CHUNK`` at a time.

        Args:
            raw: a picture: a path, a PIL image, an array or a tensor ``(c, h, w)``; a list of such; or a folder, whose
                pictures are read in the order of their names. Folders of the model's classes give labels.
            labels: True to require labels, False to ignore them, None to read them where there are some.
            strict: has no use for pictures.
            skip: whether pictures that cannot be read are skipped and listed instead of being an error.

        Raises:
            ValueError: if a picture cannot be read or the folders are not the model's classes.
        """
        return self._scan(raw, labels=labels, skip=skip)

    def scan_part(
        self, raw: Any, part: int, parts: int, *, strict: bool = False, skip: bool = False
    ) -> Iterator[Reading]:
        """Read one of several parts of the pictures; the others are not decoded."""
        return self._scan(raw, labels=False, skip=skip, part=part, parts=parts)

    def _scan(self, raw: Any, *, labels: bool | None, skip: bool, part: int = 0, parts: int = 1) -> Iterator[Reading]:
        notes: list[str] = []
        xs: list[Tensor] = []
        rows: list[str] = []
        y: list[int | None] = []
        positions: list[int] = []
        skipped: list[Flag] = []
        for position, (name, source, label) in enumerate(self._sources(raw, labels, notes)):
            if position % parts != part:
                continue
            try:
                xs.append(self.normalize(self.pixels(source)))
            except ValueError as error:
                if not skip:
                    raise
                skipped.append(Flag(name, "", str(error)))
                continue
            rows.append(name)
            y.append(label)
            positions.append(position)
            if len(xs) == CHUNK:
                yield self._reading(xs, rows, y, positions, skipped, notes)
                xs, rows, y, positions, skipped, notes = [], [], [], [], [], []
        if xs or skipped:
            yield self._reading(xs, rows, y, positions, skipped, notes)

    def _reading(
        self,
        xs: list[Tensor],
        rows: list[str],
        y: list[int | None],
        positions: list[int],
        skipped: list[Flag],
        notes: list[str],
    ) -> Reading:
        return Reading(
            torch.stack(xs) if xs else torch.empty(0, *self.shape),
            tuple(rows),
            torch.tensor(y, dtype=torch.int64) if y and all(label is not None for label in y) else None,
            (),
            tuple(skipped),
            tuple(notes),
            torch.tensor(positions, dtype=torch.int64),
        )

    def _sources(self, raw: Any, labels: bool | None, notes: list[str]) -> Iterable[tuple[str, Any, int | None]]:
        """Name, picture and label of each sample."""
        if isinstance(raw, str | Path) and Path(raw).expanduser().is_dir():
            return self._folder(Path(raw).expanduser(), labels, notes)
        if labels:
            raise ValueError("pictures without class folders have no labels; expected a folder of the model's classes")
        if isinstance(raw, str | Path):
            return [(str(raw), raw, None)]
        if isinstance(raw, Image.Image | np.ndarray | Tensor) and (isinstance(raw, Image.Image) or raw.ndim < 4):
            return [("picture 1", raw, None)]
        if isinstance(raw, np.ndarray | Tensor | Iterable):
            return (
                (str(item) if isinstance(item, str | Path) else f"picture {i}", item, None)
                for i, item in enumerate(raw, 1)
            )
        raise ValueError(f"pictures are given as {type(raw).__name__}; expected a path, a picture or a list of them")

    def _folder(self, root: Path, labels: bool | None, notes: list[str]) -> list[tuple[str, Any, int | None]]:
        if labels and self.target is not None:
            raise ValueError("pictures have no labels here; the model answers with columns of a file")
        if labels is not False and self.class_names and self.target is None and not find_splits(root):
            folders = sorted(
                {
                    path.relative_to(root).parts[0]
                    for path in list_pictures(root)[0]
                    if len(path.relative_to(root).parts) > 1
                }
            )
            if labels or set(folders) & set(self.class_names):
                found = read_class_folders(root, class_names=self.class_names)
                notes += found.notes
                return [(picture.name, picture.path, picture.label) for picture in found.splits["all"]]
        elif labels:
            raise ValueError(f"{root} has folders of splits; name one of them, such as {root}/test")
        pictures, others = list_pictures(root)
        if not pictures:
            raise ValueError(f"{root} has no image; expected files such as .jpg or .png")
        if others:
            notes.append(f"{root}: {len(others)} files that are no images were ignored: {', '.join(others[:5])}")
        return [(path.relative_to(root).as_posix(), path, None) for path in pictures]

    def check(self, other: Any) -> None:
        """Refuse a folder whose classes are not the model's, or other names of classes.

        Args:
            other: a folder of classes, or their names.

        Raises:
            ValueError: listing names that are missing, additional or renamed.
        """
        if isinstance(other, str | Path):
            read_class_folders(Path(other).expanduser(), class_names=self.class_names, identical=False)
        else:
            compare_names(self.class_names, list(other), "classes", partial=True, exact=True)

    def order_of(self, names: Sequence[str], what: str = "parts") -> list[int]:
        """Return the place in ``names`` of each of the model's parts, so that other data are matched by name.

        Raises:
            ValueError: listing names that are missing, additional or renamed.
        """
        return order_by_name(self.part_names, names, what)

    def show(self, x: Tensor) -> Tensor:
        """Return inputs ``(b, channels, s, s)`` as pictures ``(b, 3, s, s)`` from 0 to 1."""
        mean, std = (torch.tensor(v, device=x.device, dtype=x.dtype)[:, None, None] for v in (self.mean, self.std))
        return (x * std + mean).clamp(0, 1).expand(-1, 3, -1, -1)

    def describe(self) -> list[str]:
        """Return the preprocessing in words."""
        how = "squashed to" if self.resize == "squash" else "cropped in the middle to"
        lines = [
            f"pictures are turned upright (EXIF) and {how} {self.size} x {self.size} pixels, bilinear",
            f"transparent pixels show the color {self.background}",
            f"values from 0 to 1 are normalized with mean {list(self.mean)}, std {list(self.std)}",
        ]
        if self.channels == 1:
            lines.insert(1, "the three color channels are averaged")
        if self.value_range:
            lines.append(f"pictures of more than 8 bits are scaled from {self.value_range[0]} to {self.value_range[1]}")
        return lines

    def to_config(self) -> dict[str, Any]:
        """Return plain values for YAML."""
        return {
            "size": self.size,
            "channels": self.channels,
            "mean": list(self.mean),
            "std": list(self.std),
            "class_names": list(self.class_names),
            "part_names": list(self.part_names),
            "background": list(self.background),
            "value_range": None if self.value_range is None else list(self.value_range),
            "fit": self.resize,
            **({} if self.target is None else {"target": self.target.to_config()}),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ImageInputs:
        """Return the inputs from plain values.

        Raises:
            ValueError: if a key or a value is not understood.
        """
        config = dict(config)
        if config.get("target") is not None:
            config["target"] = Target.from_config(config["target"])
        try:
            return cls(**config)
        except TypeError as error:
            raise ValueError(f"images are described by {', '.join(map(str, config))}: {error}") from error
