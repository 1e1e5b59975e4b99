"""How sets of values are said in Python: as comparisons, ranges, formulas, blocks of a table."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.programs.ir import Domain
from zoo.sequences import NOTHING


def blocks(outputs: dict[tuple[int, int], int], flip: bool) -> list[tuple[int, list[int], list[int]]]:
    """The table as blocks (output, first values, second values): rows, or columns, that agree are taken together."""
    rows: dict[tuple[int, int], list[int]] = {}
    for (a, b), output in outputs.items():
        a, b = (b, a) if flip else (a, b)
        rows.setdefault((output, a), []).append(b)
    shared: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for (output, a), bs in rows.items():
        shared.setdefault((output, tuple(sorted(bs))), []).append(a)
    found = [(output, sorted(group), list(bs)) for (output, bs), group in shared.items()]
    return [(o, list(bs), group) if flip else (o, group, list(bs)) for o, group, bs in found]


def groups(label: dict[int, str]) -> list[tuple[str, list[int]]]:
    """Values by what they lead to, the largest group last."""
    found: dict[str, list[int]] = {}
    for value, text in label.items():
        found.setdefault(text, []).append(value)
    return sorted(found.items(), key=lambda g: len(g[1]))


def rule(query: Domain, key: Domain, asks: dict[int, int]) -> str:
    """A formula for what is asked for: the same value, so many further on, or the mirror image; else nothing."""
    texts = {q: (literal(query, q), None if w == NOTHING else literal(key, w)) for q, w in asks.items()}
    if all(a == b for a, b in texts.values()):
        return "x"
    if query.names is not None or key.names is not None:
        return ""
    for sign in (1, -1):
        shifts = {w - sign * q for q, w in asks.items() if w != NOTHING}
        if len(shifts) == 1 and len([w for w in asks.values() if w != NOTHING]) > 1:
            shift = shifts.pop()
            if all(w != NOTHING or not 0 <= sign * q + shift < key.size for q, w in asks.items()):
                return f"{shift} - x" if sign < 0 else f"x {'+' if shift > 0 else '-'} {abs(shift)}"
    return ""


def condition(name: str, values: Sequence[int], every: Sequence[int], domain: Domain) -> str:
    """A condition that holds for these of all reachable values; empty if it always holds."""
    inside = set(values)
    rest = [v for v in every if v not in inside]
    if not rest:
        return ""
    if len(values) == 1:
        return f"{name} == {literal(domain, values[0])}"
    if domain.names is None:
        if not any(v > min(values) for v in rest):
            return f"{name} >= {min(values)}"
        if not any(v < max(values) for v in rest):
            return f"{name} <= {max(values)}"
        if len(values) > 2 and not any(min(values) < v < max(values) for v in rest):
            return f"{min(values)} <= {name} <= {max(values)}"
    if len(rest) == 1:
        return f"{name} != {literal(domain, rest[0])}"
    return f"{name} in {{{', '.join(literal(domain, v) for v in values)}}}"


def literal(domain: Domain, value: int) -> str:
    """A value as it stands in the source."""
    return str(value) if domain.names is None else repr(domain.names[value])
