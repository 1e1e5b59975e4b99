"""Intervene: correct concepts (or set any units) by name, one after another, and see what the answer becomes."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo import checkpoint
from zoo.config import keyword_overrides
from zoo.evaluation import examples
from zoo.evaluation.run_facts import run_facts
from zoo.evaluation.single_input import file_name, read_input
from zoo.evaluation.units.unit_values import answers_after, model_schema, read_statements, step_rows
from zoo.recipe_support.recipe_results import InterveneResult
from zoo.reporting.page import page
from zoo.training.process_settings import prepared
from zoo.training.run import data_of, load_checkpoint


@prepared
def intervene(
    name: str | Path,
    input: str | int,
    values: Mapping[str, Any],
    *,
    data: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    dry_run: bool = False,
) -> InterveneResult:
    """Set units of one input, one on top of the other, and write a page with the answer after each.

    Args:
        name: checkpoint or run folder.
        input: index of the test split, an image file, ``name=value,...`` for a table, or a text.
        values: value by concept (``{"has_hole": 1, "wing": "striped"}``), or strength by unit name.
        data: arguments of the data source to override.
        overrides: ``data.key=value`` strings, as on the command line.
        out: folder of the page; by default ``runs/intervene``.
        dry_run: write nothing.

    Raises:
        ValueError: no such checkpoint, input, unit or value.

    Example:
        >>> import zoo
        >>> result = zoo.intervene("cbm-digits", 12, {"has_hole": 1})  # doctest: +SKIP
        >>> result.old, result.new  # doctest: +SKIP
    """
    name = str(name)
    statements = {unit: str(value) for unit, value in values.items()}
    if not statements:
        raise ValueError("nothing to set; add concepts and values, such as has_hole=1")
    all_overrides = [*keyword_overrides({"data": data or {}}), *overrides]
    model, config = load_checkpoint(name, all_overrides)
    source = data_of(config, model)
    if not len(model.units):
        raise ValueError(f"{name} is a {model.name}: it has no units that could be set")
    masks, strengths = read_statements(model, model_schema(config), statements)
    x, sample, input_name = read_input(str(input), source, model.inputs)
    explanation = model.explain(x)
    logits = answers_after(model, x, masks, strengths)
    steps = step_rows(statements, masks, explanation, logits, source.output_names, model.task)
    title = checkpoint.title(name)
    stated = [f"{unit}={value}" for unit, value in statements.items()]
    command = " ".join(["zoo intervene", name, str(input), *stated, *all_overrides])
    truth, concepts = (None, None) if sample is None else (sample.y, sample.concepts)
    folder_of_model = checkpoint.find(name)
    _, metrics = checkpoint.read(folder_of_model)
    stored = folder_of_model if sample is None else None
    explained = examples.Examples(x, (explanation,), truth, concepts)
    heading = f"{title} on {input_name}, with interventions"
    context = replace(
        examples.page_context(model, source, explained, title=heading, stored=stored, metrics=metrics),
        steps=steps,
        facts=run_facts(config, source, command, read=sample is not None),
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if dry_run else Path(out or "runs/intervene")
        file = page(folder / f"{title}-{file_name(input_name)}-set.html", context)
    return InterveneResult(
        name=title,
        input=input_name,
        steps=steps,
        old=steps[0].answer,
        new=steps[-1].answer,
        explanation=explanation,
        page=None if dry_run else file,
    )
