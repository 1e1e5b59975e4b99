"""Text for a terminal: no name from data, files or configs can steer it."""

from __future__ import annotations


def printable(text: str, *, lines: bool = False) -> str:
    r"""Return a text whose control characters are escaped, so that a name from data cannot steer a terminal.

    Args:
        text: any text.
        lines: whether line breaks and tabs are kept.

    Example:
        >>> print(printable("age" + chr(9) + chr(27) + "[31m"))
        age\t\x1b[31m
    """
    kept = "\n\t" if lines else ""
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)
