"""One reader of pictures: a file, a PIL image or an array becomes uint8 gray or RGB as people see it, or is refused."""

from __future__ import annotations

import math
import struct
import warnings
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from zoo.inputs.images.dicom import is_dicom, read_dicom
from zoo.inputs.regular_files import open_regular

MAX_PIXELS = 89_478_485  # of one picture, as in PIL; a larger one is taken for a decompression bomb
REFUSED = {
    "EPS",
    "WMF",
    "EMF",
    "PDF",
    "MPEG",
    "GRIB",
    "HDF5",
    "BUFR",
}  # formats that run another program, or no picture
TIFF_TILE = (322, 323)  # the tags TileWidth and TileLength
DRAFT = 2  # pixels to which a JPEG file is decoded, for each pixel that is needed
WHITE = (255, 255, 255)
TWELVE_BITS = 4095
ORIENTATION = 0x0112  # the EXIF tag
DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
    struct.error,
    zlib.error,
    MemoryError,
    Image.DecompressionBombError,
    NotImplementedError,
)

warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\..*Plugin")  # of damaged tags; errors tell enough


@cache
def formats() -> tuple[str, ...]:
    """Formats that can be read."""
    Image.init()
    return tuple(sorted(name for name in Image.OPEN if name not in REFUSED))


@cache
def extensions() -> frozenset[str]:
    """Extensions of files that can be read, in lower case, such as ``.jpg``, ``.jfif`` and ``.dcm``."""
    known = Image.registered_extensions()
    return frozenset({*(suffix for suffix, name in known.items() if name in formats()), ".dcm", ".dicom"})


def read_picture(
    source: Any,
    *,
    background: tuple[int, int, int] = WHITE,
    value_range: tuple[float, float] | None = None,
    side: int | None = None,
) -> np.ndarray:
    """Return a picture as people see it, gray ``(h, w)`` or RGB ``(h, w, 3)`` uint8.

    The EXIF orientation is applied, transparent pixels show the background, palettes and CMYK become RGB. 16-bit
    pictures are scaled from 0 to 65535, floats from 0 to 1, DICOM by its window. What is ambiguous is refused: 16-bit
    values that all fit in 12 bits, floats outside 0 to 1, 32-bit integers. ``value_range`` resolves it.

    Args:
        source: a path; a PIL image; an array ``(h, w)``, ``(h, w, 1)``, ``(h, w, 3)`` or ``(h, w, 4)``; a tensor,
            whose channels come first.
        background: color behind transparent pixels.
        value_range: values that are black and white in pictures that are not of 8 bits.
        side: to which the picture will be resized: a JPEG file is decoded at the half, quarter or eighth of its size
            that has at least ``DRAFT`` times as many pixels a side, several times as fast. None for the whole size.

    Raises:
        ValueError: if the file is missing, no regular file, no picture, damaged, too large, or has several pages; or if
            the range of its values is ambiguous.

    >>> read_picture(np.array([[0, 65535]], np.uint16))
    array([[  0, 255]], dtype=uint8)
    """
    if isinstance(source, str | Path):
        return _read_file(Path(source).expanduser(), background, value_range, side)
    if isinstance(source, Image.Image):
        return _upright_pixels(source, "the picture", background, value_range)
    if isinstance(source, np.ndarray | torch.Tensor):
        return _read_array(source, background, value_range)
    raise ValueError(
        f"a picture is given as {type(source).__name__}; expected a path, a PIL image, an array or a tensor"
    )


def upright_size(path: str | Path) -> tuple[int, int]:
    """Return width and height of a picture file as people see it, without decoding it.

    Raises:
        ValueError: as ``read_picture``.
    """
    path = Path(path).expanduser()
    with open_regular(path) as file:
        start = file.peek(132)  # pyright: ignore[reportAttributeAccessIssue]
        if is_dicom(start):
            height, width = read_dicom(file, str(path)).shape[:2]
            return width, height
        with _opened(file, str(path)) as image:
            width, height = image.size
            return (height, width) if _orientation(image) >= 5 else (width, height)


