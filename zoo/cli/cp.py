"""``zoo cp``: copy a config, a recipe, or the file of a model, data source, score or panel to edit it."""

from __future__ import annotations

import argparse
import inspect
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
    source = _file_of(args.name)
    target = args.to / source.name if args.to.is_dir() else args.to
    suffixes = [".html", ".css"] if source.suffix == ".py" else []  # the template and the style of a panel
    pairs = [(source, target)]
    pairs += [(source.with_suffix(s), target.with_suffix(s)) for s in suffixes if source.with_suffix(s).is_file()]
    for _, copy in pairs:
        if copy.exists():
            raise ValueError(f"{copy} exists; choose another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    for original, copy in pairs:
        shutil.copyfile(original, copy)
        say(f"{original} -> {copy}")


def _file_of(name: str) -> Path:
    """Return the file of a recipe, a class (of any package) or a config.

    Raises:
        ValueError: if there is none.
    """
    from zoo.registry import REGISTRIES

    script = paths.recipes() / f"{name}.py"
    if script.is_file():
        return script
    for registry in REGISTRIES:
        if (file := registry.file(name)) is not None:
            return file
        if name in registry.plugins():
            return Path(inspect.getfile(registry.get(name)))
    try:
        return paths.config_file(name)
    except ValueError as error:
        known = [*paths.list_configs(), *(name for registry in REGISTRIES for name in registry.names())]
        near = paths.did_you_mean(name, known)
        raise ValueError(f"nothing is named {name!r}{near or '.'} `zoo ls` lists all") from error
