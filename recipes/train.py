"""Train: build, train phase by phase, score on the test split, save a checkpoint and its page."""

import argparse
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path

from pytorch_lightning.utilities.rank_zero import rank_zero_only
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from zoo.config import plain
from zoo.evaluation.scoring import finish, score, table
from zoo.inputs.base import printable
from zoo.training.check import check_run
from zoo.training.phases import run_phases
from zoo.training.run import build, keep_inputs, load_config, open_folder


def validate(name: str, overrides: list[str]) -> None:
    """Check a config and everything that it names, without reading data or backbone weights."""
    config = load_config(name, overrides)
    check_run(*build(config, dry=True), config)


def main(args: argparse.Namespace) -> None:
    """Run ``args.name`` with ``args.overrides``."""
    quiet()
    config = load_config(args.name, args.overrides)
    if args.dry_run:
        return dry_run(config)
    out = args.out or Path("runs") / args.name.removesuffix(".yaml").strip("./").replace("/", "-")
    model, data = build(config)
    check_run(model, data, config)
    data.setup()
    open_folder(out, config, resume=args.resume, overwrite=args.overwrite)
    keep_inputs(model, out, resume=args.resume)
    if model.inputs is not None and rank_zero_only.rank == 0:
        for line in model.inputs.describe():
            Console().print(printable(line), soft_wrap=True, markup=False, highlight=False)
    run_phases(model, data, config, out, resume=args.resume, progress=sys.stderr.isatty())
    if rank_zero_only.rank == 0:
        command = f"zoo {args.verb} {args.name} {' '.join(args.overrides)}".strip()
        rows = finish(model, data, config, out, command=command)
        show(rows, title=out.name)
        Console().print(f"page        {out / 'report.html'}\ncheckpoint  {out / 'checkpoint'}", soft_wrap=True)
    return None


def dry_run(config) -> None:
    """One batch through every phase, one explanation and one update of every score; nothing is left behind."""
    config.data.limit = min(config.data.limit or 10**9, 4 * (config.model.num_classes or 10))
    for phase in config.phases.values():
        phase.cache = min(phase.cache, 1)
    model, data = build(config)
    check_run(model, data, config)
    with tempfile.TemporaryDirectory() as folder:
        run_phases(model, data, config, Path(folder), limit=1, progress=False)
    results = score(model, data, config.suite, limit=1, progress=False)
    show(table(results), title=f"dry run of {plain(config)['model']['name']}: works; the figures mean nothing")


def show(rows, *, title: str) -> None:
    """Print the score table."""
    sheet = Table(title=title, title_justify="left", box=SIMPLE)
    for column in ("score", "value", "protocol", "note"):
        sheet.add_column(column, overflow="fold")
    for row in rows:
        sheet.add_row(row.name, row.value, row.protocol, row.note)
    Console().print(sheet)


def quiet() -> None:
    """Keep Lightning's chatter out of the table."""
    for name in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval")
    warnings.filterwarnings("ignore", message=".*LeafSpec")
    warnings.filterwarnings("ignore", message=".*in eval mode at the start of training")  # frozen parts, on purpose
    warnings.filterwarnings("ignore", message=".*dataloader is not resumable")  # it is: Data.resume_at
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