def orientation_of(source: str | Path | Image.Image) -> int:
    """Return the EXIF orientation of a picture, 1 to 8; 1 if it has none.

    Raises:
        ValueError: if a file cannot be read.
    """
    if isinstance(source, Image.Image):
        return _orientation(source)
    with open_regular(Path(source).expanduser()) as file, _opened(file, str(source)) as image:
        return _orientation(image)


def upright_points(points: np.ndarray, size: tuple[int, int], orientation: int) -> np.ndarray:
    """Return where keypoints that were marked on the stored pixels lie in the picture as people see it.

    Keypoints that people marked on the picture as they saw it need no such step.

    Args:
        points: ``(..., 2)`` x and y in pixels, from 0 to the width and height.
        size: width and height of the stored picture.
        orientation: EXIF orientation, 1 to 8.

    Raises:
        ValueError: if the orientation is not from 1 to 8.

    >>> upright_points(np.array([0.0, 0.0]), (60, 40), 6)  # turned right by a quarter
    array([40.,  0.])
    """
    x, y = points[..., 0], points[..., 1]
    width, height = size
    by_tag = {
        1: (x, y),
        2: (width - x, y),
        3: (width - x, height - y),
        4: (x, height - y),
        5: (y, x),
        6: (height - y, x),
        7: (height - y, width - x),
        8: (y, width - x),
    }
    if orientation not in by_tag:
        raise ValueError(f"the EXIF orientation is {orientation}; expected 1 to 8")
    return np.stack(by_tag[orientation], -1)


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except DAMAGED:
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _read_file(
    path: Path, background: tuple[int, int, int], value_range: tuple[float, float] | None, side: int | None
) -> np.ndarray:
    with open_regular(path) as file:
        if is_dicom(file.peek(132)):  # pyright: ignore[reportAttributeAccessIssue]
            return read_dicom(file, str(path), max_pixels=MAX_PIXELS)
        with _opened(file, str(path)) as image:
            if side is not None and image.format == "JPEG":
                image.draft(None, (DRAFT * side, DRAFT * side))
            return _upright_pixels(image, str(path), background, value_range)


def _opened(file: Any, where: str) -> Image.Image:
    """An image whose header was read, and which is not too large."""
    try:
        image = Image.open(file, formats=formats())
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"{where} has too many pixels; expected at most {MAX_PIXELS}, make it smaller") from error
    except DAMAGED as error:
        reason = "it is of no known format" if isinstance(error, Image.UnidentifiedImageError) else _one_line(error)
        raise ValueError(f"{where} cannot be read as a picture ({reason}); restore or remove it") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"{where} is {width} x {height} pixels; expected at most {MAX_PIXELS}, make it smaller")
    tags: Any = getattr(image, "tag_v2", {})  # of a TIFF file, whose tiles are unpacked whole even where they jut out
    tile = [tags.get(tag, 0) for tag in TIFF_TILE]
    if all(isinstance(side, int) for side in tile) and math.prod(tile) > MAX_PIXELS:
        raise ValueError(f"{where} has tiles of {tile[0]} x {tile[1]} pixels; expected at most {MAX_PIXELS}")
    return image


def _upright_pixels(
    image: Image.Image, where: str, background: tuple[int, int, int], value_range: tuple[float, float] | None
) -> np.ndarray:
    """Pixels of a PIL image in any mode."""
    try:
        pages = getattr(image, "n_frames", 1)
        image.load()
        turned = ImageOps.exif_transpose(image) if _orientation(image) != 1 else image
        assert turned is not None
    except DAMAGED as error:
        raise ValueError(f"{where} cannot be read as a picture ({_one_line(error)}); restore or remove it") from error
    if pages > 1 and image.format != "MPO":  # a camera's MPO holds previews behind the picture
        raise ValueError(f"{where} has {pages} pages or frames; save the one that is meant as a picture of its own")
    mode = turned.mode
    if mode.startswith("I;16") or mode in ("I", "F"):
        wide = np.asarray(turned)
        sixteen = mode.startswith("I;16")
        if mode == "I" and image.format == "PPM":  # PIL scales these files to 16 bits
            value_range = value_range or (0.0, 65535.0)
        return _scaled(wide.astype(np.uint16 if sixteen else wide.dtype), where, value_range)
    if mode == "LAB":
        raise ValueError(f"{where} is in the color space LAB; save it as RGB")
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in turned.info:
        return _over(np.asarray(turned.convert("RGBA")), background, gray=mode in ("LA", "La", "L", "1"))
    return np.asarray(turned.convert("L" if mode in ("1", "L") else "RGB"))


