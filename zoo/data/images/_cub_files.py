"""The two file formats of CUB-200-2011, with one interface."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from zoo.data.file_readers import read_npz
from zoo.data.images._pixel_sources import Files, Packed, Pixels

# Indices, from 0, of the 112 of 312 attributes that the concept papers keep (Koh et al. 2020): common in many classes.
CONCEPTS = np.array(
    [
        *(1, 4, 6, 7, 10, 14, 15, 20, 21, 23, 25, 29, 30, 35, 36, 38, 40, 44, 45, 50, 51, 53, 54, 56, 57, 59, 63, 64),
        *(69, 70, 72, 75, 80, 84, 90, 91, 93, 99, 101, 106, 110, 111, 116, 117, 119, 125, 126, 131, 132, 134, 145),
        *(149, 151, 152, 153, 157, 158, 163, 164, 168, 172, 178, 179, 181, 183, 187, 188, 193, 194, 196, 198, 202),
        *(203, 208, 209, 211, 212, 213, 218, 220, 221, 225, 235, 236, 238, 239, 240, 242, 243, 244, 249, 253, 254),
        *(259, 260, 262, 268, 274, 277, 283, 289, 292, 293, 294, 298, 299, 304, 305, 308, 309, 310, 311),
    ]
)


class CubPacked:
    """One npz file of square box crops as JPEG, with all annotations."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _get(self, key: str) -> np.ndarray:
        return read_npz(self.path, key)[0]

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Names of all c classes."""
        return tuple(name.replace("_", " ") for name in self._get("class_name").tolist())

    @cached_property
    def concept_names(self) -> tuple[str, ...]:
        """Names of the 112 concepts."""
        return tuple(self._get("attribute_names")[CONCEPTS].tolist())

    @property
    def image_names(self) -> list[str]:
        """All n file names, as in the published folder."""
        return [name.decode() for name in self._get("filename")]

    @property
    def labels(self) -> np.ndarray:
        """Class ``(n,)`` int64, from 0."""
        return self._get("label").astype(np.int64)

    @property
    def is_train(self) -> np.ndarray:
        """Whether each image is in the training split, ``(n,)`` bool."""
        return self._get("is_train").astype(bool)

    def class_concepts(self) -> np.ndarray:
        """Return the concepts ``(c, 112)`` float32 of each class."""
        return (self._get("class_attributes")[:, CONCEPTS] >= 50).astype(np.float32)

    def keypoints(self) -> tuple[np.ndarray, np.ndarray]:
        """Return keypoints ``(n, 15, 2)`` float64 relative to the crop, in [0, 1], and visibility ``(n, 15)`` bool.

        The file stores them as float32, which would truncate about one visible keypoint in a hundred to the wrong
        pixel. They were computed from whole pixels of a box of known size, so they are rounded back to those first.
        """
        sides = np.trunc(self._get("bbox").astype(np.float64)[:, None, 2:])
        return (self._get("keypoints") * sides).round() / sides, self._get("visible").astype(bool)

    def pixels(self, size: int) -> Pixels:
        """Return the crops resized to ``size`` pixels."""
        return Packed(str(self.path), self._get("jpeg"), self._get("offset"), size)


class CubFolder:
    """The folder ``CUB_200_2011`` as published."""

    def __init__(self, path: Path, *, crop: str) -> None:
        self.path = path
        self.crop = crop

    def _lines(self, name: str, columns: int) -> list[list[str]]:
        file = self.path / name
        if not file.is_file():
            raise ValueError(f"{file} is missing; unpack CUB_200_2011.tgz again")
        rows = [line.split(maxsplit=columns - 1) for line in file.read_text().splitlines()]
        for number, row in enumerate(rows, 1):
            if len(row) != columns:
                raise ValueError(f"{file}, line {number}: {len(row)} columns where {columns} are expected")
        return rows

    def _numbers(self, name: str, columns: int) -> np.ndarray:
        rows = self._lines(name, columns)
        try:
            return np.array(rows, dtype=np.float64)
        except ValueError:
            for number, row in enumerate(rows, 1):
                if not all(_is_number(cell) for cell in row):
                    where = f"{self.path / name}, line {number}"
                    raise ValueError(f"{where}: {' '.join(row)!r}; expected numbers only") from None
            raise

    def _column(self, name: str) -> np.ndarray:
        table = self._numbers(name, 2)
        if len(table) != len(self.image_names) or (table[:, 0] != np.arange(1, len(table) + 1)).any():
            raise ValueError(f"{self.path / name} must have one line for each of images.txt, in the same order")
        return table[:, 1].astype(np.int64)

    @cached_property
    def image_names(self) -> list[str]:
        """All n paths under ``images``."""
        return [row[1] for row in self._lines("images.txt", 2)]

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Names of all c classes."""
        return tuple(row[1].split(".", 1)[-1].replace("_", " ") for row in self._lines("classes.txt", 2))

    @cached_property
    def _attribute_names(self) -> list[str]:
        for folder in (self.path / "attributes", self.path, self.path.parent):
            file = folder / "attributes.txt"
            if file.is_file():
                return [line.split(maxsplit=1)[1] for line in file.read_text().splitlines()]
        return []

    @cached_property
    def concept_names(self) -> tuple[str, ...]:
        """Names of the 112 concepts; empty without the attribute files."""
        values = self.path / "attributes" / "class_attribute_labels_continuous.txt"
        complete = len(self._attribute_names) == 312 and values.is_file()
        return tuple(self._attribute_names[i] for i in CONCEPTS) if complete else ()

    @cached_property
    def labels(self) -> np.ndarray:
        """Class ``(n,)`` int64, from 0."""
        return self._column("image_class_labels.txt") - 1

    @cached_property
    def is_train(self) -> np.ndarray:
        """Whether each image is in the training split, ``(n,)`` bool."""
        return self._column("train_test_split.txt") == 1

    def class_concepts(self) -> np.ndarray | None:
        """Return the concepts ``(c, 112)`` float32 of each class; None without the attribute files."""
        if not self.concept_names:
            return None
        values = self._numbers("attributes/class_attribute_labels_continuous.txt", 312)
        return (values[:, CONCEPTS] >= 50).astype(np.float32)

    @cached_property
    def _boxes(self) -> np.ndarray:
        table = self._numbers("bounding_boxes.txt", 5)
        bad = ~(np.isfinite(table).all(1) & (np.trunc(table[:, 3:]) >= 1).all(1))
        if len(table) != len(self.image_names) or bad.any():
            where = (
                f", line {bad.argmax() + 1}: empty or not a number"
                if bad.any()
                else ": expected one line for each image"
            )
            raise ValueError(f"{self.path / 'bounding_boxes.txt'}{where}")
        corner = np.trunc(table[:, 1:3])
        sides = np.trunc(table[:, 3:5])
        return np.concatenate([corner, corner + sides], 1).astype(np.int64)

    def keypoints(self) -> tuple[np.ndarray, np.ndarray]:
        """Return keypoints ``(n, 15, 2)`` float64 relative to the crop or image, and visibility ``(n, 15)`` bool."""
        n = len(self.image_names)
        file = self.path / "parts" / "part_locs.txt"
        table = self._numbers("parts/part_locs.txt", 5)
        bad = ~np.isfinite(table[:, 2:]).all(1) | ((table[:, 2:4] < 0).any(1) & (table[:, 4] > 0))
        if len(table) != n * 15 or bad.any():
            where = (
                f", line {bad.argmax() + 1}: negative or not a number" if bad.any() else f": expected {n} x 15 lines"
            )
            raise ValueError(f"{file}{where}")
        points = table[:, 2:4].reshape(n, 15, 2)
        visible = table[:, 4].reshape(n, 15) > 0
        if self.crop == "box":
            start = self._boxes[:, None, :2]
            sides = (self._boxes[:, 2:] - self._boxes[:, :2])[:, None]
            return (np.trunc(points) - start) / sides, visible
        return points / self._sizes()[:, None], visible

    def _sizes(self) -> np.ndarray:
        sizes = []
        for name in self.image_names:
            try:
                with Image.open(self.path / "images" / name) as image:
                    sizes.append(image.size)
            except OSError as error:
                raise ValueError(f"{self.path / 'images' / name} cannot be read as an image ({error})") from error
        return np.array(sizes, dtype=np.float64)

    def pixels(self, size: int) -> Pixels:
        """Return the images resized to ``size`` pixels, cropped to their boxes if ``crop="box"``."""
        files = [str(self.path / "images" / name) for name in self.image_names]
        return Files(files, size, self._boxes if self.crop == "box" else None)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
