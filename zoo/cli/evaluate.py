"""``zoo evaluate``: score a checkpoint on its test split."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from zoo import paths
from zoo.cli._name_checks import check_checkpoint
from zoo.cli._output import print_scores, print_seeds, say
from zoo.cli._shared_arguments import CHECKPOINT, add_output, add_overrides
from zoo.config.seed_group import members
from zoo.recipe_support import verb


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("name", help=CHECKPOINT)
    add_overrides(parser, "data.key=value", "override a key of the data, or trainer.accelerator")
    add_output(parser)
    parser.add_argument("--suite", default="quick", help="scores: a name under configs/evaluate, or a YAML file")
    parser.add_argument("--resume", action="store_true", help="of a group of seeds: keep finished evaluations")
    parser.add_argument("--all", action="store_true", help="list scores that do not apply, too")


def run(args: argparse.Namespace) -> None:
    """Score, then print the table.

    Raises:
        ValueError: no such checkpoint, suite or argument.
    """
    group = members(Path(args.name))
    for name in [str(run) for run in group.values()] or [args.name]:
        check_checkpoint(name, args.overrides)
    paths.suite_file(args.suite)
    result = verb("evaluate")(
        args.name,
        suite=args.suite,
        overrides=args.overrides,
        out=args.out,
        resume=args.resume,
        overwrite=args.overwrite,
        dry_run=args.dry_run,
        progress=sys.stderr.isatty(),
    )
    if group:
        print_seeds(result, all_rows=args.all)
        return
    title = f"{result.name} on {result.data}, suite {args.suite}"
    print_scores(result.rows, title=title, all_rows=args.all)
    if result.folder is not None:
        say(f"metrics  {result.metrics}\npage     {result.page}")
