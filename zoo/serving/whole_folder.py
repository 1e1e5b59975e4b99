"""Folders that come to their place as a whole, also where the process that fills them is killed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows, where what a killed process left stays
    fcntl = None

PREFIX = ".partial-"
OLD = "replaced"  # holds a folder while it is replaced


@contextmanager
def filled_beside(folder: Path) -> Iterator[Path]:
    """Yield a path beside a folder to fill; at the end it takes the place of the folder, after an error it is removed.

    What processes that were killed left in the parent is removed first, and a folder that one of them was replacing
    is put back.

    Args:
        folder: its parent exists.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     with filled_beside(Path(parent) / "model") as part:
        ...         part.mkdir()
        ...     [path.name for path in Path(parent).iterdir()]
        ['model']
    """
    parent = folder.parent
    sweep(parent)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent, ignore_cleanup_errors=True) as place:
        lock = _locked(Path(place))
        try:
            part = Path(place) / folder.name
            yield part
            if folder.exists():
                old = Path(place) / OLD
                old.mkdir()
                os.replace(folder, old / folder.name)
            os.replace(part, folder)
        finally:
            if lock is not None:
                os.close(lock)


def sweep(parent: Path) -> None:
    """Remove what killed processes left in a folder; a folder that was being replaced is put back."""
    for place in parent.glob(f"{PREFIX}*") if fcntl is not None else ():
        lock = _locked(place)
        if lock is None:  # its process lives
            continue
        for kept in (place / OLD).glob("*"):
            if not (parent / kept.name).exists():
                os.replace(kept, parent / kept.name)
        shutil.rmtree(place, ignore_errors=True)
        os.close(lock)


def _locked(place: Path) -> int | None:
    """Return a file descriptor that locks a folder until it is closed or its process ends; None if another has it."""
    if fcntl is None:
        return None
    try:
        lock = os.open(place, os.O_RDONLY)
    except OSError:  # removed in the meantime
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock
