"""Masks of parts from files: one PNG of part ids for each image, or one PNG for each image and part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, UnidentifiedImageError

from zoo.inputs.images.class_folders import Picture, is_junk, name_key
from zoo.inputs.images.picture import upright_size

ONE_BAND = ("1", "L", "P", "I;16", "I")  # modes of files with one whole number a pixel; of palettes its position


@dataclass(frozen=True)
class PartMasks:
    """Masks of the images of a split; called with a row, it returns ``(p, s, s)`` bool.

    Attributes:
        pictures: file of each image.
        files: for each image its mask files, each with the number of its part, which is not used for part ids.
        count: number of parts p.
        size: side s, in pixels.
        ids: numbers of the parts that the values 1, 2, ... stand for; None where any value but 0 is the part of the
            file.
    """

    pictures: tuple[str, ...]
    files: tuple[tuple[tuple[str, int], ...], ...]
    count: int
    size: int
    ids: tuple[int, ...] | None = None

    def __call__(self, row: int) -> np.ndarray:
        """Return the masks of one image; each pixel has the value that the file has at its center.

        Raises:
            ValueError: if a file is not a mask of this image.
        """
        masks = np.zeros((self.count, self.size, self.size), bool)
        for path, part in self.files[row]:
            values = read_mask(path, self.pictures[row], self.size)
            if self.ids is None:
                masks[part] = values != 0
                continue
            if values.max() > len(self.ids):
                named = f"0 to {len(self.ids)}, the parts that data.mask_parts names"
                raise ValueError(f"{path} holds part {values.max()}; expected {named}")
            for value, number in enumerate(self.ids, 1):
                masks[number] = values == value
        return masks

    def content(self, rows: Iterable[int]) -> Iterator[bytes]:
        """Yield the bytes of the files of these images."""
        for row in rows:
            for path, part in self.files[row]:
                yield repr((part, self.ids)).encode()
                yield Path(path).read_bytes()


def read_mask(path: str, picture: str, size: int) -> np.ndarray:
    """Return the values ``(size, size)`` of a mask file, resized with its picture.

    Raises:
        ValueError: if it is no image of one whole number a pixel, or not of the size of the picture, upright.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in ONE_BAND:
                raise ValueError(f"{path} has the bands {', '.join(image.getbands())}; expected one number a pixel")
            upright = upright_size(picture)
            if image.size != upright:
                raise ValueError(f"{path} is {image.size} pixels; expected {upright}, as {picture} is, upright")
            values = image.resize((size, size), Image.Resampling.NEAREST)
            return np.asarray(values).astype(np.int64)
    except (OSError, SyntaxError, UnidentifiedImageError) as error:
        raise ValueError(f"{path} cannot be read as an image ({error}); expected a PNG file of one band") from error


class MaskFolder:
    """The mask files of a folder, by image and part.

    Args:
        folder: with a PNG of part ids for each image, ``<folder>/<class>/<image>.png``; or, without ``parts``, a folder
            for each part, ``<folder>/<part>/<class>/<image>.png``.
        root: folder of the images.
        parts: names of the ids 1, 2, ...; None where each part has a folder.

    Raises:
        ValueError: if there are no masks, or names occur twice.
    """

    def __init__(self, folder: Path, root: Path, parts: Sequence[str] | None) -> None:
        self.folder = folder
        self.root = root
        if not folder.is_dir():
            raise ValueError(f"{folder} is no folder; set data.masks to the folder of the masks")
        if root.resolve() in (folder.resolve(), *folder.resolve().parents):
            where = "is inside data.root, whose folders are classes; expected a folder beside it"
            raise ValueError(f"data.masks {folder} {where}")
        self.ids = parts is not None
        folders = [path.name for path in folder.iterdir() if path.is_dir() and not is_junk(path.name)]
        names = folders if parts is None else list(parts)
        if not names:
            expected = "expected one for each part, or names of part ids in data.mask_parts"
            raise ValueError(f"{folder} has no folders; {expected}")
        if len(set(names)) < len(names):
            raise ValueError(f"data.mask_parts is {names}; expected a different name for each part")
        self.part_names = tuple(names if self.ids else sorted(names))

    def of_images(self, pictures: Sequence[Picture], part_names: Sequence[str], size: int) -> PartMasks:
        """Return the masks of images, with the parts in the order of ``part_names``.

        Raises:
            ValueError: if an image has no file of part ids.
        """
        place = {name: i for i, name in enumerate(part_names)}
        folders = [(self.folder, 0)] if self.ids else [(self.folder / name, place[name]) for name in self.part_names]
        files: list[tuple[tuple[str, int], ...]] = []
        for picture in pictures:
            expected = [(top / PurePosixPath(picture.name).with_suffix(".png"), part) for top, part in folders]
            files.append(tuple((str(path), part) for path, part in expected if path.is_file()))
            if self.ids and not files[-1]:
                image = self.root / picture.name
                raise ValueError(f"{image} has no mask; expected {expected[0][0]}, which is 0 where there is no part")
        ids = tuple(place[name] for name in self.part_names) if self.ids else None
        return PartMasks(tuple(str(p.path) for p in pictures), tuple(files), len(part_names), size, ids)

    def check(self, pictures: Sequence[Picture]) -> None:
        """Check that every mask file is that of one image.

        Raises:
            ValueError: naming the file without an image, or two images with one mask.
        """
        owner: dict[str, str] = {}
        for picture in pictures:
            key = PurePosixPath(picture.name).with_suffix("").as_posix()
            if key in owner:
                raise ValueError(f"{owner[key]} and {picture.name} have one mask, {key}.png; rename one of the images")
            owner[key] = picture.name
        count = 0
        for top in [self.folder] if self.ids else [self.folder / name for name in self.part_names]:
            for path in sorted(top.rglob("*")):
                if path.is_dir() or is_junk(path.name):
                    continue
                if path.suffix.lower() != ".png":
                    raise ValueError(f"{path} is no PNG file; expected masks alone in {self.folder}")
                key = name_key(path.relative_to(top).with_suffix("").as_posix())
                if key not in owner:
                    raise ValueError(f"{path} is the mask of no image; expected an image of that name in {self.root}")
                count += 1
        if not count:
            raise ValueError(f"{self.folder} has no masks; expected files such as {self._example(pictures[0])}")

    def _example(self, picture: Picture) -> Path:
        top = self.folder if self.ids else self.folder / self.part_names[0]
        return top / PurePosixPath(picture.name).with_suffix(".png")
