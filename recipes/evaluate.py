"""Evaluate: score a checkpoint on the test split of its data, or of data that you name."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo import checkpoint
from zoo.config import keyword_overrides
from zoo.config.seed_group import members
from zoo.evaluation import pipeline
from zoo.evaluation.run_facts import run_facts
from zoo.evaluation.score_table import table
from zoo.evaluation.scoring import score
from zoo.metrics.suite import check as check_suite
from zoo.recipe_support.recipe_results import EvaluateResult
from zoo.recipe_support.seed_runs import evaluate_seeds, evaluation_command
from zoo.reporting.page import page
from zoo.training.process_settings import prepared
from zoo.training.run import data_of, load_checkpoint


@prepared
def evaluate(
    name: str | Path,
    *,
    suite: str = "quick",
    data: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: bool = False,
) -> EvaluateResult:
    """Score a checkpoint on the test split and write ``metrics.json`` and ``report.html``.

    A group of seeds (``zoo train ... seeds=[0,1,2]``) gives a ``SeedsResult``, the table of means.

    Args:
        name: checkpoint or run folder, or the folder of a group of seeds.
        suite: the scores: a name under ``configs/evaluate``, or a YAML file.
        data: arguments of the data source to override, such as ``{"batch_size": 32}``.
        overrides: ``data.key=value`` and ``trainer.accelerator=value`` strings, as on the command line.
        out: folder to write to; by default ``runs/evaluate-<name>-<suite>``.
        resume: keep the finished evaluations of a group, of the same suite and data.
        overwrite: replace an older evaluation in that folder.
        dry_run: score one batch and write nothing.
        progress: show progress bars.

    Raises:
        ValueError: no such checkpoint, suite or argument, or a folder that already holds something.

    Example:
        >>> import zoo
        >>> zoo.evaluate("protopnet-digits").scores["consistency"].value  # doctest: +SKIP
    """
    name = str(name)
    all_overrides = [*keyword_overrides({"data": data or {}}), *overrides]
    check_suite(suite)
    if runs := members(Path(name)):
        how = {"resume": resume, "overwrite": overwrite, "dry_run": dry_run, "progress": progress}
        return evaluate_seeds(evaluate, runs, suite=suite, overrides=all_overrides, out=out, **how)
    model, config = load_checkpoint(name, all_overrides)
    if dry_run:
        config.data.limit = min(config.data.limit or 10**9, 4 * (config.model.num_classes or 10))
    source = data_of(config, model)
    title = checkpoint.title(name)
    folder = Path(out) if out else Path("runs") / f"evaluate-{title}-{Path(suite).stem}"
    accelerator = config.trainer.accelerator
    if dry_run:
        scores = score(model, source, suite, limit=1, accelerator=accelerator, progress=progress)
        return EvaluateResult(title, config.data.name, scores, table(scores), None)
    _claim(folder, overwrite=overwrite)
    facts = run_facts(config, source, evaluation_command(name, all_overrides, suite))
    evaluation = pipeline.evaluate(
        model,
        source,
        suite,
        title=title,
        facts=facts,
        checkpoint=name,
        metrics=checkpoint.read(checkpoint.find(name))[1],
        accelerator=accelerator,
        progress=progress,
    )
    results = evaluation.results
    units = {n: {k: v.tolist() for k, v in r.per_unit.items()} for n, r in results.items() if r.per_unit}
    record = {"scores": {n: r.to_json() for n, r in results.items()}, **facts, "seed": config.seed, "units": units}
    part = folder / ".metrics.part"
    part.write_text(json.dumps(record, indent=1) + "\n")
    os.replace(part, folder / "metrics.json")
    page(folder / "report.html", evaluation.page)
    return EvaluateResult(title, config.data.name, results, evaluation.rows, folder)


def _claim(folder: Path, *, overwrite: bool) -> None:
    """Make the folder of an evaluation; refuse one that holds a run, or an older evaluation unless asked."""
    if (folder / "phases").exists() or (folder / "checkpoint").exists():
        raise ValueError(f"{folder} holds a training run; choose another --out for its evaluation")
    if (folder / "metrics.json").exists() and not overwrite:
        raise ValueError(f"{folder} holds an evaluation; add --overwrite to replace it, or choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
