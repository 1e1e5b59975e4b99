"""Report: the audit of a model of tables, for those who answer for it: groups, fairness, drift, stored data."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from zoo import __version__, checkpoint
from zoo.capabilities import HasShapeFunctions, capability
from zoo.evaluation import audit
from zoo.evaluation.units.gallery import shapes
from zoo.recipe_support.recipe_results import ReportResult
from zoo.reporting.pages.audit_page import audit_page, section, shapes_section
from zoo.training.fit_task import split_logits
from zoo.training.process_settings import prepared
from zoo.training.run import data_of, load_checkpoint


@prepared
@torch.no_grad()
def report(
    name: str | Path,
    *,
    new: Any = None,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
) -> ReportResult:
    """Write a page with the data sheet, performance by group, fairness, monotonicity, stored data and versions.

    Args:
        name: checkpoint or run folder of a model of tables.
        new: a file, DataFrame or other table whose columns are compared with the training rows.
        overrides: ``data.key=value`` strings, for other test data.
        out: HTML file to write; by default ``runs/report-<name>.html``.

    Raises:
        ValueError: no such checkpoint, a model of other inputs, or a table that cannot be read.

    Example:
        >>> import zoo
        >>> zoo.report("additive-adult", new="this_month.csv").page  # doctest: +SKIP
    """
    name = str(name)
    model, config = load_checkpoint(name, overrides)
    inputs = audit.table_inputs(model, name)
    data = data_of(config, model)
    if data.user_supplied and not data.is_available:
        raise ValueError(
            f"the rows that {name} was trained on are not on this machine; name rows with their target, such as"
            " data.file=labeled.csv"
        )
    title = checkpoint.title(name)
    logits, y, _ = split_logits(model, data.loader("test"))
    x = torch.cat([batch.x for batch in data.loader("test")])
    groups = audit.group_figures(model, inputs, inputs.encoding.decode(x), logits, y)
    figures = list(groups[0].figures)
    rows = [(g.column, g.name, g.rows, *g.figures.values()) for g in groups]
    sections = [section("Columns", ["Column", "What became of it", "Missing"], audit.data_sheet(inputs))]
    about = f"{len(y)} rows of the test split. Groups of fewer than {audit.MIN_ROWS} rows are pooled."
    sections.append(section("Performance and calibration by group", ["Column", "Group", "Rows", *figures], rows, about))
    if unequal := audit.fairness(groups):
        threshold = getattr(model.task, "threshold", None)
        rule = "the more probable class" if threshold is None else f"a probability of {threshold:.4g}"
        head = ["Column", "Least selected", "Rate", "Most selected", "Rate", "Ratio"]
        lines = [(*row, row[2] / max(row[4], 1e-12)) for row in unequal]
        note = f"Selected is the second class, {data.class_names[1]!r}, from {rule} on."
        sections.append(section("Selection rates", head, lines, note))
    if plots := shapes(model):
        sections.append(shapes_section(plots))
    additive = capability(model, HasShapeFunctions)
    if additive is not None and (order := audit.monotonicity(additive.shape_functions())):
        sections.append(section("Monotonicity", ["Column", "Function"], order))
    changed: list[audit.Drift] = []
    if new is not None:
        fresh = torch.cat([reading.x for reading in inputs.scan(new, labels=False)])
        changed = audit.drift(inputs, inputs.encoding.decode(fresh))
        head = ["Column", "Stability index", "Missing in training", "Missing now", "Unknown levels now"]
        note = f"{len(fresh)} new rows. Below 0.1 is called stable, above 0.25 changed."
        sections.append(section("Drift of the new rows", head, changed, note))
    stored = audit.stored_data(inputs)
    note = "Tables of the model hold sums over rows; these parts of inputs.yaml come from single rows."
    sections.append(section("Personal data in the checkpoint", ["Column", "Stored"], stored, note))
    packages = [(p, version(p)) for p in ("torch", "scikit-learn", "numpy", "pandas")]
    facts = [
        ("checkpoint", title),
        ("model", model.name),
        ("zoo", __version__),
        ("python", platform.python_version()),
        *packages,
    ]
    sections.append(section("Versions", ["What", "Which"], facts))
    file = Path(out) if out else Path("runs") / f"report-{title}.html"
    lead = f"Audit of {model.name} on {config.data.name}, {len(model.units)} units."
    return ReportResult(audit_page(file, title, lead, sections), groups, changed)
