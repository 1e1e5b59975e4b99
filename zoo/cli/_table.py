"""Tables for the terminal whose cells are text and nothing else: no markup, no control characters."""

from __future__ import annotations

import sys
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from zoo.runtime.terminal import printable


class PlainTable(Table):
    r"""A table in the style of all tables of the command line.

    Args:
        title: above it.

    Example:
        >>> table = PlainTable()
        >>> table.add_column("[/b]")
        >>> table.add_row(chr(27) + "[31m")
        >>> [line.strip() for line in render(table).splitlines() if line.strip()][::2]
        ['[/b]', '\\x1b[31m']
    """

    def __init__(self, title: str | None = None) -> None:
        title = None if title is None else printable(title)
        super().__init__(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))

    def add_column(self, header: Any = "", *args: Any, **options: Any) -> None:
        """Add a column; its header is plain text."""
        super().add_column(Text(printable(header, lines=True)), *args, **options)

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Add a row; its cells are plain text."""
        super().add_row(*(Text(printable(str(cell), lines=True)) for cell in cells), **options)


def render(table: Table) -> str:
    """Return a table as text in the width of the terminal, with styles if standard output is one."""
    console = Console(file=sys.stdout, markup=False, emoji=False, highlight=False)
    with console.capture() as text:
        console.print(table)
    return text.get()
