"""Compare: match the units of several runs one to one, and show the pairs side by side."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from zoo.config import keyword_overrides
from zoo.config.seed_group import expand
from zoo.evaluation.comparison import COLUMNS, cards, cells, number, to_json
from zoo.evaluation.matched_runs import fingerprint, load_runs, probe
from zoo.evaluation.run_facts import run_facts
from zoo.metrics.matching.assignment import PROTOCOL, average
from zoo.recipe_support.recipe_results import CompareResult
from zoo.reporting.glossary import noun
from zoo.reporting.pages.comparison_page import MATCHINGS, compare_page
from zoo.training.process_settings import prepared


@prepared
def compare(
    *names: str | Path,
    by: Literal["activations", "directions", "parts"] = "activations",
    shown: int = 40,
    data: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    dry_run: bool = False,
) -> CompareResult:
    """Match the units of two or more runs on the same data, and write a page of the pairs and their figures as JSON.

    Args:
        names: checkpoints or run folders; a group of seeds stands for its runs.
        by: what is compared: activations on test samples, directions in a shared space, or the parts looked at.
        shown: number of pairs with pictures, for each two runs.
        data: arguments of the data source to override, for all runs.
        overrides: ``data.key=value`` strings, as on the command line.
        out: folder of page and figures; by default ``runs/compare``.
        dry_run: compare on one batch and write nothing.

    Raises:
        ValueError: fewer than two runs, one that does not exist, or runs that cannot be compared.

    Example:
        >>> import zoo
        >>> zoo.compare("cbm-digits", "cem-digits").pairs[0, 1]["similarity"]  # doctest: +SKIP
    """
    if shown < 0:
        raise ValueError(f"--shown is {shown}; expected the number of pairs with pictures, 0 or more")
    if by not in MATCHINGS:
        raise ValueError(f"by is {by!r}; expected {', '.join(MATCHINGS)}")
    all_overrides = [*keyword_overrides({"data": data or {}}), *overrides]
    runs = load_runs(expand([str(name) for name in names]), all_overrides)
    found = probe(runs, by, limit=1 if dry_run else None)
    figures = {at: match.summary() | {"same answer": found.agreement(at)} for at, match in found.matches.items()}
    mean = average(found.matches.values())
    mean["same answer"] = sum(f["same answer"] for f in figures.values()) / len(figures)
    samples = len(found.answers[0])
    data_name = runs[0].config.data.name
    lines = {at: cells(len(found.matches[at].left), f) for at, f in figures.items()}
    described = [
        (run.name, f"{len(run.model.units)} {noun(run.model.units.kind).many}, accuracy {accuracy:.3f}")
        for run, accuracy in zip(runs, found.accuracy, strict=True)
    ]
    command = " ".join(["zoo compare", *map(str, names), *all_overrides, "--by", by])
    facts = run_facts(runs[0].config, runs[0].data, command) | {
        "model": ", ".join(dict.fromkeys(run.model.name for run in runs)),
        "data": f"{data_name} ({runs[0].data.license}), {samples} test samples, hash {fingerprint(runs[0].data)}",
        "protocol": f"{PROTOCOL}/{by}",
    }
    stem = f"{'-'.join(run.name for run in runs).replace('/', '-')[:120]}-by-{by}"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if dry_run else Path(out or "runs/compare")
        page = compare_page(
            folder / f"{stem}.html",
            title=f"{len(runs)} runs on {data_name} side by side",
            by=by,
            columns=COLUMNS,
            mean=cells(None, mean),
            runs=described,
            pairs=cards(runs, found, lines, shown, MATCHINGS[by].dead),
            lead=f"The mean similarity of matched units is {number(mean['similarity'])}. By chance it would be"
            f" {number(mean['chance'])}; for units that share {MATCHINGS[by].shared}, {number(mean['strict_chance'])}."
            f" Two runs give the same answer to {100 * mean['same answer']:.1f} % of {samples} test samples.",
            shown=shown,
            facts=facts,
            kinds=[run.model.units.kind for run in runs],
        )
        record = folder / f"{stem}.json"
        record.write_text(json.dumps(to_json(runs, found, figures, mean, facts), indent=1) + "\n")
    return CompareResult(
        title=f"{len(runs)} runs on {data_name}, matched by {by} ({samples} test samples)",
        runs=described,
        columns=COLUMNS,
        table=lines,
        mean=cells(None, mean),
        pairs=figures,
        page=None if dry_run else page,
        figures=None if dry_run else record,
    )
