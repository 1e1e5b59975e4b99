"""``zoo explain``: the page of one input."""

from __future__ import annotations

import argparse

from zoo.cli._name_checks import check_checkpoint
from zoo.cli._output import plain_table, print_table, say
from zoo.cli._shared_arguments import CHECKPOINT, INPUT, add_output, add_overrides
from zoo.recipe_support import verb


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("name", help=CHECKPOINT)
    parser.add_argument("input", help=INPUT)
    add_overrides(parser, "data.key=value", "override a key of the data")
    add_output(parser, overwrite=False)
    parser.add_argument("--shown", type=int, default=10, help="number of units to show")


def run(args: argparse.Namespace) -> None:
    """Explain, then print the answer and the path of the page.

    Raises:
        ValueError: no such checkpoint or input.
    """
    check_checkpoint(args.name, args.overrides)
    result = verb("explain")(
        args.name,
        args.input,
        overrides=args.overrides,
        shown=args.shown,
        out=args.out,
        dry_run=args.dry_run,
    )
    explanation = result.explanation
    for i, (answer, target) in enumerate(zip(result.answers, explanation.target.tolist(), strict=True)):
        name = result.input if len(result.answers) == 1 else f"{result.input}, answer {i + 1}"
        say(f"{name}: {answer}, logit {float(explanation.logits[i, target]):.4g}")
    if result.trace:
        table = plain_table()
        table.show_header = False
        for label, values in result.trace[1:]:
            table.add_row(label, *values)
        print_table(table)
    if result.page is not None:
        say(f"page  {result.page}")
