"""Explain: the page of one input, which units decided and how they add up to the answer."""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from zoo import checkpoint
from zoo.batch import Batch
from zoo.cli import recipe
from zoo.evaluation import examples
from zoo.evaluation.facts import run_facts
from zoo.evaluation.score_table import stored_rows
from zoo.reporting.glossary import visible
from zoo.reporting.page import page
from zoo.training.run import data_of, load_checkpoint


def main(args: argparse.Namespace) -> None:
    """Explain ``args.input``, an index of the test split, a picture file, a row of a table or a text."""
    recipe("train").quiet()
    if args.shown < 0:
        raise ValueError(f"--shown is {args.shown}; expected 0 or more")
    model, config = load_checkpoint(args.name, args.overrides)
    data = data_of(config)
    x, known, name = read(args.input, data)
    explained = examples.explain(model, x, known, shown=args.shown)
    explanation = explained.explanations[0]
    _, metrics = checkpoint.read(checkpoint.find(args.name))
    kind = checkpoint.title(args.name)
    with tempfile.TemporaryDirectory() as folder:
        file = f"{kind}-{file_name(name)}.html"
        out = Path(folder) / file if args.dry_run else (args.out or Path("runs/explain")) / file
        context = examples.page_context(model, data, explained, title=f"{kind} on {name}")
        facts = run_facts(config, data, f"zoo explain {args.name} {args.input}")
        page(out, replace(context, scores=stored_rows(metrics), facts=facts))
    for i, winner in enumerate(explanation.target.tolist()):
        label = name if len(x) == 1 else f"{name}, answer {i + 1}"
        answer = data.class_names[winner] if context.tokens is None else visible(data.class_names[winner])
        sys.stdout.write(f"{label}: {answer}, logit {float(explanation.logits[i, winner]):.4g}\n")
    rows = context.traces[0] if context.traces else []
    if rows:
        sheet = Table(*(str(i) for i in range(-1, len(rows[0][1]))), box=None, show_header=False)
        for label, values in rows[1:]:
            sheet.add_row(label, *values)
        Console().print(sheet)
    if not args.dry_run:
        sys.stdout.write(f"page  {out}\n")


def read(text: str, data) -> tuple[torch.Tensor, Batch | None, str]:
    """The input ``(1, ...)``, all that is known of it if it is a test sample, its name."""
    if text.isdecimal():
        n = len(data.splits["test"])
        if int(text) >= n:
            raise ValueError(f"the test split has samples 0 to {n - 1}; there is no {text}")
        batch = data.samples("test", [int(text)])
        return batch.x, batch, data.name_of("test", int(text))
    x = data.read_input(text)
    return x if x.ndim > len(data.input_shape) else x[None], None, text


def file_name(name: str) -> str:
    """A name as part of a file's: no slashes and line ends, not too long."""
    return "_".join(name.replace("/", "-").splitlines())[:80]
