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

from zoo import checkpoint
from zoo.config import plain
from zoo.evaluation.facts import run_facts
from zoo.evaluation.model_card import card
from zoo.evaluation.pipeline import Evaluation, evaluate
from zoo.evaluation.reference import reference_rows
from zoo.evaluation.score_table import table
from zoo.evaluation.scoring import score
from zoo.evaluation.units import gallery
from zoo.reporting.contact_sheet import contact_sheet
from zoo.reporting.example_figure import figure_of
from zoo.reporting.page import page
from zoo.reporting.unit_source import unit_picture
from zoo.training.check import check_run
from zoo.training.phases import run_phases
from zoo.training.run import build, load_config, open_folder


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
    run_phases(model, data, config, out, resume=args.resume, progress=sys.stderr.isatty())
    if rank_zero_only.rank == 0:
        command = f"zoo {args.verb} {args.name} {' '.join(args.overrides)}".strip()
        evaluation = finish(model, data, config, out, command=command)
        show(evaluation.rows, title=out.name)
        Console().print(f"page        {out / 'report.html'}\ncheckpoint  {out / 'checkpoint'}", soft_wrap=True)
    return None


def finish(model, data, config, out: Path, *, command: str) -> Evaluation:
    """Evaluate a trained model on the test split, then write its checkpoint and its page.

    Args:
        model: trained.
        data: with its splits read.
        config: of the run.
        out: folder of the run.
        command: the command line, for the facts.
    """
    model.eval()
    settings = plain(config)
    facts = run_facts(config, data, command, log=out / "log.csv")
    evaluation = evaluate(
        model,
        data,
        config.suite,
        title=out.name,
        facts=facts,
        more_rows=reference_rows(config, out),
        accelerator=config.trainer.accelerator,
    )
    origins = gallery.sources(model, data, range(len(model.units)))
    scores = {name: result.to_json() for name, result in evaluation.results.items()}
    checkpoint.save(
        out / "checkpoint",
        model,
        config=settings,
        metrics={"scores": scores, **facts, "seed": config.seed},
        card=card(out.name, settings, data, evaluation.rows, facts, n_units=len(model.units)),
        unit_lines=gallery.unit_lines(model, data, origins),
        unit_sheet=contact_sheet({unit: unit_picture(source) for unit, source in origins.items()}),
        example=figure_of(evaluation.page),
    )
    page(out / "report.html", evaluation.page)
    return evaluation


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
    show(table(results), title=f"dry run of {plain(config)['model']['name']}: works; these scores mean nothing")


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
