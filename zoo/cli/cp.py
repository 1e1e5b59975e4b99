"""``zoo cp``: copy a config or a recipe to edit it."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from zoo import paths
from zoo.cli._output import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("name", help="config (protopnet/digits) or recipe (train)")
    parser.add_argument("to", type=Path, help="file to write, or a folder")


def run(args: argparse.Namespace) -> None:
    """Copy the file.

    Raises:
        ValueError: if there is no such config or recipe, or the target exists.
    """
    script = paths.recipes() / f"{args.name}.py"
    source = script if script.is_file() else paths.config_file(args.name)
    target = args.to / source.name if args.to.is_dir() else args.to
    if target.exists():
        raise ValueError(f"{target} exists; choose another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    say(f"{source} -> {target}")
