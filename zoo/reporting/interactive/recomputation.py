"""What a page needs to compute the answer to a changed input itself: the numbers of the head, and its controls."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from markupsafe import Markup

from zoo.task import Task
from zoo.what_if import FeatureTables
from zoo.what_if.feature_tables import NEAR_WHOLE

ControlKind = Literal["switch", "yes_no", "choice", "number", "date", "level"]
DIGITS = 12  # significant digits of numbers that come from float32


@dataclass(frozen=True)
class Control:
    """One thing that a reader can change: a column of a row, a concept, or a unit that can be switched off.

    Attributes:
        name: of the column, concept or unit.
        kind: of the control: ``switch`` (a unit, on or off), ``yes_no`` (a binary concept), ``choice`` (one of the
            units of a categorical concept), ``number``, ``date`` (days from 1970-01-01) or ``level`` of a column.
        label: what it is now, in words.
        units: ids of the units that it sets; empty for a column.
        words: of the values of a choice or a level.
        low: smallest value of a number.
        high: largest value of a number.
        step: between the values of a slider; 0 for any.
    """

    name: str
    kind: ControlKind
    label: str = ""
    units: tuple[int, ...] = ()
    words: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    step: float = 0.0


@dataclass(frozen=True)
class UnitNumbers:
    """The part of one answer that follows from controlled units, c logits and k units.

    Attributes:
        units: ids of the k units.
        names: their names.
        strength: ``(k,)``
        weight: ``(c, k)``, see ``zoo.what_if.AffineHead``.
        offset: ``(c, k)``
        off: ``(k,)`` strength of a unit that is switched off.
        zero: ``(k,)`` strength that stands for the value 0 of a concept.
        one: ``(k,)`` strength that stands for the value 1.
        others: ``(c,)`` what all other units add.
        base: ``(c,)`` what no unit accounts for.
        other_count: number of the other units.
    """

    units: Sequence[int]
    names: Sequence[str]
    strength: np.ndarray
    weight: np.ndarray
    offset: np.ndarray
    off: np.ndarray
    zero: np.ndarray
    one: np.ndarray
    others: np.ndarray
    base: np.ndarray
    other_count: int

    def plain(self) -> dict[str, Any]:
        """Return plain values; a unit's weights as pairs (logit, weight), without those that are 0."""
        effects = []
        for weight, offset in zip(self.weight.T, self.offset.T, strict=True):
            ids = np.flatnonzero((weight != 0) | (offset != 0)).tolist()
            effects.append([ids, _short(weight[ids]), _short(offset[ids]) if offset.any() else []])
        return {
            "units": list(map(int, self.units)),
            "names": list(self.names),
            "strength": _short(self.strength),
            "effects": effects,
            "off": _short(self.off),
            "zero": _short(self.zero),
            "one": _short(self.one),
            "others": _short(self.others),
            "base": self.base.tolist(),
            "other_count": self.other_count,
        }


@dataclass(frozen=True)
class Recomputation:
    """Controls and numbers of b inputs.

    Attributes:
        controls: of each input.
        units: of each input, for a head that reads strengths; empty otherwise.
        tables: of a model of tables; None otherwise.
        rows: ``(b, d)`` values of the columns.
        commands: of each input, what to run on a terminal for the same change; the page adds the values.
        reason: why the page cannot compute the answer; empty if it can.
    """

    controls: Sequence[Sequence[Control]] = ()
    units: Sequence[UnitNumbers] = ()
    tables: FeatureTables | None = None
    rows: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    commands: Sequence[str] = ()
    reason: str = ""

    def shared(self, task: Task, class_names: Sequence[str]) -> dict[str, Any]:
        """Return plain values that all inputs share: the task, the classes and, of a model of tables, its tables."""
        values: dict[str, Any] = {"task": task_numbers(task), "classes": list(class_names)}
        if self.tables is None:
            return values
        tables = self.tables
        axes = [
            {"column": a.column, "cuts": a.cuts.tolist(), "bins": a.bins.tolist(), "size": a.size} for a in tables.axes
        ]
        terms = [{"name": t.name, "axes": list(t.axes), "table": t.table.ravel().tolist()} for t in tables.terms]
        numbers = {"intercept": tables.intercept.tolist(), "halved": tables.halved, "names": list(tables.names)}
        points = {"multiplier": tables.multiplier, "near": NEAR_WHOLE}
        return values | {"tables": numbers | points | {"axes": axes, "terms": terms}}

    def of_input(self, i: int) -> dict[str, Any]:
        """Return plain values of one input: its controls, and its row or the numbers of its units."""
        controls = [
            {"name": c.name, "kind": c.kind, "units": list(c.units), "words": list(c.words)} for c in self.controls[i]
        ]
        values: dict[str, Any] = {"controls": controls, "command": self.commands[i] if self.commands else ""}
        if self.tables is not None:
            return values | {"row": [None if math.isnan(v) else v for v in self.rows[i].tolist()]}
        return values | self.units[i].plain()


def task_numbers(task: Task) -> dict[str, Any]:
    """Return what turns logits into an answer: kind, temperature, offset, thresholds and abstention."""
    config = task.to_config()
    thresholds = config.get("thresholds")
    if thresholds is None and config.get("threshold") is not None:
        thresholds = [config["threshold"]]
    return {
        "kind": task.kind,
        "temperature": config.get("temperature", 1.0),
        "offset": config.get("offset"),
        "thresholds": thresholds,
        "abstain_below": config.get("abstain_below", 0.0),
    }


def as_json(values: Mapping[str, Any]) -> Markup:
    """Return values as JSON that is safe inside an HTML element of data.

    Example:
        >>> "<" in as_json({"name": "</script>"})
        False
    """
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in ("<", "&", "\u2028", "\u2029"):
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in np.asarray(values, dtype=np.float64).ravel().tolist()]
