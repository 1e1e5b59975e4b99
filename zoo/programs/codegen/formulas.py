"""Formulas for what an attention head looks for: the same value, one shifted by a constant, or a mirrored one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zoo.programs.codegen.layout import literal
from zoo.programs.ir.domains import Domain
from zoo.sequence_spec import NOTHING


@dataclass(frozen=True)
class Formula:
    """``sign * x + shift``.

    Attributes:
        sign: 1 or -1.
        shift: an integer.

    Example:
        >>> Formula(1, 0).source("x"), Formula(1, -2).source("x"), Formula(-1, 4).source("x")
        ('x', 'x - 2', '4 - x')
    """

    sign: int = 1
    shift: int = 0

    def __call__(self, value: int) -> int:
        """Return the formula's value."""
        return self.sign * value + self.shift

    def source(self, variable: str) -> str:
        """Return the formula as Python source."""
        if self.sign < 0:
            return f"{self.shift} - {variable}"
        if self.shift:
            return f"{variable} {'+' if self.shift > 0 else '-'} {abs(self.shift)}"
        return variable


def best_formula(query: Domain, key: Domain, wanted: Mapping[int, int]) -> tuple[Formula, dict[int, int]]:
    """Return the formula that agrees with a predicate on most values of its query, and the keys that it asks for.

    Args:
        query: domain of the query.
        key: domain of the key.
        wanted: for each value of the query the key that is wanted, or ``NOTHING``.

    Returns:
        The formula and its key for each value of ``wanted``; both agree everywhere only if the predicate is a formula.

    Example:
        >>> position = Domain(5, False)
        >>> best_formula(position, position, {0: 1, 1: 2, 2: 3, 3: 4, 4: NOTHING})
        (Formula(sign=1, shift=1), {0: 1, 1: 2, 2: 3, 3: 4, 4: -1})
    """
    candidates = [(Formula(), _same_value(query, key, wanted))]
    if query.names is None and key.names is None:
        for sign in (1, -1):
            for shift in {w - sign * q for q, w in wanted.items() if w != NOTHING}:
                formula = Formula(sign, shift)
                keys = {q: formula(q) if 0 <= formula(q) < key.size else NOTHING for q in wanted}
                candidates.append((formula, keys))
    return max(candidates, key=lambda candidate: sum(candidate[1][q] == w for q, w in wanted.items()))


def _same_value(query: Domain, key: Domain, wanted: Mapping[int, int]) -> dict[int, int]:
    """Return for each value of the query the key that is written in the same way."""
    if key.names is None:
        return {q: q if query.names is None and q < key.size else NOTHING for q in wanted}
    keys = {literal(key, k): k for k in range(key.size)}
    return {q: keys.get(literal(query, q), NOTHING) for q in wanted}
