"""What a page needs to compute the answer to a changed input itself: the numbers of the head, and its controls."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from markupsafe import Markup

from zoo.task import Task
from zoo.what_if import FeatureTables
from zoo.what_if.feature_tables import NEAR_WHOLE

ControlKind = Literal["switch", "yes_no", "choice", "number", "date", "level"]
SINGLE_DIGITS = 10  # significant digits of numbers of single precision, one more than tells two of them apart
DIGITS = 12  # of other numbers
BASE_DIGITS = 15
BASE = 1e-9  # difference of the bases of two inputs below which they share one


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

    def effects(self) -> list[list[Any]]:
        """Return for each unit the logits that it changes, its weights there, and its offsets (empty if all are 0)."""
        effects = []
        for weight, offset in zip(self.weight.T, self.offset.T, strict=True):
            ids = np.flatnonzero((weight != 0) | (offset != 0)).tolist()
            effects.append([ids, short_numbers(weight[ids]), short_numbers(offset[ids]) if offset.any() else []])
        return effects


class UnitEntry(NamedTuple):
    """A unit as all inputs share it.

    Attributes:
        name: of the unit.
        effect: see ``UnitNumbers.effects``; None where it depends on the input.
        ends: its strength when it is switched off, and those that stand for 0 and 1.
    """

    name: str
    effect: list[Any] | None
    ends: list[float]


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

    @cached_property
    def controls_of_page(self) -> dict[str, Control]:
        """The controls of all inputs by name; those of different inputs differ in their label alone."""
        return {control.name: control for controls in self.controls for control in controls}

    @cached_property
    def units_of_page(self) -> dict[int, UnitEntry]:
        """The units that any input has controls of, by id."""
        entries: dict[int, UnitEntry] = {}
        for numbers in self.units:
            rows = zip(numbers.units, numbers.names, numbers.effects(), strict=True)
            for k, (unit, name, effect) in enumerate(rows):
                ends = short_numbers(np.array([numbers.off[k], numbers.zero[k], numbers.one[k]]))
                known = entries.setdefault(unit, UnitEntry(name, effect, ends))
                if known.effect != effect:  # the weights depend on the input
                    entries[unit] = UnitEntry(name, None, ends)
        return entries

    def shared(self, task: Task, class_names: Sequence[str]) -> dict[str, Any]:
        """Return plain values that all inputs share: the task, the classes, the controls, and weights or tables."""
        controls = [
            {"name": c.name, "kind": c.kind, "units": list(c.units), "words": list(c.words)}
            | ({"low": c.low, "high": c.high, "step": c.step} if c.kind == "number" else {})
            for c in self.controls_of_page.values()
        ]
        values: dict[str, Any] = {"task": task_numbers(task), "classes": list(class_names), "controls": controls}
        if self.tables is None:
            units = self.units_of_page
            base = short_numbers(self.units[0].base, BASE_DIGITS)
            return values | {"ids": list(units), "units": [list(entry) for entry in units.values()], "base": base}
        tables = self.tables
        axes = [
            {"column": a.column, "cuts": a.cuts.tolist(), "bins": a.bins.tolist(), "size": a.size} for a in tables.axes
        ]
        terms = [{"name": t.name, "axes": list(t.axes), "table": t.table.ravel().tolist()} for t in tables.terms]
        numbers = {"intercept": tables.intercept.tolist(), "halved": tables.halved, "names": list(tables.names)}
        points = {"multiplier": tables.multiplier, "near": NEAR_WHOLE}
        return values | {"tables": numbers | points | {"axes": axes, "terms": terms}}

    def of_input(self, i: int) -> dict[str, Any]:
        """Return plain values of one input: its controls in order, and its row or the strengths of its units."""
        places = {name: n for n, name in enumerate(self.controls_of_page)}
        order = [places[control.name] for control in self.controls[i]]
        values: dict[str, Any] = {} if order == list(range(len(places))) else {"order": order}
        if self.commands:
            values["command"] = self.commands[i]
        if self.tables is not None:
            return values | {"row": [None if math.isnan(v) else v for v in self.rows[i].tolist()]}
        numbers, page_units = self.units[i], self.units_of_page
        by_id = dict(zip(map(int, numbers.units), short_numbers(numbers.strength), strict=True))
        if any(page_units[unit].effect is None for unit in by_id):
            values["effects"] = dict(zip(by_id, numbers.effects(), strict=True))
        if len(by_id) < len(page_units):
            values["units"] = list(by_id)
        else:
            by_id = {unit: by_id[unit] for unit in page_units}
        values["strength"] = list(by_id.values())
        if not np.allclose(numbers.base, self.units[0].base, rtol=0.0, atol=BASE):
            values["base"] = short_numbers(numbers.base, BASE_DIGITS)
        if numbers.other_count:
            values |= {"others": short_numbers(numbers.others), "other_count": numbers.other_count}
        return values


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


def short_numbers(values: np.ndarray, digits: int | None = None) -> list[float]:
    """Return numbers with so many significant digits, whole ones without a point.

    Args:
        values: of any shape.
        digits: None for 10 of a number of single precision and 12 of any other.

    Example:
        >>> short_numbers(np.array([1.0, 1 / 3]), 3)
        [1, 0.333]
    """
    flat = np.asarray(values, dtype=np.float64).ravel()
    single = (flat == flat.astype(np.float32)).tolist()
    rounded = [
        float(f"{value:.{digits or (SINGLE_DIGITS if is_single else DIGITS)}g}")
        for value, is_single in zip(flat.tolist(), single, strict=True)
    ]
    return [int(value) if value.is_integer() and abs(value) < 2**53 else value for value in rounded]
