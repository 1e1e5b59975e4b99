"""Explain: the page of one input, which units decided and how they add up to the answer."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from zoo import checkpoint
from zoo.capabilities import HasClassSums, HasTrace, capability
from zoo.config import keyword_overrides
from zoo.evaluation.scoring import about
from zoo.evaluation.single_input import file_name, read_input
from zoo.reporting import unit_gallery
from zoo.reporting.glossary import visible
from zoo.reporting.page import ScoreRow, page
from zoo.results import ExplainResult
from zoo.training.quiet import quiet
from zoo.training.run import data_of, load_checkpoint


def explain(
    name: str | Path,
    input: str | int,
    *,
    data: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    shown: int = 10,
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
        out: folder of the page; by default ``runs/explain``.
        dry_run: write nothing.

    Raises:
        ValueError: no such checkpoint, input or argument.

    Example:
        >>> import zoo
        >>> result = zoo.explain("protopnet-digits", 12)  # doctest: +SKIP
        >>> result.answers, result.page  # doctest: +SKIP
    """
    quiet()
    name = str(name)
    if shown < 0:
        raise ValueError(f"--shown is {shown}; expected 0 or more")
    model, config = load_checkpoint(name, [*keyword_overrides({"data": data or {}}), *overrides])
    source = data_of(config)
    x, sample, input_name = read_input(str(input), source)
    truth = sample and sample.y
    with torch.no_grad():
        explanation = model.explain(x, shown=shown)
        of_truth = None if truth is None else model.explain(x, target=truth, shown=shown)
    explanations = [e for e in (explanation, of_truth) if e is not None]
    used = {int(u) for e in explanations for u in e.shown.flatten()}
    tracer = capability(model, HasTrace)
    traces = [] if tracer is None else tracer.trace(x)
    sums = capability(model, HasClassSums)
    tokens = source.token_texts(x)
    title = checkpoint.title(name)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if dry_run else Path(out or "runs/explain")
        file = page(
            folder / f"{title}-{file_name(input_name)}.html",
            title=f"{title} on {input_name}",
            explanation=explanation,
            also=of_truth,
            pictures=source.to_image(x),
            truth=truth,
            class_names=source.class_names,
            sources=unit_gallery.sources(model, source, used),
            scores=_score_rows(name),
            facts=about(config, source, f"zoo explain {name} {input}"),
            notes=unit_gallery.notes(model, source, sample and sample.concepts, *explanations),
            details=source.feature_values(x),
            traces=traces,
            sums=[] if sums is None else sums.class_sums(x),
            tokens=tokens,
        )
    classes = [source.class_names[c] for c in explanation.target.tolist()]
    return ExplainResult(
        input=input_name,
        explanation=explanation,
        answers=classes if tokens is None else [visible(answer) for answer in classes],
        trace=traces[0] if traces else (),
        page=None if dry_run else file,
    )


def _score_rows(name: str) -> list[ScoreRow]:
    """Return the scores of a checkpoint as they were measured after its training."""
    _, metrics = checkpoint.read(checkpoint.find(name))
    return [
        ScoreRow(n, "n/a" if s["value"] is None else f"{s['value']:.4g}", s["protocol"], s.get("note", ""))
        for n, s in metrics.get("scores", {}).items()
    ]
