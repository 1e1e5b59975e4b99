"""Reading of files that several sources share: npz arrays, UTF-8 text, compressed lines."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from zoo.inputs.packed_files import DAMAGED, InflatedError, check_inflation, unpacked


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


def open_text(path: Path, newline: str | None = None) -> io.TextIOWrapper:
    """Open a UTF-8 text file: plain, ``.gz`` or ``.xz``.

    Args:
        path: the file.
        newline: which ends of lines are translated, as for ``open``.

    Raises:
        InflatedError: (while reading) if the file inflates.
    """
    return io.TextIOWrapper(unpacked(path.open("rb"), path), encoding="utf-8-sig", newline=newline)
