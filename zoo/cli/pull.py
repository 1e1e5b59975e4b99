"""``zoo pull``: a checkpoint from a model hub."""

from __future__ import annotations

import argparse

from zoo.cli._output import say
from zoo.recipe_support import verb
from zoo.serving.hub import check_repository


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("repo", help="organization/name on the hub")
    parser.add_argument("--revision", help="branch, tag or commit (default: the latest)")
    parser.add_argument("--name", help="of the checkpoint on this machine (default: the name on the hub)")
    parser.add_argument("--overwrite", action="store_true", help="replace a checkpoint of that name")


def run(args: argparse.Namespace) -> None:
    """Pull the checkpoint, then print its name and folder.

    Raises:
        ValueError: if a checkpoint of that name exists, or what the hub has is no whole checkpoint.
    """
    check_repository(args.repo)
    result = verb("pull")(args.repo, revision=args.revision, name=args.name, overwrite=args.overwrite)
    say(f"{result.name}  in {result.folder}")
