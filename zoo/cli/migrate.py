"""``zoo migrate``: complete a checkpoint of an earlier version with its inputs."""

from __future__ import annotations

import argparse

from zoo.cli._name_checks import check_checkpoint
from zoo.cli._output import say
from zoo.cli._shared_arguments import CHECKPOINT
from zoo.recipe_support import verb


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("name", help=CHECKPOINT)
    parser.add_argument("overrides", nargs="*", metavar="data.key=value", help="place of the training data")


def run(args: argparse.Namespace) -> None:
    """Store the inputs, then print their file.

    Raises:
        ValueError: no such checkpoint, inputs that are there already, or other data than the model was trained on.
    """
    check_checkpoint(args.name, args.overrides)
    result = verb("migrate")(args.name, overrides=args.overrides)
    say(f"inputs  {result.file}")
