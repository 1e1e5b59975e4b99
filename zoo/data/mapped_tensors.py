"""Long rows of numbers in a file instead of in memory."""

from __future__ import annotations

import os
import tempfile

import numpy as np
import torch
from torch import Tensor

from zoo import paths

IN_MEMORY = 1 << 18  # numbers of a row that stays in memory


def long_row(n: int) -> Tensor:
    """Return an uninitialized tensor ``(n,)`` int64, beyond ``IN_MEMORY`` numbers in a mapped file of the user's cache.

    The file has no name and ends with the process; the system writes its pages to disk when memory is short.

    Raises:
        OSError: if the disk is full.

    >>> torch.arange(5, out=long_row(5)).tolist()
    [0, 1, 2, 3, 4]
    """
    if n <= IN_MEMORY:
        return torch.empty(n, dtype=torch.int64)
    folder = paths.cache() / "rows"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, 8 * n)  # a full disk is an error here, not a crash at the first write
        return torch.from_numpy(np.memmap(file, np.int64, "r+", shape=(n,)))
