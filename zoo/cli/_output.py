"""Printing: tables that fit the terminal, and plain lines."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zoo.terminal import printable

if TYPE_CHECKING:
    from zoo.cli._table import PlainTable
    from zoo.reporting.context import ScoreRow


class Messages(logging.Handler):
    """Writes the messages of the logger ``zoo`` to standard output, one line each."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        say(printable(record.getMessage()))


def say(text: str) -> None:
    """Write text to standard output, ending in one line break; control characters are escaped."""
    write(printable(text.rstrip("\n"), lines=True) + "\n")


def write(text: str) -> None:
    """Write text to standard output; nothing more is written once its reader has closed it, as ``head`` does."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        close_output()


def close_output() -> None:
    """Send all further output nowhere, so that a closed standard output ends no command and causes no message."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, sys.stdout.fileno())
    finally:
        os.close(null)


def plain_table(title: str | None = None) -> PlainTable:
    """Return an empty table in the style of all tables of the command line."""
    from zoo.cli._table import PlainTable

    return PlainTable(title)


def print_table(table: PlainTable) -> None:
    """Print a table in the width of the terminal; text is printed as it is, without rich's markup."""
    from zoo.cli._table import render

    write(render(table))


def print_scores(rows: Sequence[ScoreRow], *, title: str, all_rows: bool = False) -> None:
    """Print a score table; scores that do not apply are one line unless ``all_rows``."""
    table = plain_table(title)
    for column in ("score", "value", "protocol", "note"):
        table.add_column(column, overflow="fold")
    from zoo.evaluation.score_table import applicable, warnings_of

    hints = [row for row in rows if not row.applies and not row.protocol]  # what to do to get a further row
    kept, note = applicable([row for row in rows if row not in hints])
    for row in rows if all_rows else [*kept, *hints]:
        table.add_row(row.name, row.value, row.protocol, row.note)
    print_table(table)
    if note and not all_rows:
        say(f"{note}; --all lists them")
    for line in warnings_of(rows):
        say(f"WARNING: {line}")
