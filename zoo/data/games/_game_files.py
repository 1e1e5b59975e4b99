"""Files of games, and which games are the same."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

OPEN = {".gz": gzip.open, ".xz": lzma.open}


def different(table: np.ndarray) -> np.ndarray:
    """The first row, in order, of all rows ``(n, t)`` that are alike."""
    odd = -table.shape[1] * table.itemsize % 8 // table.itemsize
    words = np.ascontiguousarray(np.pad(table, ((0, 0), (0, odd)))).view(np.uint64)
    order = np.lexsort(words.T)
    new = np.ones(len(order), bool)
    new[1:] = (words[order[1:]] != words[order[:-1]]).any(1)
    return np.sort(order[new])


def lines(path: Path) -> Iterator[str]:
    """Lines of a text file, plain, ``.gz`` or ``.xz``.

    Raises:
        ValueError: if it is damaged or no text.
    """
    try:
        with OPEN.get(path.suffix, open)(path, "rt", encoding="utf-8-sig") as file:
            yield from file
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text ({error.reason}); convert it") from error
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
