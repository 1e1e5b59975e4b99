"""``zoo validate``: check a config and everything that it names, without reading data."""

from __future__ import annotations

import argparse

from zoo.cli._name_checks import check_config
from zoo.cli._output import say
from zoo.cli._shared_arguments import add_overrides


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("name", help="config (protopnet/digits) or YAML file")
    add_overrides(parser)


def run(args: argparse.Namespace) -> None:
    """Check names first, then build the model.

    Raises:
        ValueError: the first mistake.
    """
    check_config(args.name, args.overrides)

    from zoo.training.run import validate

    validate(args.name, args.overrides)
    say(f"{args.name} is valid")
