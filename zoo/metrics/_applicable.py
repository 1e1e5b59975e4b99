"""Which rows of a suite can be updated from a record or from labeled positions, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from zoo.explanation import Units
from zoo.metrics._suite_rows import Row
from zoo.metrics.base import Record
from zoo.metrics.perturbations.noise import Change
from zoo.metrics.perturbations.perturbation_list import unfit
from zoo.metrics.positions._evaluator import PositionEvaluator, PositionLabels
from zoo.metrics.record_batch import evaluating, missing_annotation, missing_capability


def applicable(rows: Iterable[Row], record: Record, units: Units) -> list[Row]:
    """Return the rows that can be updated from a record; the others get a note that says why they cannot."""
    fitting = []
    for row in rows:
        if not row.applies or at_positions(row):
            continue
        changes = [change for change, _ in row.score.perturbations if isinstance(change, Change)]
        reasons = [
            missing_capability(record.model, row.score.requires, units=units),
            missing_annotation(record, row.score.requires),
            *(unfit(change, record.batch, record.model) for change in changes),
        ]
        reason = next(filter(None, reasons), "")
        row.note = f"n/a: {reason}" if reason else ""
        if not reason:
            fitting.append(row)
    return fitting


def at_positions(row: Row) -> bool:
    """Return whether the score of a row reads labeled positions of whole sequences."""
    return "position_labels" in row.score.requires


def evaluate_positions(
    rows: Iterable[Row],
    model: Any,
    fresh: Callable[[], Any] | None,
    labels: PositionLabels | None,
    sequences: int,
) -> None:
    """Update the rows of labeled positions on whole sequences; arguments as for ``Suite.evaluate_positions``."""
    rows = [row for row in rows if row.applies and at_positions(row)]
    known = labels is not None and bool(rows) and labels("test", 1) is not None
    for row in rows:
        reason = missing_capability(model, row.score.requires) if known else "no position labels in the data"
        row.note = f"n/a: {reason}" if reason else ""
    for make, random in ((lambda: model, False), (fresh, True)):
        scores = [row.score for row in rows if row.is_control == random and not row.note]
        if make is None or labels is None or not scores:
            continue
        with evaluating(subject := make()):
            evaluator = PositionEvaluator(subject, labels, count=sequences)
            for score in scores:
                score.evaluate_positions(evaluator)
