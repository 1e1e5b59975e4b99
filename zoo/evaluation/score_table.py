"""Results as rows for readers: the value, its interval, what it means, and the chance level."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.metrics.score_result import Result
from zoo.reporting.chart import Chart, chart
from zoo.reporting.context import ScoreRow

WARNING = "WARNING: "  # at the beginning of a note that a reader must not miss


def table(results: Mapping[str, Result]) -> list[ScoreRow]:
    """Return results as rows, each with its meaning; 95 % intervals stand in brackets.

    Example:
        >>> table({"accuracy": Result("accuracy", 0.5, "top1", meaning="share of correct answers")})
        [ScoreRow(name='accuracy', value='0.5', protocol='top1', note='share of correct answers')]
    """
    rows = []
    for result in results.values():
        title = result.title or result.name.replace("_", " ")
        note = result.note if result.note and result.value is not None else result.meaning
        rows.append(ScoreRow(title, _value(result), result.protocol, note))
        if result.details:
            rows += _details(result.more)
        else:
            with_interval = [key for key in result.more if f"{key} low" in result.more]
            rows += [
                ScoreRow(f"· {key}", f"{result.more[key]:.4g}{_interval(key, result.more)}", "")
                for key in with_interval
            ]
    return rows


def stored_rows(metrics: Mapping[str, Any]) -> list[ScoreRow]:
    """Return the rows of scores as ``metrics.json`` of a checkpoint holds them."""
    rows = []
    for name, score in metrics.get("scores", {}).items():
        value = score["value"]
        note = score.get("note", "")
        text = (note if note.startswith("n/a") else "n/a") if value is None else f"{value:.4g}"
        rows.append(ScoreRow(name.replace("_", " "), text, score["protocol"], "" if value is None else note))
    return rows


def applicable(rows: Sequence[ScoreRow]) -> tuple[list[ScoreRow], str]:
    """Return the rows that have a value, and one line on those that do not apply; empty if all apply.

    Example:
        >>> rows = [ScoreRow("accuracy", "0.97", "top1"), ScoreRow("purity", "n/a: no part annotations", "p")]
        >>> applicable(rows)[1]
        '1 score does not apply: no part annotations'
    """
    kept = [row for row in rows if row.applies]
    reasons = Counter(row.value.removeprefix("n/a").removeprefix(": ") for row in rows if not row.applies)
    count = reasons.total()
    if not count:
        return kept, ""
    several = len(reasons) > 1
    listed = [f"{reason or 'no value'} ({n})" if several else reason or "no value" for reason, n in reasons.items()]
    return kept, f"{count} score{'s do' if count > 1 else ' does'} not apply: {', '.join(listed)}"


def warnings_of(rows: Sequence[ScoreRow]) -> list[str]:
    """Return the warnings among the notes of rows, each with the title and value of its score.

    Example:
        >>> warnings_of([ScoreRow("Lowest class recall", "0", "p", "WARNING: class 'ill': 0 of 3 found")])
        ["Lowest class recall 0: class 'ill': 0 of 3 found"]
    """
    marked = [row for row in rows if row.note.startswith(WARNING)]
    return [f"{row.name} {row.value}: {row.note.removeprefix(WARNING)}" for row in marked]


def charts(results: Mapping[str, Result]) -> list[Chart]:
    """Return one drawing for each score that has curves of two points or more, with the axes that the score states."""
    drawings = []
    for result in results.values():
        by_axes: dict[tuple[str, str], dict[str, list[float]]] = {}
        for key, values in result.curves.items():
            if len(values) > 1 and all(map(math.isfinite, values)):
                by_axes.setdefault(result.axes.get(key, ("step", "value")), {})[key] = values
        title = result.title or result.name.replace("_", " ")
        drawings += [chart(curves, title=f"{title}: {y}", x=x) for (x, y), curves in by_axes.items()]
    return drawings


def _interval(key: str, more: Mapping[str, float]) -> str:
    return f" [{more[f'{key} low']:.3g}, {more[f'{key} high']:.3g}]"


def _details(more: Mapping[str, float]) -> list[ScoreRow]:
    """Return a row for each read-out; those of one policy (its area, spread, gain and groups) share a row."""
    rows = []
    for key, value in more.items():
        if key.rsplit(" ", 1)[0] in more and key.endswith((" spread", " gain", " groups")):
            continue
        stem, _, end = key.rpartition(" ")
        if end in ("low", "high") and f"{stem} low" in more and f"{stem} high" in more:
            continue  # the ends of an interval stand beside its value
        spread, gain = more.get(f"{key} spread"), more.get(f"{key} gain")
        text = f"{value:.4g}" if spread is None else f"{value:.3f} ± {spread:.3f}"
        text += _interval(key, more) if f"{key} low" in more else ""
        note = "" if gain is None else f"{gain:.0%} of the possible gain; 95 % of it after {more[f'{key} groups']:.0f}"
        rows.append(ScoreRow(f"· {key.replace('_', ' ')}", text, "", note))
    return rows


def _value(result: Result) -> str:
    """Return the headline with its unit and interval, or why there is none."""
    value = result.value
    if value is None:
        return result.note or "n/a"
    text = f"{value:.2e}" if 0 < abs(value) < 1e-3 else f"{value:.4g}"
    unit = f" {result.unit}" if result.unit else ""
    own = [key.removesuffix(" low") for key in result.more if key.endswith(" low")]
    return text + unit + "".join(_interval(key, result.more) for key in own if key not in result.more)
