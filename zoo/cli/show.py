"""``zoo show``: a config, a card, a recipe, the description of a model, source, score or panel; pictures of units."""

from __future__ import annotations

import argparse
from pathlib import Path

from zoo import paths
from zoo.cli._name_checks import check_checkpoint
from zoo.cli._output import say
from zoo.cli._shared_arguments import add_overrides

NAMED = 10  # units without a picture that are named


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("name", help="config, checkpoint, recipe (train), model, data source, score or panel")
    add_overrides(parser, "data.key=value", "with --pictures: override a key of the data, such as data.root=...")
    parser.add_argument(
        "--pictures",
        action="store_true",
        help="draw the units of a checkpoint from your own copy of its training data; later pages show them",
    )
    parser.add_argument("--out", type=Path, help="with --pictures: folder to write to (default: the cache of zoo)")


def run(args: argparse.Namespace) -> None:
    """Print the text that belongs to a name, or draw the units of a checkpoint.

    Raises:
        ValueError: if there is nothing of that name, or no unit can be drawn.
    """
    if args.pictures:
        _draw(args)
        return
    if args.overrides or args.out:
        raise ValueError(
            f"{args.overrides[0] if args.overrides else '--out'} is for --pictures; add it, or leave this out"
        )
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


def _draw(args: argparse.Namespace) -> None:
    check_checkpoint(args.name, args.overrides)
    from zoo.evaluation.units.drawn_sheet import draw_sheet

    drawn = draw_sheet(args.name, args.overrides, out=args.out)
    say(f"{drawn.drawn} units drawn from their training samples")
    if drawn.missing:
        more = f" and {len(drawn.missing) - NAMED} more" if len(drawn.missing) > NAMED else ""
        say(f"{len(drawn.missing)} not found in these data: {', '.join(drawn.missing[:NAMED])}{more}")
    if drawn.without:
        say(f"{drawn.without} were not taken from a training sample")
    say(f"pictures  {drawn.folder / 'units.png'}")
