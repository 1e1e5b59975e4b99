"""Which values a variable can have on any input, and how often each row of a node is used on given inputs."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from zoo.programs.ir.interpreter import run, table_rows
from zoo.programs.ir.nodes import Count, Input, Node, Select, Table
from zoo.programs.ir.program import Program
from zoo.sequence_spec import NOTHING

Reach = dict[str, frozenset[int]]


def reachable(program: Program) -> Reach:
    """Return for each variable a set of values that contains all those it can have on any input."""
    known: Reach = {}
    for node in program.nodes:
        known[node.name] = _values(program, node, known)
    return known


def _values(program: Program, node: Node, known: Reach) -> frozenset[int]:
    if isinstance(node, Input):
        return frozenset(node.table or range(program.frame.length))
    if isinstance(node, Table):
        return frozenset(node.entries[i] for i in entries_in_use(program, node, known))
    if isinstance(node, Select):
        return known[node.value]
    if not any(key in known[node.key] for key in wanted_keys(node, known)):
        return frozenset([0])
    largest = 1 if node.value is None else max(known[node.value])
    return frozenset(range(program.frame.length * largest + 1))


def wanted_keys(node: Select | Count, known: Reach) -> list[int]:
    """Return the keys that reachable values of the query ask for."""
    return [node.wanted[0]] if node.query is None else [node.wanted[q] for q in sorted(known[node.query])]


def combinations(node: Table, known: Reach) -> list[tuple[int, ...]]:
    """Return the reachable values of the variables that a table reads; a variable read twice has equal values.

    Example:
        >>> combinations(Table("t", ("a", "a"), 2, (0, 1, 1, 0)), {"a": frozenset({0, 1})})
        [(0, 0), (1, 1)]
    """
    if len(node.reads) == 2 and node.reads[0] == node.reads[1]:
        return [(value, value) for value in sorted(known[node.reads[0]])]
    return list(product(*(sorted(known[name]) for name in node.reads)))


def entries_in_use(program: Program, node: Table, known: Reach) -> list[int]:
    """Return the indices of the entries of ``combinations``."""
    if len(node.reads) < 2:
        return sorted(known[node.reads[0]]) if node.reads else [0]
    width = program.domains[node.reads[1]].size
    return [a * width + b for a, b in combinations(node, known)]


def coverage(program: Program, codes: Tensor) -> dict[str, Tensor]:
    """Return how often each row of each node is used on sequences ``(b, length)``, over all their positions.

    Returns:
        For a ``Select`` or ``Count`` ``(values of the query,)`` counts; for a ``Table`` ``(entries,)`` counts.
    """
    variables = run(program, codes)
    real = codes != NOTHING
    counts: dict[str, Tensor] = {}
    for node in program.nodes:
        if isinstance(node, Table):
            rows = table_rows(program, node, variables, codes)
            counts[node.name] = torch.bincount(rows[real], minlength=len(node.entries))
        elif isinstance(node, (Select, Count)):
            rows = torch.zeros_like(codes) if node.query is None else variables[node.query]
            counts[node.name] = torch.bincount(rows[real], minlength=len(node.wanted))
    return counts
