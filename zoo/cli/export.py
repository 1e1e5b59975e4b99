"""``zoo export``: a checkpoint as a file that needs no zoo."""

from __future__ import annotations

import argparse
from pathlib import Path

from zoo.cli._name_checks import check_checkpoint
from zoo.cli._output import say
from zoo.cli._shared_arguments import CHECKPOINT, add_overrides
from zoo.recipe_support import verb


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("name", help=CHECKPOINT)
    add_overrides(parser, "data.key=value", "override a key of the data")
    forms = "onnx; torch: for torch.export.load; program: one Python file of a transformer program"
    parser.add_argument(
        "--to", choices=["onnx", "torch", "program"], help=f"{forms} (default: program, otherwise onnx)"
    )
    parser.add_argument("--check", type=Path, help="run the file on these inputs (default: the test split, if public)")
    parser.add_argument("--shown", type=int, default=10, help="units in the outputs shown and map (default: 10)")
    parser.add_argument("-o", "--out", type=Path, help="file to write (default: the checkpoint's name)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file")


def run(args: argparse.Namespace) -> None:
    """Write the file, then print its size and how it was checked.

    Raises:
        ValueError: no such checkpoint, or a model that cannot be exported.
    """
    check_checkpoint(args.name, args.overrides)
    result = verb("export")(
        args.name,
        to=args.to,
        out=args.out,
        check=args.check,
        shown=args.shown,
        overrides=args.overrides,
        overwrite=args.overwrite,
    )
    if not result.outputs:
        lines = f"{result.lines} lines, {result.variables} variables"
        say(f"{result.file}  {lines}; run it with: python {result.file} ...")
        return
    size = result.file.stat().st_size / 1e6
    say(f"{result.file}  {size:.2f} MB, outputs: {', '.join(result.outputs)}")
    differences = ", ".join(f"{name} {value:.1e}" for name, value in result.differences.items())
    say(f"run on {result.samples}: largest difference to the model in torch: {differences}")
    say(
        f"read by the reader of the model instead: {result.changed_answers} of {result.count} answers change, logits by"
        f" at most {result.reader_difference:.1e}"
    )
