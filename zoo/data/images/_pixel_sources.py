"""Sources of pixels: called with a row, they return an image ``(s, s)`` or ``(s, s, 3)`` uint8, resized."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from zoo.inputs.images.picture import DRAFT, WHITE, read_picture


class Pixels(Protocol):
    """A source of images; picklable, so that workers can use it."""

    def __call__(self, row: int) -> np.ndarray:
        """Return the pixels of one image."""
        ...

    def content(self, rows: Iterable[int]) -> Iterator[bytes]:
        """Yield the bytes that determine the pixels of these images before resizing, image by image."""
        ...


def squash(image: Image.Image, size: int) -> np.ndarray:
    """Return the whole image resized to a square (bilinear), gray or RGB as before."""
    image = image if image.mode in ("L", "RGB") else image.convert("RGB")
    return np.asarray(image if image.size == (size, size) else image.resize((size, size), Image.Resampling.BILINEAR))


@dataclass(frozen=True)
class Arrays:
    """Images ``(n, h, w)`` or ``(n, h, w, 3)`` uint8 in memory."""

    images: np.ndarray
    size: int

    def __call__(self, row: int) -> np.ndarray:
        """Return the pixels of one image."""
        return squash(Image.fromarray(self.images[row]), self.size)

    def content(self, rows: Iterable[int]) -> Iterator[bytes]:
        """Return the bytes of the arrays."""
        return (self.images[row].tobytes() for row in rows)


@dataclass(frozen=True)
class Packed:
    """Concatenated encoded images: image i is ``blob[offset[i]:offset[i + 1]]``."""

    path: str
    blob: np.ndarray
    offset: np.ndarray
    size: int

    def __call__(self, row: int) -> np.ndarray:
        """Return the pixels of one image.

        Raises:
            ValueError: if the image cannot be decoded.
        """
        try:
            return squash(Image.open(io.BytesIO(self._encoded(row))), self.size)
        except (OSError, SyntaxError) as error:
            raise ValueError(
                f"{self.path}: image {row} cannot be decoded ({error}); download the file again"
            ) from error

    def content(self, rows: Iterable[int]) -> Iterator[bytes]:
        """Return the encoded images."""
        return map(self._encoded, rows)

    def _encoded(self, row: int) -> bytes:
        return self.blob[self.offset[row] : self.offset[row + 1]].tobytes()


@dataclass(frozen=True)
class Files:
    """Image files, each cropped to its box if there are boxes ``(n, 4)``: x1, y1, x2, y2 in whole pixels."""

    paths: Sequence[str]
    size: int
    boxes: np.ndarray | None = None

    def __call__(self, row: int) -> np.ndarray:
        """Return the pixels of one image.

        Raises:
            ValueError: if the file is missing or not an image.
        """
        try:
            with Image.open(self.paths[row]) as image:
                if self.boxes is None:
                    image.draft(None, (DRAFT * self.size, DRAFT * self.size))  # of a JPEG file
                image = image.convert("RGB")
        except (OSError, SyntaxError) as error:
            raise ValueError(f"{self.paths[row]} cannot be read as an image ({error}); restore or remove it") from error
        if self.boxes is not None:
            x1, y1, x2, y2 = self.boxes[row].tolist()
            image = image.crop((x1, y1, x2, y2))
        return squash(image, self.size)

    def content(self, rows: Iterable[int]) -> Iterator[bytes]:
        """Yield box, length and bytes of each file, read one at a time.

        Raises:
            ValueError: if a file cannot be read.
        """
        for row in rows:
            try:
                encoded = Path(self.paths[row]).read_bytes()
            except OSError as error:
                raise ValueError(f"{self.paths[row]} cannot be read ({error}); restore or remove it") from error
            box = [] if self.boxes is None else self.boxes[row].tolist()
            yield f"{box} {len(encoded)}\n".encode()
            yield encoded


@dataclass(frozen=True)
class Pictures(Files):
    """Picture files of a user, read as people see them, see ``zoo.inputs.images.picture.read_picture``."""

    background: tuple[int, int, int] = WHITE
    value_range: tuple[float, float] | None = None

    def __call__(self, row: int) -> np.ndarray:
        """Pixels of one image.

        Raises:
            ValueError: as ``read_picture``.
        """
        options = {"background": self.background, "value_range": self.value_range, "side": self.size}
        pixels = read_picture(self.paths[row], **options)
        return squash(Image.fromarray(pixels).convert("RGB"), self.size)
