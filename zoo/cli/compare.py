"""``zoo compare``: the units of several runs, matched."""

from __future__ import annotations

import argparse
from pathlib import Path

from zoo.cli._name_checks import check_checkpoint
from zoo.cli._output import plain_table, print_table, say
from zoo.cli._shared_arguments import add_output
from zoo.config.seed_group import expand
from zoo.recipe_support import verb


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    text = "checkpoints or run folders, two or more; or data.key=value"
    parser.add_argument("overrides", nargs="+", metavar="run", help=text)
    add_output(parser, overwrite=False)
    ways = ("activations", "directions", "parts")
    parser.add_argument("--by", default="activations", choices=ways, help="what is compared")
    parser.add_argument("--shown", type=int, default=40, help="number of pairs with pictures, for each two runs")


def run(args: argparse.Namespace) -> None:
    """Compare, then print the figures of each pair of runs.

    Raises:
        ValueError: no such run, or runs that cannot be compared.
    """
    overrides = [text for text in args.overrides if "=" in text and not Path(text).exists()]
    names = [text for text in args.overrides if text not in overrides]
    for name in expand(names):
        check_checkpoint(name, overrides)
    result = verb("compare")(
        *names,
        by=args.by,
        shown=args.shown,
        overrides=overrides,
        out=args.out,
        dry_run=args.dry_run,
    )
    table = plain_table(result.title)
    for column in ("runs", *result.columns):
        table.add_column(column.replace(" ", "\n"), justify="right", overflow="fold")
    for (i, j), row in result.table.items():
        table.add_row(f"{i + 1}, {j + 1}", *row)
    if len(result.table) > 1:
        table.add_row("mean", *result.mean)
    print_table(table)
    say("\n".join(f"{i}  {name}: {text}" for i, (name, text) in enumerate(result.runs, 1)))
    if result.page is not None:
        say(f"page    {result.page}\nfigures {result.figures}")
