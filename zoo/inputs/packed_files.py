"""Reading of packed files (``.gz``, ``.xz``, and Parquet) whose content may not inflate without limit."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import zlib
from typing import Any, BinaryIO

MAX_RATIO = 200  # of unpacked to packed bytes; text and pictures reach 20
MIN_BOMB = 1 << 28  # unpacked bytes; smaller contents do no harm at any ratio
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError)  # what reading a damaged compressed file raises
OPEN = {b"\x1f\x8b": gzip.open, b"\xfd7": lzma.open}  # by the first bytes
OPEN_NAMED = {".gz": gzip.open, ".xz": lzma.open}  # by the end of the name


class InflatedError(ValueError):
    """A packed file whose content is so much larger that it would fill the memory."""


def check_inflation(name: object, packed: int, unpacked: int) -> None:
    """Check that a packed file does not inflate.

    Args:
        name: the file.
        packed: its bytes.
        unpacked: bytes of its content, or of the part that was read.

    Raises:
        InflatedError: if the content is large and more than ``MAX_RATIO`` times as large.
    """
    if unpacked > max(MIN_BOMB, MAX_RATIO * packed):
        raise InflatedError(f"{name} has {packed} bytes and inflates to {unpacked} or more; unpack it if that is right")


def unpacked(file: BinaryIO, name: object) -> BinaryIO:
    """Return a buffered file as it is, or, if it begins as a gzip or xz file or has the name of one, its content.

    Args:
        file: of bytes, at its beginning; closed with what is returned.
        name: for errors.

    Raises:
        InflatedError: (while reading) if the file inflates.
        OSError, EOFError, zlib.error, lzma.LZMAError: (while reading) if it is damaged, see ``DAMAGED``.
    """
    start = file.peek(2)[:2]  # pyright: ignore[reportAttributeAccessIssue]
    opened = OPEN.get(start) or OPEN_NAMED.get(os.path.splitext(str(name))[1])
    if opened is None:
        return file
    return io.BufferedReader(_Counted(file, opened(file), name))


class _Counted(io.RawIOBase):
    """The content of a packed file, counted while it is read."""

    def __init__(self, packed: BinaryIO, content: BinaryIO, name: object) -> None:
        self.packed = packed
        self.content = content
        self.name = name  # pyright: ignore[reportIncompatibleVariableOverride]
        self.size = os.fstat(packed.fileno()).st_size
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self.content.read(len(buffer))
        buffer[: len(content)] = content
        self.count += len(content)
        check_inflation(self.name, self.size, self.count)
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self.content.close()
            self.packed.close()
        super().close()
