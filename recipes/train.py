"""Train: build, train phase by phase, score on the test split, save a checkpoint and its page."""

import shlex
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from zoo import checkpoint
from zoo.config import Settings, keyword_overrides, plain
from zoo.data.base import Data
from zoo.data.own.loaders import own_data
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
from zoo.task import TaskOptions
from zoo.training.check import check_run
from zoo.training.fit_task import fit_task, task_options
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
    data: Any = None,
    class_names: Sequence[str] | None = None,
    backbone: nn.Module | None = None,
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
        data: arguments of the data source, ``{"limit": 100}``; or your own data: a LightningDataModule, loaders
            ``{"train": loader, "val": loader, "test": loader}`` of ``(x, y)``, or a ``Data``.
        class_names: of your own data; None to number the classes.
        backbone: a module of your own instead of the backbone of the config.
        keys: overrides of other top-level keys: ``seed=1``, ``phases={"joint": {"epochs": 5}}``.

    Raises:
        ValueError: a mistake in the config, or a folder that already holds something.

    Example:
        >>> import zoo
        >>> result = zoo.train("protopnet/digits", seed=1, out="runs/first")  # doctest: +SKIP
        >>> result.scores["accuracy"].value  # doctest: +SKIP
    """
    own = None if data is None else own_data(data, class_names)
    if own is None and data is not None:
        keys["data"] = data
    all_overrides = [*keyword_overrides(keys), *overrides]
    resolved = load_config(str(config), all_overrides)
    if own is not None:
        resolved["data"] = Settings({"name": own.name, "batch_size": own.batch_size})
    parts: dict[str, Any] = {"data": own, "backbone": backbone}
    if dry_run:
        return _dry_run(resolved, parts)
    folder = Path(out) if out else Path("runs") / str(config).removesuffix(".yaml").strip("./").replace("/", "-")
    command = command or shlex.join(["zoo", "train", str(config), *all_overrides])
    with RunFolder(folder, command=command, resume=resume, overwrite=overwrite) as run:
        model, source = build(resolved, **parts)
        check_run(model, source, resolved)
        source.setup()
        report_inputs(model)
        run.open(resolved)
        run.save_inputs(model)
        run.save_data(source)
        run_phases(model, source, resolved, folder, resume=resume, progress=progress)
        if not is_first_process():
            return TrainResult(model, {}, (), folder)
        evaluation = finish(model, source, resolved, folder, command=command, progress=progress)
    return TrainResult(model, evaluation.results, evaluation.rows, folder)


def finish(
    model: SelfExplaining, data: Data, config: Settings, folder: Path, *, command: str, progress: bool
) -> Evaluation:
    """Fit the task on the validation split, evaluate on the test split, then write the checkpoint and its page."""
    model.eval()
    settings = plain(config)
    chosen = fit_task(model, data, task_options(config))
    facts = run_facts(config, data, command, log=folder / "log.csv", chosen=chosen)
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


def _dry_run(config: Settings, parts: Mapping[str, Any]) -> TrainResult:
    """Run one batch through every phase, one explanation and one update of every score; leave nothing behind."""
    if "limit" in config.data:
        config.data.limit = min(config.data.limit or 10**9, 4 * (config.model.num_classes or 10))
    for phase in config.phases.values():
        phase.cache = min(phase.cache, 1)
    model, data = build(config, **parts)
    check_run(model, data, config)
    report_inputs(model)
    with tempfile.TemporaryDirectory() as folder:
        run_phases(model, data, config, Path(folder), limit=1, progress=False)
    fit_task(model, data, TaskOptions())
    scores = score(model, data, config.suite, limit=1, progress=False)
    return TrainResult(model, scores, table(scores), None)
