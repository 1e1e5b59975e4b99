"""From the rows of a suite to results."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from zoo.metrics._suite_rows import Row
from zoo.metrics.base import Score
from zoo.metrics.score_result import Result

CONTROLS = {
    "random locations": "the same score of units at random locations",
    "random weights": "the same score of the model with random weights",
}


def result_of(row: Row) -> Result:
    """Compute one row; synchronizes processes."""
    cls, score = row.cls, row.score
    empty = Result(
        row.name,
        None,
        row.protocol,
        note=row.note or "n/a: nothing was scored",
        title=row.title,
        meaning=cls.meaning,
        unit=cls.unit,
        higher_is_better=cls.higher_is_better,
        unit_readouts=dict(cls.unit_readouts),
        unit_pass_rate=cls.unit_pass_rate,
        details=cls.details,
    )
    if not row.applies:
        return empty
    if missing := [split for split in score.fit_splits if split not in row.fitted]:
        return replace(empty, note=row.note or f"n/a: no samples of the {missing[0]} split to fit on")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The ``compute`` method of metric")
        values: dict[str, Tensor] = dict(score.compute())
    support = int(values.pop("support"))
    if support == 0:
        return replace(empty, note=f"n/a: {score.why}") if score.why and not row.note else empty
    per_unit = {k.removeprefix("unit/"): v.reshape(-1).cpu() for k, v in values.items() if k.startswith("unit/")}
    curves = {k.removeprefix("curve/"): v.tolist() for k, v in values.items() if k.startswith("curve/")}
    tables = {k.removeprefix("table/"): v.tolist() for k, v in values.items() if k.startswith("table/")}
    numbers = [(k, float(v)) for k, v in values.items() if not k.startswith(("unit/", "curve/", "table/"))]
    value, readouts = numbers[0][1], dict(numbers[1:])
    if math.isnan(value) and readouts.get("undefined") == 1:
        return replace(empty, note="n/a: undefined on every sample")
    return replace(
        empty,
        value=value,
        support=support,
        note=score.remark(value, readouts) if math.isfinite(value) else f"not finite: {value}",
        more=readouts,
        per_unit=per_unit,
        curves=curves,
        tables=tables,
        meaning=CONTROLS[row.kind] if row.is_control else _meaning(score, numbers[0], readouts),
        axes={key: cls.axes.get(key, cls.axes.get("*", ("step", "value"))) for key in curves},
    )


def _meaning(score: Score, headline: tuple[str, float], readouts: Mapping[str, float]) -> str:
    return score.describe(dict([headline]) | dict(readouts))
