"""How sets of values are said in Python: as comparisons, ranges, formulas, blocks of a table."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.programs.ir.program import Domain
from zoo.sequence_spec import NOTHING

WIDE = 116  # columns of a line


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


def rule(query: Domain, key: Domain, asks: dict[int, int]) -> tuple[str, dict[int, int]]:
    """The formula that says best what is asked for: the same value, one so many further on, or the mirror image.

    Args:
        query: domain of the query.
        key: domain of the key.
        asks: the key wanted by each value of the query.

    Returns:
        The formula in ``x`` and the keys that it asks for; it may be wrong of some.
    """
    keys = {literal(key, k): k for k in range(key.size)}
    same = {q: keys.get(literal(query, q), NOTHING) for q in asks}
    found = [("x", same)]
    if query.names is None and key.names is None:
        inside = range(key.size)
        for sign in (1, -1):
            for shift in {w - sign * q for q, w in asks.items() if w != NOTHING}:
                meant = {q: sign * q + shift if sign * q + shift in inside else NOTHING for q in asks}
                text = f"{shift} - x" if sign < 0 else f"x {'+' if shift > 0 else '-'} {abs(shift)}" if shift else "x"
                found.append((text, meant))
    return max(found, key=lambda f: sum(f[1][q] == w for q, w in asks.items()))


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
