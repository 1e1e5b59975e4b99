"""Reading of files that several sources share: npz arrays, UTF-8 text, compressed lines."""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

OPEN = {".gz": gzip.open, ".xz": lzma.open}
MAX_RATIO = 200  # of unpacked to packed bytes; text and pictures reach 20
MIN_BOMB = 1 << 28  # unpacked bytes; smaller contents do no harm at any ratio
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError)  # what reading a damaged compressed file raises


def read_npz(path: Path, *keys: str) -> list[np.ndarray]:
    """Return arrays of an npz file by name; nothing in it is unpickled.

    Raises:
        ValueError: if the file is damaged, is not an npz file or lacks an array; the file is named.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is damaged or not an npz file; download it again")
    try:
        with zipfile.ZipFile(path) as archive:
            packed = path.stat().st_size
            check_inflation(path, packed, sum(entry.file_size for entry in archive.infolist()))
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            present = set(file.files)
            arrays = [file[key] for key in keys if key in present]
    except InflatedError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise different errors for a wrong byte
        raise ValueError(f"{path} is damaged ({' '.join(str(error).split())}); download it again") from error
    missing = [key for key in keys if key not in present]
    if missing:
        raise ValueError(f"{path} has no array {missing[0]!r}; it is not the expected file, download it again")
    return arrays


def not_utf8(path: Path, error: UnicodeDecodeError) -> ValueError:
    """Return the error for a text file that is not UTF-8."""
    return ValueError(f"{path} is not UTF-8 text ({error.reason}); convert it")


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file: plain, ``.gz`` or ``.xz``.

    Raises:
        ValueError: if the file is damaged or not UTF-8.
    """
    try:
        with open_text(path) as file:
            yield from file
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from error
    except DAMAGED as error:
        raise ValueError(f"{path} is damaged: {error}") from error


class InflatedError(ValueError):
    """A packed file whose content is so much larger that it would fill the memory."""


def check_inflation(path: Path, packed: int, unpacked: int) -> None:
    """Check that a packed file does not inflate.

    Args:
        path: the file.
        packed: its bytes.
        unpacked: bytes of its content, or of the part that was read.

    Raises:
        InflatedError: if the content is large and more than ``MAX_RATIO`` times as large.
    """
    if unpacked > max(MIN_BOMB, MAX_RATIO * packed):
        raise InflatedError(f"{path} has {packed} bytes and inflates to {unpacked} or more; unpack it if that is right")


def open_text(path: Path) -> io.TextIOWrapper:
    """Open a UTF-8 text file: plain, ``.gz`` or ``.xz``.

    Raises:
        InflatedError: (while reading) if the file inflates.
    """
    file: Any = path.open("rb")
    if path.suffix in OPEN:
        unpacking: Any = OPEN[path.suffix](file, "rb")
        file = io.BufferedReader(_Counted(path, unpacking, file))
    return io.TextIOWrapper(file, encoding="utf-8-sig")


class _Counted(io.RawIOBase):
    """The content of a packed file, counted while it is read."""

    def __init__(self, path: Path, unpacked: BinaryIO, packed: BinaryIO) -> None:
        self.path = path
        self.unpacked = unpacked
        self.packed = packed
        self.size = path.stat().st_size
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self.unpacked.read(len(buffer))
        buffer[: len(content)] = content
        self.count += len(content)
        check_inflation(self.path, self.size, self.count)
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self.unpacked.close()
            self.packed.close()
        super().close()
