"""``zoo report``: the audit of a model of tables."""

from __future__ import annotations

import argparse
from pathlib import Path

from zoo.cli._name_checks import check_checkpoint
from zoo.cli._output import say
from zoo.cli._shared_arguments import CHECKPOINT, add_overrides
from zoo.recipe_support import verb


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("name", help=CHECKPOINT)
    add_overrides(parser)
    parser.add_argument("--new", help="table whose columns are compared with the training rows (drift)")
    parser.add_argument("-o", "--out", type=Path, help="HTML file; by default runs/report-<name>.html")


def run(args: argparse.Namespace) -> None:
    """Write the page and print the columns that changed.

    Raises:
        ValueError: no such checkpoint, or one of a model of other inputs.
    """
    check_checkpoint(args.name, args.overrides)
    result = verb("report")(args.name, new=args.new, overrides=args.overrides, out=args.out)
    for row in result.drift[:5]:
        say(f"drift       {row.column}: stability index {row.stability:.3g}")
    say(f"page        {result.page}")
