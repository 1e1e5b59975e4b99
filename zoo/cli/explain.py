"""``zoo explain``: the page of one input."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zoo.cli._name_checks import check_checkpoint
from zoo.cli._output import plain_table, print_table, say
from zoo.cli._shared_arguments import CHECKPOINT, INPUT, add_output, add_overrides
from zoo.recipe_support import verb

if TYPE_CHECKING:
    from zoo.explanation import Contrast


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("name", help=CHECKPOINT)
    parser.add_argument("input", help=INPUT)
    add_overrides(parser, "data.key=value", "override a key of the data")
    add_output(parser, overwrite=False)
    parser.add_argument("--shown", type=int, default=10, help="number of units to show")
    parser.add_argument("--against", metavar="CLASS", help="compare the answer with this class, not with the runner-up")
    parser.add_argument(
        "--counterfactual",
        nargs="?",
        const=True,
        default=False,
        metavar="CLASS",
        help="the smallest change that gives another answer, or this class; of a number, '>20' or '<20'",
    )
    parser.add_argument("--allowed", metavar="NAME,...", help="columns or concepts that this change may touch")
    parser.add_argument("--neighbors", type=int, default=0, metavar="K", help="show the K nearest training cases")


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
        against=args.against,
        counterfactual=args.counterfactual,
        neighbors=args.neighbors,
        allowed=None if args.allowed is None else next(csv.reader([args.allowed]), []),
        out=args.out,
        dry_run=args.dry_run,
    )
    explanation = result.explanation
    for i, (answer, target) in enumerate(zip(result.answers, explanation.target.tolist(), strict=True)):
        name = result.input if len(result.answers) == 1 else f"{result.input}, answer {i + 1}"
        say(f"{name}: {answer}, logit {float(explanation.logits[i, target]):.4g}")
    if result.contrast is not None and len(result.contrast) == 1:
        say(_contrast_line(result.contrast, result.class_names, "starting value" if result.from_mean else "base"))
        if result.share:
            say(result.share)
    if result.counterfactual:
        say(" ".join(result.counterfactual))
    if result.trace:
        table = plain_table()
        table.show_header = False
        for label, values in result.trace[1:]:
            table.add_row(label, *values)
        print_table(table)
    if result.page is not None:
        say(f"page  {result.page}")


def _contrast_line(contrast: Contrast, class_names: Sequence[str], start: str) -> str:
    """Return the difference to the other class, its three largest parts and that of the base."""
    contribution, names = contrast.contribution[0], contrast.units.names
    parts = [f"{names[u]} {float(contribution[u]):+.3g}" for u in contrast.shown[0].tolist()[:3]]
    against = class_names[int(contrast.against[0])]
    parts.append(f"{start} {float(contrast.base[0]):+.3g}")
    return f"rather than {against}: {float(contrast.difference[0]):+.4g} ({', '.join(parts)})"
