"""``zoo steer``: a language model writes while units are set."""

from __future__ import annotations

import argparse

from zoo.cli._name_checks import check_checkpoint
from zoo.cli._output import plain_table, print_table, say
from zoo.cli._shared_arguments import CHECKPOINT, split_statements
from zoo.recipe_support import verb


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    add("name", help=CHECKPOINT)
    add("input", nargs="?", help="the prompt; without one, the codes of --topic are listed")
    add("overrides", nargs="*", metavar="unit=on|off|strength", help="such as L1.H2.417=on")
    add("--topic", metavar="REGEX", help="set the codes to on that predict text matching this expression")
    add("--codes", type=int, default=32, help="number of codes of the topic")
    add("--samples", type=int, default=0, help="measure how many of so many sampled texts contain the topic")
    add("--judge", help="checkpoint whose perplexity of the samples is reported (default: the same, unsteered)")
    add("--new", type=int, default=40, help="number of tokens to write")
    add("--temperature", type=float, default=1.0, help="0 writes the most likely token each time")
    add("--top-k", type=int, help="sample from the k most likely tokens only")
    add("--top-p", type=float, help="sample from the most likely tokens that together have this probability")
    add("--seed", type=int, default=0, help="of sampling")


def run(args: argparse.Namespace) -> None:
    """Steer, then print the codes of the topic and the texts or rates.

    Raises:
        ValueError: no such checkpoint, unit or value, or nothing to do.
    """
    values, overrides = split_statements(args.overrides)
    check_checkpoint(args.name, overrides)
    if args.judge is not None:
        check_checkpoint(args.judge)
    result = verb("steer")(
        args.name,
        args.input,
        values,
        topic_pattern=args.topic,
        codes=args.codes,
        samples=args.samples,
        judge=args.judge,
        new=args.new,
        temperature=args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
        seed=args.seed,
        overrides=overrides,
    )
    if args.topic is not None and not values:
        _print_topic_units(result, args.topic)
    for title, text in result.texts.items():
        say(f"{title + ':':10} {result.prompt}|{text}")
    if result.texts and not result.held:
        example = f"{result.unit_names[0]}={'on' if result.binary else '2.5'}"
        kind = f"{result.unit_kind}s such as {result.unit_names[0]}"
        say(f"no unit is set; {result.name} has {kind}: add {example}")
    if result.rates:
        table = plain_table()
        for column in ("", f"share of {args.samples} texts with {args.topic}", "perplexity", "loss on test texts"):
            table.add_column(column)
        for title, rate in result.rates.items():
            table.add_row(title, f"{rate.share:.3f}", f"{rate.perplexity:.2f}", f"{rate.loss:.3f}")
        print_table(table)


def _print_topic_units(result, topic: str) -> None:
    """Print the codes that predict the topic, with precision and recall on training and validation texts."""
    table = plain_table(f"codes that are active where {topic} follows")
    for column in ("code", "precision", "recall", "active", "precision (validation)", "recall", "active"):
        table.add_column(column, overflow="fold")
    for train, val in result.topic_units:
        figures = [[f"{unit.precision:.3f}", f"{unit.recall:.3f}", str(unit.fired)] for unit in (train, val)]
        table.add_row(result.unit_names[train.unit], *figures[0], *figures[1])
    print_table(table)
