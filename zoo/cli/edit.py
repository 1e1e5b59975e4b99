"""``zoo edit``: operations on the units of a checkpoint, and a new checkpoint that has their history."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from zoo import paths
from zoo.cli._name_checks import check_checkpoint
from zoo.cli._output import plain_table, print_table, say
from zoo.cli._shared_arguments import CHECKPOINT, add_output
from zoo.recipe_support import verb

HISTORY = "history"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("name", help=CHECKPOINT)
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="operation=unit argument=value",
        help=(
            "such as remove='wing #0' why='...'; a file of edits; worst=10 by=consistency how=remove; undo=1 or"
            " undo=all; history; data.key=value overrides a key of the data. Without any: its history and operations"
        ),
    )
    add_output(parser)
    parser.add_argument("--suite", default="quick", help="scores before and after, on all rows")
    parser.add_argument("--slices", metavar="COLUMN", help="scores by the groups of this column, not by class")
    parser.add_argument("--no-scores", action="store_true", help="measure no scores; no data are needed but to resolve")


def run(args: argparse.Namespace) -> None:
    """Edit, then print the history and the scores before and after.

    Raises:
        ValueError: no such checkpoint, operation, unit or argument.
    """
    edits, options, overrides = split_edits(args.overrides)
    check_checkpoint(args.name, overrides)
    if not args.no_scores:
        paths.suite_file(args.suite)
    result = verb("edit")(
        args.name,
        edits,
        **options,
        suite=None if args.no_scores else args.suite,
        slices=args.slices,
        overrides=overrides,
        out=args.out,
        overwrite=args.overwrite,
        dry_run=args.dry_run,
        progress=sys.stderr.isatty(),
    )
    say("\n".join(result.lines) if result.lines else f"{result.name} has no edits")
    if not edits and not options:
        table = plain_table("operations")
        for column in ("operation", "what it does"):
            table.add_column(column, overflow="fold")
        for name, about in result.operations.items():
            table.add_row(name, about)
        print_table(table)
        return
    if result.changes:
        table = plain_table(f"{result.name}, before and after")
        for column in ("rows of the test split", "", "score", "before", "after"):
            table.add_column(column, overflow="fold")
        for change in result.changes:
            values = ["n/a" if value is None else f"{value:.4g}" for value in (change.before, change.after)]
            table.add_row(change.part, str(change.rows), change.score, *values)
        print_table(table)
    if result.folder is not None:
        say(f"checkpoint  {result.folder}")


def split_edits(texts: list[str]) -> tuple[list[str] | Path, dict[str, str | int], list[str]]:
    """Split the words of the command line into edits, options of the verb, and overrides of data and accelerator.

    Raises:
        ValueError: if a number is none, or edits stand beside a file or beside undo.

    Example:
        >>> split_edits(["worst=3", "by=purity", "resolve=yes", "data.limit=9"])
        (['resolve=yes'], {'worst': 3, 'by': 'purity'}, ['data.limit=9'])
    """
    edits: list[str] = []
    options: dict[str, str | int] = {}
    overrides: list[str] = []
    files: list[Path] = []
    before = ""
    for text in texts:
        key, sign, value = text.partition("=")
        if key.startswith(("data.", "~data.")) or key == "trainer.accelerator":
            overrides.append(text)
            continue
        if text == HISTORY:
            pass
        elif key == "undo" and value == "all":
            options["undo"] = 0
        elif key in ("undo", "worst") and sign:
            if not (value.isascii() and value.isdecimal() and 0 < int(value) < 10**9):
                ways = "a number from 1, or all" if key == "undo" else "a number from 1"
                raise ValueError(f"{key} is {value!r}; expected {ways}")
            options[key] = int(value)
        elif key in ("by", "how") and before in ("worst", "by", "how"):
            options[key] = value
        elif not sign and Path(text).suffix in (".yaml", ".yml"):
            if not Path(text).is_file():
                raise ValueError(f"there is no file {text}")
            files.append(Path(text))
        else:
            edits.append(text)
        before = key
    if len(files) > 1 or (files and edits):
        raise ValueError(f"{files[0]} stands beside other edits; give one file of edits, or edits alone")
    if "undo" in options and (files or edits or "worst" in options):
        raise ValueError("undo takes back edits; expected no others beside it")
    return files[0] if files else edits, options, overrides
