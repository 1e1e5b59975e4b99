"""Export: write what a checkpoint computes in a form that needs no zoo: a transformer program as one Python file."""

import argparse
import sys
from pathlib import Path

import torch

from zoo import __version__, checkpoint
from zoo.cli import recipe
from zoo.training.run import data_of, load_checkpoint


def main(args: argparse.Namespace) -> None:
    """Write ``args.name`` to ``args.out``."""
    recipe("train").quiet()
    model, config = load_checkpoint(args.name, args.overrides)
    if not hasattr(model, "program"):
        raise ValueError(f"{args.name} is a {model.name}; --to program writes transformer programs")
    title = checkpoint.title(args.name)
    out = args.out or Path(f"{title.replace('-', '_')}.py")
    if out.is_dir():
        raise ValueError(f"{out} is a folder; name a file with -o")
    if out.exists() and not args.overwrite:
        raise ValueError(f"{out} exists; add --overwrite to replace it, or choose another -o")
    data = data_of(config, model)
    x = torch.cat([batch.x for batch in data.loader("train")])
    text = model.source(x, name=out.stem, about=about(title, args.name), by=f"zoo {__version__} from {title}")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    lines, nodes = len(text.splitlines()), len(model.program.nodes)
    sys.stdout.write(f"{out}  {lines} lines, {nodes} variables; run it with: python {out} ...\n")


def about(title: str, name: str) -> list[str]:
    """A line on how good it is."""
    _, metrics = checkpoint.read(checkpoint.find(name))
    found = metrics.get("scores", {}).get("accuracy", {}).get("value")
    return [] if found is None else [f"Right on {100 * found:.2f} % of the answers of the test split."]
