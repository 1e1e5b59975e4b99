"""``zoo predict``: answers for new files."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoo.cli._name_checks import check_checkpoint
from zoo.cli._output import say
from zoo.cli._shared_arguments import CHECKPOINT
from zoo.recipe_support import verb
from zoo.runtime.terminal import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("name", help=CHECKPOINT)
    parser.add_argument("input", nargs="+", help="table, - for a CSV on standard input, folder, or image files")
    parser.add_argument("-o", "--out", type=Path, help="file: .csv, .jsonl or .parquet; by default CSV is printed")
    parser.add_argument("--shown", type=int, default=3, help="number of units named for each input, 0 for none")
    parser.add_argument("--batch-size", type=int, help="inputs per forward pass")
    parser.add_argument("--skip-bad", action="store_true", help="skip inputs that cannot be read, and list them")
    parser.add_argument("--devices", type=int, default=1, help="processes; then -o is a folder of one shard for each")
    parser.add_argument("--strict", action="store_true", help="refuse unusual values, such as unknown levels")
    parser.add_argument("--overwrite", action="store_true", help="replace the file")


def run(args: argparse.Namespace) -> None:
    """Predict, then print the path of the file, or the predictions as CSV; remarks go to standard error.

    Raises:
        ValueError: no such checkpoint, one without inputs, or an input that cannot be read.
    """
    check_checkpoint(args.name, [])
    devices = args.devices
    for text in [text for text in args.input if text.startswith("trainer.devices=")]:
        args.input.remove(text)
        value = text.partition("=")[2]
        if not value.isdecimal():
            raise ValueError(f"{text}; expected a number of processes")
        devices = int(value)
    if not args.input:
        raise ValueError("no input; name a table, - , a folder or image files")
    with _progress_bar() as on_progress:
        result = verb("predict")(
            args.name,
            args.input[0] if len(args.input) == 1 else args.input,
            out=args.out,
            shown=args.shown,
            batch_size=args.batch_size,
            skip_bad=args.skip_bad,
            strict=args.strict,
            overwrite=args.overwrite,
            devices=devices,
            on_progress=on_progress,
        )
    skipped = (f"skipped: {line}" for line in result.skipped)
    flags = (f"unusual: {line}" for line in result.flags)
    for line in (*result.notes, *skipped, *flags):
        sys.stderr.write(printable(line) + "\n")
    if result.prediction is not None:
        columns = result.prediction.columns()
        text = printable if sys.stdout.isatty() else str  # a file or pipe gets the names as they are
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(map(text, columns))
        writer.writerows([_cell(cell, text) for cell in row] for row in zip(*columns.values(), strict=True))
        return
    say(f"predictions  {result.file}  ({result.count} rows)")
    if result.remarks is not None:
        say(f"remarks      {result.remarks}")


def _cell(cell: Any, text: Callable[[str], str]) -> str:
    if cell is None or cell != cell:
        return ""
    return text(cell) if isinstance(cell, str) else f"{cell:.6g}"


@contextmanager
def _progress_bar() -> Iterator[Callable[[int], object] | None]:
    """Show the number of predicted inputs on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TextColumn("{task.completed:.0f} predicted"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("predict", total=None)
        yield lambda n: progress.advance(task, n)
