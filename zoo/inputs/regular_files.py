"""Opening a user's file: regular files only, so that a pipe or a device never hangs the program."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def open_regular(path: Path, *, argument: str = "") -> BinaryIO:
    """Open a regular file for reading bytes, without ever waiting for another program.

    Args:
        path: the file.
        argument: the argument that named it, for errors.

    Raises:
        ValueError: if it is missing, cannot be read, or is a folder, pipe, socket or device.
    """
    source = f"; it was given as {argument}" if argument else ""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing{source}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{path} cannot be read ({reason}){source}") from error
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        raise ValueError(f"{path} is {KINDS.get(kind, 'no regular file')}; expected a regular file{source}")
    return os.fdopen(descriptor, "rb")
