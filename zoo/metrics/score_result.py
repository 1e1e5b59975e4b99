"""One score of one model, with the words that a table or a page prints beside the number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from zoo.display import Table


@dataclass(frozen=True, repr=False)
class Result(Table):
    """One score of one model.

    Attributes:
        name: name of the score in its suite.
        value: the headline; None if the score does not apply.
        protocol: id of the exact definition.
        support: number of samples behind the value.
        note: ``n/a: reason`` if the score does not apply, otherwise what a reader has to know; often empty.
        more: further read-outs by name.
        per_unit: ``(u,)`` vectors by name.
        curves: lists of numbers by name, such as the accuracy against the number of concepts set.
        tables: tables of numbers by name, such as a confusion matrix.
        title: heading of a table row.
        meaning: one line that says what the value is, with the chance level where the score has one.
        unit: unit of the value: ``%``, ``units``, ``nats`` or empty.
        higher_is_better: direction; None if neither end is better.
        axes: (x label, y label) of each curve, under the names of ``curves``.
        unit_readouts: column headings of the vectors of ``per_unit`` that are for readers, by name.
        unit_pass_rate: name of the vector of ``per_unit`` that is the share of inputs on which a unit passes; empty for
            none.
        details: whether each further read-out deserves a table row of its own.

    Example:
        >>> Result("accuracy", 0.5, "top1", support=4).to_json()
        {'value': 0.5, 'protocol': 'top1', 'support': 4}
    """

    name: str
    value: float | None
    protocol: str
    support: int = 0
    note: str = ""
    more: dict[str, float] = field(default_factory=dict)
    per_unit: dict[str, Tensor] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    tables: dict[str, list[list[float]]] = field(default_factory=dict)
    title: str = ""
    meaning: str = ""
    unit: str = ""
    higher_is_better: bool | None = None
    axes: dict[str, tuple[str, str]] = field(default_factory=dict)
    unit_readouts: dict[str, str] = field(default_factory=dict)
    unit_pass_rate: str = ""
    details: bool = False

    def _table(self) -> tuple[str, Sequence[str], Sequence[Sequence[Any]]]:
        if self.value is None:
            return f"{self.title or self.name}: {self.note}", ("read-out", "value"), []
        headline = f"{self.title or self.name}: {self.value:.4g} {self.unit}".rstrip()
        rows = [(name, f"{value:.4g}") for name, value in self.more.items()]
        return f"{headline} ({self.protocol}, {self.support} samples)", ("read-out", "value"), rows

    def to_json(self) -> dict[str, Any]:
        """Return value, protocol and support, with note, read-outs and curves where there are any.

        The per-unit vectors and the words are left out. Standard JSON has no infinity and no NaN: such a number is
        None.
        """
        out: dict[str, Any] = {"value": _finite(self.value), "protocol": self.protocol, "support": self.support}
        if self.note:
            out["note"] = self.note
        if self.more:
            out["more"] = {key: _finite(value) for key, value in self.more.items()}
        if self.curves:
            out["curves"] = {key: [_finite(value) for value in values] for key, values in self.curves.items()}
        if self.tables:
            out["tables"] = self.tables
        return out


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
