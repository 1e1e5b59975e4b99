"""``zoo show``: a config, the card of a checkpoint, a recipe, or the description of a model, source, score or panel."""

from __future__ import annotations

import argparse
from pathlib import Path

from zoo import paths
from zoo.cli._output import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("name", help="config, checkpoint, recipe (train), model, data source, score or panel")


def run(args: argparse.Namespace) -> None:
    """Print the text that belongs to a name.

    Raises:
        ValueError: if there is nothing of that name.
    """
    from zoo.checkpoint import find, list_checkpoints
    from zoo.cli._documentation import documentation
    from zoo.registry import REGISTRIES

    name = args.name
    if name in [*paths.list_configs(), *paths.list_suites()] or name.endswith((".yaml", ".yml")):
        say(paths.config_file(name).read_text())
        return
    for registry in REGISTRIES:
        if name in registry.names():
            say(documentation(registry, name))
            return
    if name in list_checkpoints() or Path(name).is_dir():
        card = find(name) / "README.md"
        if not card.is_file():
            raise ValueError(f"{card} is missing; the checkpoint has no card")
        say(card.read_text())
        return
    if (script := paths.recipes() / f"{name}.py").is_file():
        say(script.read_text())
        return
    registered = [name for registry in REGISTRIES for name in registry.names()]
    recipes = [file.stem for file in paths.recipes().glob("*.py")]
    known = [*paths.list_configs(), *list_checkpoints(), *recipes, *registered]
    raise ValueError(f"nothing is named {name!r}{paths.did_you_mean(name, known) or '.'} `zoo ls` lists all")
