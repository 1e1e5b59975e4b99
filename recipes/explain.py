"""Explain: the page of one input, which units decided and how they add up to the answer."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from zoo import checkpoint
from zoo.config import keyword_overrides
from zoo.evaluation import examples
from zoo.evaluation.page.asked import class_named, counterfactual_sentences
from zoo.evaluation.page.nearest import nearest_cases
from zoo.evaluation.run_facts import run_facts
from zoo.evaluation.score_table import stored_rows
from zoo.evaluation.single_input import file_name, read_input
from zoo.recipe_support.recipe_results import ExplainResult
from zoo.reporting.glossary import visible
from zoo.reporting.page import page
from zoo.reporting.shares import share_of_contrast
from zoo.training.process_settings import prepared
from zoo.training.run import data_of, load_checkpoint


@prepared
def explain(
    name: str | Path,
    input: str | int,
    *,
    data: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    shown: int = 10,
    against: str | None = None,
    counterfactual: bool | str = False,
    allowed: Sequence[str] | None = None,
    neighbors: int = 0,
    out: str | Path | None = None,
    dry_run: bool = False,
) -> ExplainResult:
    """Explain one input and write a self-contained HTML page.

    Args:
        name: checkpoint or run folder.
        input: index of the test split, an image file, ``name=value,...`` for a table, or a text.
        data: arguments of the data source to override.
        overrides: ``data.key=value`` strings, as on the command line.
        shown: number of units to show.
        against: name of the class that the answer is compared with; by default the runner-up.
        counterfactual: True for the smallest change that gives another answer; or the class that is wanted.
        allowed: names of the columns, concepts or units that this change may touch; None for all.
        neighbors: number of nearest training cases on the page; the training data are read for them.
        out: folder of the page; by default ``runs/explain``.
        dry_run: write nothing.

    Raises:
        ValueError: no such checkpoint, input, class or argument.

    Example:
        >>> import zoo
        >>> result = zoo.explain("protopnet-digits", 12)  # doctest: +SKIP
        >>> result.answers, result.page  # doctest: +SKIP
    """
    name = str(name)
    if shown < 0:
        raise ValueError(f"--shown is {shown}; expected 0 or more")
    model, config = load_checkpoint(name, [*keyword_overrides({"data": data or {}}), *overrides])
    source = data_of(config, model)
    x, sample, input_name = read_input(str(input), source, model.inputs)
    other = None if against is None else torch.full((len(x),), class_named(against, source.output_names))
    explained = examples.explain(model, x, sample, shown=shown, against=other)
    explained = replace(explained, inputs=(str(input),) * len(x))
    explanation = explained.explanations[0]
    names = source.output_names
    sentences = counterfactual_sentences(model, x, names, counterfactual, allowed)
    title = checkpoint.title(name)
    folder_of_model = checkpoint.find(name)
    _, metrics = checkpoint.read(folder_of_model)
    stored = folder_of_model if sample is None else None
    heading = f"{title} on {input_name}"
    shown_page = examples.page_context(
        model, source, explained, title=heading, stored=stored, checkpoint=name, metrics=metrics
    )
    context = replace(
        shown_page,
        neighbors=nearest_cases(model, source, x, k=neighbors) if neighbors else (),
        counterfactuals=sentences or shown_page.counterfactuals,
        scores=stored_rows(metrics),
        facts=run_facts(config, source, f"zoo explain {name} {input}", read=sample is not None),
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if dry_run else Path(out or "runs/explain")
        file = page(folder / f"{title}-{file_name(input_name)}.html", context)
    answers = model.task.texts(model.task.answer(explanation.logits).prediction, source.output_names)
    as_written = context.tokens is None or context.labeled_texts
    return ExplainResult(
        input=input_name,
        explanation=explanation,
        answers=answers if as_written else [visible(answer) for answer in answers],
        trace=context.traces[0] if context.traces else (),
        contrast=context.contrast,
        share=share_of_contrast(context, 0) if context.contrast is not None and context.count == 1 else "",
        from_mean=context.mean_strengths is not None,
        counterfactual=sentences[0] if sentences else (),
        class_names=source.output_names if as_written else [visible(name) for name in source.output_names],
        page=None if dry_run else file,
    )
