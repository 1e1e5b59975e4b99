"""One score of one model, as a suite reports it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Result:
    """One score of one model.

    Attributes:
        name: of the score.
        value: the headline; None if the score does not apply.
        protocol: id of the exact definition.
        support: number of samples behind the value.
        note: ``n/a: why`` if the score does not apply, or what a reader has to know.
        more: further read-outs.
        per_unit: ``(u,)`` vectors by name.
        curves: lists of numbers by name, such as accuracy against the number of concepts set.
    """

    name: str
    value: float | None
    protocol: str
    support: int = 0
    note: str = ""
    more: dict[str, float] = field(default_factory=dict)
    per_unit: dict[str, Tensor] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Value, protocol, support, and what there is of note, read-outs and curves; without the per-unit vectors.

        Standard JSON has no infinity and no NaN: such a number is None.
        """
        out = {"value": _finite(self.value), "protocol": self.protocol, "support": self.support}
        more = {key: _finite(value) for key, value in self.more.items()}
        out |= ({"note": self.note} if self.note else {}) | ({"more": more} if more else {})
        curves = {key: [_finite(value) for value in values] for key, values in self.curves.items()}
        return out | ({"curves": curves} if curves else {})


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
