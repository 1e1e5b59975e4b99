"""The end of a training run: the task fitted on the validation split, scores, checkpoint and page."""

from __future__ import annotations

from pathlib import Path

from zoo import checkpoint
from zoo.config import Settings, plain
from zoo.data.base import Data
from zoo.evaluation.model_card import card
from zoo.evaluation.page.mean_strengths import KEY
from zoo.evaluation.pipeline import Evaluation, evaluate
from zoo.evaluation.reference_model import reference_rows
from zoo.evaluation.run_facts import run_facts
from zoo.evaluation.units import gallery
from zoo.model import SelfExplaining
from zoo.reporting.contact_sheet import contact_sheet
from zoo.reporting.figures.example import figure_of
from zoo.reporting.page import page
from zoo.reporting.unit_picture import unit_picture
from zoo.training.fit_task import fit_task, task_options


def finish_run(
    model: SelfExplaining, data: Data, config: Settings, folder: Path, *, command: str, progress: bool
) -> Evaluation:
    """Fit the task on the validation split, evaluate on the test split, then write the checkpoint and its page."""
    model.eval()
    chosen = fit_task(model, data, task_options(config))
    facts = run_facts(config, data, command, log=folder / "log.csv", chosen=chosen)
    options = {"accelerator": config.trainer.accelerator, "progress": progress}
    reference = reference_rows(config, folder)
    evaluation = evaluate(
        model,
        data,
        config.suite,
        title=folder.name,
        facts=facts,
        more_rows=reference,
        checkpoint=str(folder),
        **options,
    )
    origins = gallery.sources(model, data, range(len(model.units)))
    scores = {name: result.to_json() for name, result in evaluation.results.items()}
    mean = evaluation.page.mean_strengths  # so that pages need no training data
    means = {} if mean is None else {KEY: [float(f"{value:.6g}") for value in mean.tolist()]}
    checkpoint.save(
        folder / "checkpoint",
        model,
        config=plain(config),
        metrics={"scores": scores, **facts, "seed": config.seed, **means},
        card=card(folder.name, plain(config), data, evaluation.rows, facts, n_units=len(model.units)),
        unit_lines=gallery.unit_lines(model, data, origins),
        unit_sheet=contact_sheet({unit: unit_picture(source) for unit, source in origins.items()}),
        example=figure_of(evaluation.page),
    )
    page(folder / "report.html", evaluation.page)
    return evaluation
