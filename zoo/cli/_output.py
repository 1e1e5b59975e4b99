"""Printing: tables that fit the terminal, and plain lines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from zoo.model import SelfExplaining
    from zoo.reporting.context import ScoreRow


def say(text: str) -> None:
    """Write text to standard output, ending in one line break."""
    sys.stdout.write(text.rstrip("\n") + "\n")


def plain_table(title: str | None = None) -> Table:
    """Return an empty table in the style of all tables of the command line."""
    from rich.box import SIMPLE
    from rich.table import Table

    return Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))


def print_table(table: Table) -> None:
    """Print a table in the width of the terminal; text is printed as it is, without rich's markup."""
    from rich.console import Console

    Console(markup=False, emoji=False, highlight=False).print(table)


def print_scores(rows: Sequence[ScoreRow], *, title: str, all_rows: bool = False) -> None:
    """Print a score table; scores that do not apply are one line unless ``all_rows``."""
    table = plain_table(title)
    for column in ("score", "value", "protocol", "note"):
        table.add_column(column, overflow="fold")
    from zoo.evaluation.score_table import applicable, warnings_of
    from zoo.inputs.base import printable

    hints = [row for row in rows if not row.applies and not row.protocol]  # what to do to get a further row
    kept, note = applicable([row for row in rows if row not in hints])
    for row in rows if all_rows else [*kept, *hints]:
        table.add_row(row.name, row.value, row.protocol, row.note)
    print_table(table)
    if note and not all_rows:
        say(f"{note}; --all lists them")
    for line in warnings_of(rows):
        say(f"WARNING: {printable(line)}")


def print_inputs(model: SelfExplaining) -> None:
    """Print the preprocessing that a model keeps, one line for each fact; names from data cannot steer the terminal."""
    from zoo.inputs.base import printable

    if model.inputs is None:
        return
    for line in model.inputs.describe():
        say(printable(line))
    if model.inputs.kind != "table" and (balance := model.task.describe_data(model.class_names)):
        say(printable(f"classes: {balance}"))  # a table describes its target itself
    for line in model.task.describe_fit(model.class_names):
        say(printable(f"chosen on validation samples: {line}"))
