"""Printing: tables that fit the terminal, and plain lines."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zoo.runtime.terminal import printable

if TYPE_CHECKING:
    from zoo.cli._table import PlainTable
    from zoo.recipe_support.recipe_results import SeedsResult
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


def print_seeds(result: SeedsResult, *, all_rows: bool = False) -> None:
    """Print the table of a group of seeds: mean and spread of each score, and the value of every seed."""
    table = plain_table(f"{result.name} on {result.data}, {len(result.seeds)} seeds: mean ± standard deviation")
    for column in ("score", "mean", "protocol", *(f"seed {seed}" for seed in result.seeds)):
        table.add_column(column, overflow="fold")
    from zoo.evaluation.score_table import applicable

    for key, row in zip(result.scores, result.rows, strict=True):
        if row.applies or all_rows:
            each = ["n/a" if value is None else f"{value:.4g}" for value in result.by_seed[key].values()]
            table.add_row(row.name, row.value, row.protocol, *each)
    print_table(table)
    if not all_rows and (note := applicable(result.rows)[1]):
        say(f"{note}; --all lists them")
    if result.metrics is not None:
        say(f"table       {result.metrics.with_suffix('.csv')}\nruns        {result.folder}/seed-*")
