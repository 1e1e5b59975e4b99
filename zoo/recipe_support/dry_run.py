"""One batch through everything that a training run does, without a trace on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.config import Settings
from zoo.evaluation.score_table import table
from zoo.evaluation.scoring import score
from zoo.recipe_support.recipe_results import TrainResult
from zoo.task import TaskOptions
from zoo.training.check import check_run
from zoo.training.fit_task import fit_task
from zoo.training.phases import run_phases
from zoo.training.run import build, report_inputs


def dry_run(config: Settings, parts: Mapping[str, Any]) -> TrainResult:
    """Run one batch through every phase, one explanation and one update of every score; leave nothing behind.

    Args:
        config: of the run.
        parts: modules and data of the user, as for ``build``.
    """
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
