"""Which values a variable can have on any input at all, and which it had on some."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from zoo.programs.ir.interpreter import run
from zoo.programs.ir.nodes import Count, Input, Node, Select, Table
from zoo.programs.ir.program import Program
from zoo.sequence_spec import NOTHING

Reach = dict[str, frozenset[int]]


def reachable(program: Program) -> Reach:
    """For each variable the values that it may have on some input; it never has another."""
    found: Reach = {}
    for node in program.nodes:
        found[node.name] = _values(program, node, found)
    return found


def _values(program: Program, node: Node, known: Reach) -> frozenset[int]:
    if isinstance(node, Input):
        return frozenset(node.table or range(program.frame.length))
    if isinstance(node, Table):
        return frozenset(node.entries[i] for i in entries_in_use(program, node, known))
    if isinstance(node, Select):
        return known[node.value]
    if not any(w in known[node.key] for w in wants(node, known)):
        return frozenset([0])
    largest = 1 if node.value is None else max(known[node.value])
    return frozenset(range(program.frame.length * largest + 1))


def wants(node: Select | Count, known: Reach) -> list[int]:
    """Keys that reachable values of the query ask for."""
    return [node.wanted[0]] if node.query is None else [node.wanted[q] for q in sorted(known[node.query])]


def combinations(node: Table, known: Reach) -> list[tuple[int, ...]]:
    """Reachable values of what a table reads; of a variable read twice, both are the same."""
    if len(node.reads) == 2 and node.reads[0] == node.reads[1]:
        return [(value, value) for value in sorted(known[node.reads[0]])]
    return list(product(*(sorted(known[name]) for name in node.reads)))


def entries_in_use(program: Program, node: Table, known: Reach) -> list[int]:
    """Places of the entries of ``combinations``."""
    if len(node.reads) < 2:
        return sorted(known[node.reads[0]]) if node.reads else [0]
    width = program.domains[node.reads[1]].size
    return [a * width + b for a, b in combinations(node, known)]


def coverage(program: Program, codes: Tensor) -> dict[str, Tensor]:
    """How often each row of each node was used on these sequences ``(b, length)``, over all their positions.

    Returns:
        For a ``Select`` or ``Count`` ``(q,)``, a count for each value of the query; for a ``Table`` one for each entry.
    """
    found, real, counts = run(program, codes), codes != NOTHING, {}
    for node in program.nodes:
        if isinstance(node, Table):
            index = torch.zeros_like(codes)
            for name in node.reads:
                index = index * program.domains[name].size + found[name]
            counts[node.name] = torch.bincount(index[real], minlength=len(node.entries))
        elif isinstance(node, (Select, Count)):
            asked = torch.zeros_like(codes) if node.query is None else found[node.query]
            counts[node.name] = torch.bincount(asked[real], minlength=len(node.wanted))
    return counts
