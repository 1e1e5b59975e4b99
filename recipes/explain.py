"""Explain: the page of one input, which units decided and how they add up to the answer."""

import argparse
import sys
import tempfile
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from zoo import checkpoint
from zoo.batch import Batch
from zoo.cli import recipe
from zoo.evaluation.scoring import about
from zoo.reporting import unit_gallery
from zoo.reporting.glossary import visible
from zoo.reporting.page import ScoreRow, page
from zoo.training.run import data_of, load_checkpoint


def main(args: argparse.Namespace) -> None:
    """Explain ``args.input``, an index of the test split, a picture file, a row of a table or a text."""
    recipe("train").quiet()
    if args.shown < 0:
        raise ValueError(f"--shown is {args.shown}; expected 0 or more")
    model, config = load_checkpoint(args.name, args.overrides)
    data = data_of(config, model)
    x, known, name = read(args.input, data)
    truth = known and known.y
    with torch.no_grad():
        told = model.explain(x, shown=args.shown)
        also = None if truth is None else model.explain(x, target=truth, shown=args.shown)
    both = [e for e in (told, also) if e is not None]
    used = {int(u) for e in both for u in e.shown.flatten()}
    _, metrics = checkpoint.read(checkpoint.find(args.name))
    scores = metrics.get("scores", {}).items()
    rows = [
        ScoreRow(n, "n/a" if s["value"] is None else f"{s['value']:.4g}", s["protocol"], s.get("note", ""))
        for n, s in scores
    ]
    facts = about(config, data, f"zoo explain {args.name} {args.input}")
    kind = checkpoint.title(args.name)
    with tempfile.TemporaryDirectory() as folder:
        file = f"{kind}-{file_name(name)}.html"
        out = Path(folder) / file if args.dry_run else (args.out or Path("runs/explain")) / file
        page(
            out,
            title=f"{kind} on {name}",
            explanation=told,
            also=also,
            pictures=data.to_image(x),
            truth=truth,
            class_names=data.class_names,
            sources=unit_gallery.sources(model, data, used),
            scores=rows,
            facts=facts,
            notes=unit_gallery.notes(model, data, known and known.concepts, *both),
            details=data.feature_values(x),
            traces=model.trace(x),
            sums=model.class_sums(x),
            tokens=data.token_texts(x),
        )
    for i, winner in enumerate(told.target.tolist()):
        said = name if len(x) == 1 else f"{name}, answer {i + 1}"
        answer = data.class_names[winner] if data.token_texts(x) is None else visible(data.class_names[winner])
        sys.stdout.write(f"{said}: {answer}, logit {float(told.logits[i, winner]):.4g}\n")
    rows = next(iter(model.trace(x[:1])), [])
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
