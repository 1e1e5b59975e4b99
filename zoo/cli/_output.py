"""Printing: tables that fit the terminal, and plain lines."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from zoo.reporting.page import ScoreRow


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
    shown = rows if all_rows else [row for row in rows if not _does_not_apply(row)]
    for row in shown:
        table.add_row(row.name, row.value, row.protocol, row.note)
    print_table(table)
    if len(shown) < len(rows):
        say(not_applicable([row for row in rows if _does_not_apply(row)]))


def not_applicable(rows: Sequence[ScoreRow]) -> str:
    """Return one line on scores that do not apply, with the reasons, the most frequent first."""
    reasons = Counter(re.sub(r"^n/a(: )?", "", row.value) or "no reason given" for row in rows)
    listed = "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common())
    plural = "score does" if len(rows) == 1 else "scores do"
    return f"{len(rows)} {plural} not apply: {listed}. --all lists them."


def _does_not_apply(row: ScoreRow) -> bool:
    return row.value.startswith("n/a") and bool(row.protocol)
