"""Conditions on the values of variables as Python source: comparisons, ranges, sets, blocks of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zoo.programs.codegen.layout import integer, literal
from zoo.programs.ir.domains import Domain


def blocks(outputs: Mapping[tuple[int, int], int], *, by_second: bool) -> list[tuple[int, list[int], list[int]]]:
    """Return a table of two variables as blocks: an output, first values, second values.

    Args:
        outputs: the output for each pair of values.
        by_second: join second values with equal columns, instead of first values with equal rows.

    Example:
        >>> blocks({(0, 0): 7, (0, 1): 7, (1, 0): 7, (1, 1): 7}, by_second=False)
        [(7, [0, 1], [0, 1])]
    """
    rows: dict[tuple[int, int], list[int]] = {}
    for (first, second), output in outputs.items():
        a, b = (second, first) if by_second else (first, second)
        rows.setdefault((output, a), []).append(b)
    shared: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for (output, a), partners in rows.items():
        shared.setdefault((output, tuple(sorted(partners))), []).append(a)
    joined = [(output, sorted(group), list(partners)) for (output, partners), group in shared.items()]
    return [(output, partners, group) if by_second else (output, group, partners) for output, group, partners in joined]


def groups(result: Mapping[int, str]) -> list[tuple[str, list[int]]]:
    """Return values grouped by their result, the largest group last.

    Example:
        >>> groups({0: "a", 1: "b", 2: "a"})
        [('b', [1]), ('a', [0, 2])]
    """
    grouped: dict[str, list[int]] = {}
    for value, source in result.items():
        grouped.setdefault(source, []).append(value)
    return sorted(grouped.items(), key=lambda group: len(group[1]))


def condition(name: str, values: Sequence[int], every: Sequence[int], domain: Domain) -> str:
    """Return a condition that is true for some of the reachable values of a variable.

    Args:
        name: the variable.
        values: for which the condition is true.
        every: all reachable values.
        domain: of the variable.

    Returns:
        Python source; empty if the condition is always true.

    Example:
        >>> condition("position", [2, 3, 4], range(8), Domain(8, False))
        '2 <= position <= 4'
    """
    inside = set(values)
    rest = [v for v in every if v not in inside]
    if not rest:
        return ""
    if len(values) == 1:
        return f"{name} == {literal(domain, values[0])}"
    if domain.names is None:
        low, high = min(values), max(values)
        if not any(v > low for v in rest):
            return f"{name} >= {integer(low)}"
        if not any(v < high for v in rest):
            return f"{name} <= {integer(high)}"
        if len(values) > 2 and not any(low < v < high for v in rest):
            return f"{integer(low)} <= {name} <= {integer(high)}"
    if len(rest) == 1:
        return f"{name} != {literal(domain, rest[0])}"
    return f"{name} in {{{', '.join(literal(domain, v) for v in values)}}}"
