"""Pieces of Python source: literals, a docstring for any text, and lists broken into lines."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from shlex import join

from zoo.programs.ir.domains import Domain

LINE_WIDTH = 116  # columns
UNSAFE_IN_SHELL = frozenset("'\"\\`$%&|;<>^!*?~#{}")


def literal(domain: Domain, value: int) -> str:
    """Return a value of a domain as Python source: a quoted name, or an integer.

    Example:
        >>> literal(Domain(2, False, ("yes", "no")), 1), literal(Domain(8, True), 5)
        ("'no'", '5')
    """
    return integer(value) if domain.names is None else text(domain.names[value])


def integer(value: int) -> str:
    """Return an integer as source; a TypeError for anything else."""
    return str(int(index(value)))


def text(value: str) -> str:
    """Return a string as a Python literal in one line of printable characters; a TypeError for anything else."""
    return str.__repr__(value)


def number_tuple(row: Sequence[float]) -> str:
    """Return finite numbers as a tuple, whole ones without a decimal point.

    Example:
        >>> number_tuple([1.0, 0.5])
        '(1, 0.5)'
    """
    items = [repr(int(v)) if float(v).is_integer() and abs(v) < 1e15 else repr(float(v)) for v in row]
    return f"({', '.join(items)}{',' if len(items) == 1 else ''})"


def constant_tuple(name: str, items: Sequence[str]) -> str:
    """Return an assignment of a tuple, on one line if it fits."""
    line = f"{name} = ({', '.join(items)}{',' if len(items) == 1 else ''})\n"
    return line if len(line) <= LINE_WIDTH else f"{name} = (\n{full_lines(items)})\n"


def full_lines(items: Sequence[str]) -> str:
    """Return indented items, each followed by a comma, in lines as long as ``LINE_WIDTH`` allows."""
    lines: list[str] = []
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > LINE_WIDTH and line.strip():
            lines.append(line)
            line = "   "
        line += f" {item},"
    return "\n".join([*lines, line]) + "\n"


def docstring(lines: Sequence[str]) -> str:
    r"""Return a docstring whose value is these lines; whatever they contain, it stays one string literal.

    Example:
        >>> docstring(["a\tb"])[3:7]
        'a\\tb'
    """
    return '"""' + "\n".join(map(_escaped, lines)) + '\n"""'


def _escaped(line: str) -> str:
    """Return text for the inside of a string literal: quotes, backslashes and unprintable characters as escapes."""
    escape = {'"': '\\"', "\\": "\\\\"}
    return "".join(
        escape.get(c) or (c if c.isprintable() else c.encode("unicode_escape").decode("ascii")) for c in line
    )


def shell_command(words: Sequence[str]) -> str:
    """Return a command line to copy; ``...`` stands for arguments that no shell could be trusted with.

    Example:
        >>> shell_command(["python", "p.py", "a b"]), shell_command(["python", "p.py", "'; ls"])
        ("python p.py 'a b'", 'python p.py ...')
    """
    safe = [all(c.isprintable() and c not in UNSAFE_IN_SHELL for c in word) for word in words]
    return join(words) if all(safe) else f"{join(words[: safe.index(False)])} ..."
