"""``zoo cp``: copy a config, a recipe, or the file of a model, data source, score or panel to edit it."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from zoo import paths
from zoo.cli._output import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("name", help="config (protopnet/digits), recipe (train), model, data source, score or panel")
    parser.add_argument("to", type=Path, help="file to write, or a folder")


def run(args: argparse.Namespace) -> None:
    """Copy the file.

    Raises:
        ValueError: if there is no such config, recipe or class, or the target exists.
    """
    from zoo.registry import DATA, MODELS, PANELS, SCORES

    files = [registry.file(args.name) for registry in (MODELS, DATA, SCORES, PANELS)]
    script = paths.recipes() / f"{args.name}.py"
    shipped = next((file for file in [script if script.is_file() else None, *files] if file is not None), None)
    source = shipped or paths.config_file(args.name)
    target = args.to / source.name if args.to.is_dir() else args.to
    if target.exists():
        raise ValueError(f"{target} exists; choose another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    say(f"{source} -> {target}")
