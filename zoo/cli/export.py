"""``zoo export``: a checkpoint as a file that needs no zoo."""

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
    add_overrides(parser, "data.key=value", "override a key of the data")
    parser.add_argument("--to", choices=["program"], default="program", help="program: one stand-alone Python file")
    parser.add_argument("-o", "--out", type=Path, help="file to write (default: the checkpoint's name)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file")


def run(args: argparse.Namespace) -> None:
    """Write the file, then print its size.

    Raises:
        ValueError: no such checkpoint, or a model that cannot be exported.
    """
    check_checkpoint(args.name, args.overrides)
    result = verb("export")(
        args.name,
        to=args.to,
        out=args.out,
        overrides=args.overrides,
        overwrite=args.overwrite,
    )
    lines = f"{result.lines} lines, {result.variables} variables"
    say(f"{result.file}  {lines}; run it with: python {result.file} ...")
