"""Train: build, train phase by phase, score on the test split, save a checkpoint and its page."""

import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo import checkpoint
from zoo.config import Settings, keyword_overrides, plain
from zoo.data.base import Data
from zoo.evaluation.facts import run_facts
from zoo.evaluation.model_card import card
from zoo.evaluation.pipeline import Evaluation, evaluate
from zoo.evaluation.reference import reference_rows
from zoo.evaluation.score_table import table
from zoo.evaluation.scoring import score
from zoo.evaluation.units import gallery
from zoo.model import SelfExplaining
from zoo.reporting.contact_sheet import contact_sheet
from zoo.reporting.figures.example import figure_of
from zoo.reporting.page import page
from zoo.reporting.unit_source import unit_picture
from zoo.training.check import check_run
from zoo.training.phases import run_phases
from zoo.training.process import prepared
from zoo.training.run import build, load_config, report_inputs
from zoo.training.run_folder import RunFolder, is_first_process
from zoo.verbs.results import TrainResult


@prepared
def train(
    config: str | Path,
    *,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: bool = False,
    command: str | None = None,
    **keys: Any,
) -> TrainResult:
    """Train the model of a config and write its run folder.

    Args:
        config: name of a shipped config (``protopnet/digits``) or path of a YAML file.
        overrides: ``key=value`` strings, as on the command line.
        out: run folder; by default ``runs/<name of the config>``.
        resume: continue an interrupted run of the same config; the result is bit-identical.
        overwrite: replace an older run in that folder.
        dry_run: run one batch through everything and write nothing.
        progress: show progress bars.
        command: recorded in the checkpoint as the command of the run.
        keys: overrides of top-level keys: ``seed=1``, ``data={"limit": 100}``, ``phases={"joint": {"epochs": 5}}``.

    Raises:
        ValueError: a mistake in the config, or a folder that already holds something.

    Example:
        >>> import zoo
        >>> result = zoo.train("protopnet/digits", seed=1, out="runs/first")  # doctest: +SKIP
        >>> result.scores["accuracy"].value  # doctest: +SKIP
    """
    all_overrides = [*keyword_overrides(keys), *overrides]
    resolved = load_config(str(config), all_overrides)
    if dry_run:
        return _dry_run(resolved)
    folder = Path(out) if out else Path("runs") / str(config).removesuffix(".yaml").strip("./").replace("/", "-")
    command = command or shlex.join(["zoo", "train", str(config), *all_overrides])
    with RunFolder(folder, command=command, resume=resume, overwrite=overwrite) as run:
        model, data = build(resolved)
        check_run(model, data, resolved)
        data.setup()
        report_inputs(model)
        run.open(resolved)
        run.save_inputs(model)
        run.save_data(data)
        run_phases(model, data, resolved, folder, resume=resume, progress=progress)
        if not is_first_process():
            return TrainResult(model, {}, (), folder)
        evaluation = finish(model, data, resolved, folder, command=command, progress=progress)
    return TrainResult(model, evaluation.results, evaluation.rows, folder)


def finish(
    model: SelfExplaining, data: Data, config: Settings, folder: Path, *, command: str, progress: bool
) -> Evaluation:
    """Evaluate a trained model on the test split, then write its checkpoint and its page."""
    model.eval()
    settings = plain(config)
    facts = run_facts(config, data, command, log=folder / "log.csv")
    options = {"accelerator": config.trainer.accelerator, "progress": progress}
    reference = reference_rows(config, folder)
    evaluation = evaluate(model, data, config.suite, title=folder.name, facts=facts, more_rows=reference, **options)
    origins = gallery.sources(model, data, range(len(model.units)))
    scores = {name: result.to_json() for name, result in evaluation.results.items()}
    checkpoint.save(
        folder / "checkpoint",
        model,
        config=settings,
        metrics={"scores": scores, **facts, "seed": config.seed},
        card=card(folder.name, settings, data, evaluation.rows, facts, n_units=len(model.units)),
        unit_lines=gallery.unit_lines(model, data, origins),
        unit_sheet=contact_sheet({unit: unit_picture(source) for unit, source in origins.items()}),
        example=figure_of(evaluation.page),
    )
    page(folder / "report.html", evaluation.page)
    return evaluation


def _dry_run(config: Settings) -> TrainResult:
    """Run one batch through every phase, one explanation and one update of every score; leave nothing behind."""
    config.data.limit = min(config.data.limit or 10**9, 4 * (config.model.num_classes or 10))
    for phase in config.phases.values():
        phase.cache = min(phase.cache, 1)
    model, data = build(config)
    check_run(model, data, config)
    report_inputs(model)
    with tempfile.TemporaryDirectory() as folder:
        run_phases(model, data, config, Path(folder), limit=1, progress=False)
    scores = score(model, data, config.suite, limit=1, progress=False)
    return TrainResult(model, scores, table(scores), None)
