"""``zoo train``: train from a config."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from zoo.cli._name_checks import check_config
from zoo.cli._output import print_scores, print_seeds, say
from zoo.cli._shared_arguments import add_output, add_overrides
from zoo.config.seed_group import split_seeds
from zoo.recipe_support import verb


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("name", help="config (protopnet/digits) or YAML file")
    add_overrides(parser)
    add_output(parser)
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run; bit-identical result")
    parser.add_argument("--recipe", type=Path, help="your own recipe instead (zoo cp train my_train.py)")
    parser.add_argument("--all", action="store_true", help="list scores that do not apply, too")


def run(args: argparse.Namespace) -> None:
    """Train, then print the scores; ``zoo finetune`` differs in its recipe alone.

    Raises:
        ValueError: a mistake in the config, or a folder that is in use.
    """
    if args.recipe is not None and not args.recipe.is_file():
        raise ValueError(f"no recipe {args.recipe}; copy one with `zoo cp {args.verb} {args.recipe}`")
    seeds, overrides = split_seeds(args.overrides)
    check_config(args.name, overrides)
    result = verb(args.verb, args.recipe)(
        args.name,
        **({} if seeds is None else {"seeds": seeds}),
        overrides=overrides,
        out=args.out,
        resume=args.resume,
        overwrite=args.overwrite,
        dry_run=args.dry_run,
        progress=sys.stderr.isatty(),
    )
    if seeds is not None:
        print_seeds(result, all_rows=args.all)
        return
    if not result.rows:  # a further process of a distributed run
        return
    if result.folder is None:
        title = f"dry run of {result.model.name}: works; the figures mean nothing"
        print_scores(result.rows, title=title, all_rows=args.all)
        return
    print_scores(result.rows, title=result.folder.name, all_rows=args.all)
    say(f"page        {result.page}\ncheckpoint  {result.checkpoint}")
