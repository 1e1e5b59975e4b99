"""Arrays of a packed file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np


def read_npz(path: Path, *keys: str) -> list[np.ndarray]:
    """Arrays of an npz file, by name. Nothing in it is unpickled.

    Raises:
        ValueError: naming the file, if it is damaged, is no npz or has no such array.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is damaged or no npz file; fetch it again")
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            present = set(file.files)
            arrays = [file[key] for key in keys if key in present]
    except Exception as error:  # zipfile, zlib and numpy each have several words for a wrong byte
        raise ValueError(f"{path} is damaged ({' '.join(str(error).split())}); fetch it again") from error
    if lost := [key for key in keys if key not in present]:
        raise ValueError(f"{path} has no array {lost[0]!r}; it is not the file that is wanted here, fetch it again")
    return arrays
