"""``zoo push``: a checkpoint onto a model hub."""

from __future__ import annotations

import argparse

from zoo.cli._name_checks import check_checkpoint
from zoo.cli._output import say
from zoo.cli._shared_arguments import CHECKPOINT
from zoo.recipe_support import verb
from zoo.serving.hub import check_repository


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("name", help=CHECKPOINT)
    parser.add_argument("repo", help="organization/name on the hub; made where there is none")
    parser.add_argument("--private", action="store_true", help="make a private repository")
    parser.add_argument("--message", default="", help="of the commit")


def run(args: argparse.Namespace) -> None:
    """Push the checkpoint, then print the address of the commit.

    Raises:
        ValueError: no such checkpoint, a damaged one, or the hub refuses it.
    """
    check_checkpoint(args.name)
    check_repository(args.repo)
    result = verb("push")(args.name, args.repo, private=args.private, message=args.message)
    say(result.address)
