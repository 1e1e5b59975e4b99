"""SIGTERM as an exception, so that a terminated command removes its temporary files and says how to continue."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_TERMINATED = 128 + signal.SIGTERM


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived; unwinds a command as Ctrl-C does."""


@contextmanager
def termination() -> Iterator[None]:
    """Raise ``Terminated`` on SIGTERM in the main thread; other threads cannot set a handler."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)


def _terminate(*_: Any) -> NoReturn:
    raise Terminated


def exit_code(error: KeyboardInterrupt) -> int:
    """Return the exit code of an interrupted command, as shells give it.

    Example:
        >>> exit_code(KeyboardInterrupt()), exit_code(Terminated())
        (130, 143)
    """
    return EXIT_TERMINATED if isinstance(error, Terminated) else EXIT_INTERRUPTED
