"""``zoo intervene``: units of one input set by name, and the answer after each."""

from __future__ import annotations

import argparse

from zoo.cli._name_checks import check_checkpoint
from zoo.cli._output import plain_table, print_table, say
from zoo.cli._shared_arguments import CHECKPOINT, INPUT, add_output, split_statements
from zoo.recipe_support import verb


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("name", help=CHECKPOINT)
    parser.add_argument("input", help=INPUT)
    text = "such as has_hole=1 or wing=striped; data.key=value overrides a key of the data"
    parser.add_argument("overrides", nargs="*", metavar="concept=value", help=text)
    add_output(parser, overwrite=False)


def run(args: argparse.Namespace) -> None:
    """Set the units, then print the answer after each.

    Raises:
        ValueError: no such checkpoint, input, unit or value.
    """
    values, overrides = split_statements(args.overrides)
    check_checkpoint(args.name, overrides)
    result = verb("intervene")(
        args.name,
        args.input,
        values,
        overrides=overrides,
        out=args.out,
        dry_run=args.dry_run,
    )
    classes = list(dict.fromkeys((result.old, result.new)))
    table = plain_table(f"{result.name} on {result.input}")
    for column in ("set", "predicted", "now", "answer", "probability", *(f"logit of {name}" for name in classes)):
        table.add_column(column, overflow="fold")
    for step in result.steps:
        logits = (step.old, step.new)[: len(classes)]
        table.add_row(step.name or "(nothing)", step.before, step.after, step.answer, step.chance, *logits)
    print_table(table)
    if result.page is not None:
        say(f"page  {result.page}")