def _over(rgba: np.ndarray, background: tuple[int, int, int], *, gray: bool) -> np.ndarray:
    """Pixels ``(h, w, 4)`` uint8 over a background."""
    alpha = rgba[..., 3:].astype(np.uint32)
    mixed = (rgba[..., :3] * alpha + np.array(background, np.uint32) * (255 - alpha) + 127) // 255
    out = mixed.astype(np.uint8)
    return out[..., 0] if gray and len(set(background)) == 1 else out


def _scaled(values: np.ndarray, where: str, value_range: tuple[float, float] | None) -> np.ndarray:
    """Values of more than 8 bits as uint8, by the range of their type or a declared one."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"{where} has pixels that are not finite; replace them")
    low, high = float(values.min()), float(values.max())
    cure = "declare data.value_range=[low, high], the values that are black and white"
    if value_range is None:
        if values.dtype == np.uint16:
            if 0 < high <= TWELVE_BITS:
                raise ValueError(
                    f"{where} is of 16 bits and its largest value is {high:.0f}: it may be of 8 or 12 bits, or dark;"
                    f" {cure}"
                )
            value_range = (0.0, 65535.0)
        elif values.dtype.kind == "f":
            if low < 0 or high > 1:
                raise ValueError(f"{where} has floats from {low:.6g} to {high:.6g}; expected 0 to 1, or {cure}")
            value_range = (0.0, 1.0)
        else:
            raise ValueError(
                f"{where} has 32-bit integers from {low:.0f} to {high:.0f}, whose range is not clear; {cure}"
            )
    black, white = value_range
    share = (values.astype(np.float64) - black) / (white - black)
    return np.rint(share.clip(0, 1) * 255).astype(np.uint8)


def _read_array(
    source: np.ndarray | torch.Tensor, background: tuple[int, int, int], value_range: tuple[float, float] | None
) -> np.ndarray:
    first = isinstance(source, torch.Tensor)
    array = source.detach().cpu().numpy() if isinstance(source, torch.Tensor) else source
    shape = tuple(array.shape)
    if array.ndim == 4:
        raise ValueError(f"a picture has the shape {shape}, which is several; give a list of pictures")
    if array.ndim == 3:
        channels = (1, 3, 4)
        if (first and shape[0] in channels) or (shape[2] not in channels and shape[0] in channels):
            array = np.moveaxis(array, 0, 2)
        elif shape[2] not in channels:
            raise ValueError(f"a picture has the shape {shape}; expected (h, w) or (h, w, 1, 3 or 4)")
        array = array[..., 0] if array.shape[2] == 1 else array
    elif array.ndim != 2:
        raise ValueError(f"a picture has the shape {shape}; expected (h, w) or (h, w, 1, 3 or 4)")
    if not array.size or array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise ValueError(f"a picture has the shape {shape}; expected 1 to {MAX_PIXELS} pixels")
    if array.dtype == bool:
        array = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype == np.uint16 or array.dtype.kind == "f":
        array = _scaled(array, "the picture", value_range)
    elif array.dtype != np.uint8:
        raise ValueError(
            f"a picture is an array of {array.dtype}; expected uint8, uint16, or floats from 0 to 1: convert it, such"
            " as with .astype('uint8')"
        )
    return _over(array, background, gray=False) if array.ndim == 3 and array.shape[2] == 4 else array


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
