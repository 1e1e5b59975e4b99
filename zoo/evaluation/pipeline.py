"""The evaluation of a model in one direction: explain examples, score, tabulate, gather the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zoo.data.base import Data
from zoo.evaluation.examples import Examples, first_of_each_class, page_context
from zoo.evaluation.score_table import charts, table, warnings_of
from zoo.evaluation.scoring import score
from zoo.evaluation.units.ranking import lowest_units, vocabulary
from zoo.metrics.score_result import Result
from zoo.model import SelfExplaining
from zoo.reporting.context import PageContext, ScoreRow


@dataclass(frozen=True)
class Evaluation:
    """A model evaluated on the test split.

    Attributes:
        results: by name.
        rows: the score table.
        examples: explained test samples.
        page: all that the page shows.
    """

    results: dict[str, Result]
    rows: list[ScoreRow]
    examples: Examples
    page: PageContext


def evaluate(
    model: SelfExplaining,
    data: Data,
    suite: str,
    *,
    title: str,
    facts: Mapping[str, str],
    more_rows: Sequence[ScoreRow] = (),
    checkpoint: str = "",
    metrics: Mapping[str, Any] | None = None,
    accelerator: str = "auto",
    progress: bool = True,
) -> Evaluation:
    """Score a model on the test split and gather what its page shows.

    Args:
        model: in eval mode.
        data: source of the test split.
        suite: a name under ``configs/evaluate``, or a YAML file.
        title: heading of the page.
        facts: of the run, see ``run_facts``.
        more_rows: further rows of the score table, such as that of the reference model.
        checkpoint: name or folder of the model as on the command line, for the commands of the page.
        metrics: of the checkpoint, which may hold the mean strengths of its units; None for none.
        accelerator: ``auto`` takes a GPU where there is one.
        progress: show a progress bar on a terminal.
    """
    results = score(model, data, suite, accelerator=accelerator, progress=progress)
    rows = [*table(results), *more_rows]
    examples = first_of_each_class(model, data)
    ranking = lowest_units(model, data, results)
    kinds = {"regression": "from the smallest to the largest true value: the prediction and its explanation."}
    kinds["multilabel"] = "one for each label: the most probable labels and their explanations."
    each = kinds.get(model.task.kind, "each of another class: the predicted class and its explanation.")
    lead = (
        f"{len(examples)} samples of the test split, {each}"
        f" Below, the scores on all {len(data.splits['test'])} samples of the test split."
    )
    matrices = [result.tables["confusion matrix"] for result in results.values() if "confusion matrix" in result.tables]
    page = replace(
        page_context(model, data, examples, title=title, checkpoint=checkpoint, metrics=metrics),
        lead=lead,
        scores=rows,
        charts=charts(results),
        units=ranking.rows,
        warnings=warnings_of(rows),
        confusion=matrices[0] if matrices else (),
        unit_scores=ranking.scores,
        unit_list=vocabulary(model, data, results, name=title, checkpoint=checkpoint) if ranking.rows else None,
        facts=facts,
    )
    return Evaluation(results, rows, examples, page)
