"""Simplification: smaller programs that compute the same; and one step that may change the function."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import torch
from torch import Tensor

from zoo.programs.ir.nodes import Count, Input, Node, Select, Table, reads_of, rows_of, with_reads, with_rows
from zoo.programs.ir.program import Program
from zoo.programs.ir.reachability import Reach, combinations, coverage, entries_in_use, reachable, wanted_keys
from zoo.sequence_spec import NOTHING


def simplify(program: Program) -> Program:
    """Return a smaller program that computes the same function.

    Constants are folded, duplicates merged, unused nodes removed. Tables lose inputs that make no difference,
    predicates with a single answer lose their query. Unreachable rows are set to the most frequent value.

    Example:
        >>> from zoo.sequence_spec import Frame
        >>> nodes = (Input("token", 2, (0, 1), ("a", "b")), Table("same", ("token",), 2, (1, 1)))
        >>> frame = Frame(("a", "b"), length=4)
        >>> program = Program(frame, nodes, ("token", "same"), ("x",), torch.ones(1, 4), torch.zeros(1))
        >>> small = simplify(program)
        >>> small.reads, small.bias.tolist()
        (('token',), [1.0])
    """
    while True:
        smaller = drop_dead(_merge(_fold(program)))
        if smaller.nodes == program.nodes and smaller.reads == program.reads:
            return smaller
        program = smaller


def _fold(program: Program) -> Program:
    """Fold constants into tables, predicates and the read-out."""
    known = reachable(program)
    nodes: list[Node] = []
    for node in program.nodes:
        if isinstance(node, Table):
            nodes.append(_fold_table(program, node, known))
        elif isinstance(node, Input):
            nodes.append(node)
        else:
            nodes.append(_fold_predicate(node, known))
    folded = replace(program, nodes=tuple(nodes))
    for name in program.reads:
        if len(known[name]) == 1:
            folded = _without_constant(folded, name, next(iter(known[name])))
    return folded


def _fold_predicate(node: Select | Count, known: Reach) -> Select | Count:
    """Return an attention head without its query if all reachable values ask for the same key."""
    keys = known[node.key]
    answers = {key if key in keys else NOTHING for key in wanted_keys(node, known)}
    if len(answers) == 1:
        return replace(node, query=None, wanted=(answers.pop(),))
    assert node.query is not None
    queries = known[node.query]
    wanted = tuple(key if q in queries and key in keys else NOTHING for q, key in enumerate(node.wanted))
    return replace(node, wanted=wanted)


def _fold_table(program: Program, node: Table, known: Reach) -> Table:
    """Return a table without the inputs that make no difference on reachable values."""
    sizes = [program.domains[name].size for name in node.reads]
    used = entries_in_use(program, node, known)
    outputs = Counter(node.entries[i] for i in used)
    if len(outputs) == 1:
        return replace(node, reads=(), entries=(next(iter(outputs)),))
    common = outputs.most_common(1)[0][0]
    if len(sizes) == 2:
        cells = {cell: node.entries[cell[0] * sizes[1] + cell[1]] for cell in combinations(node, known)}
        for axis in (0, 1):
            by_value: dict[int, set[int]] = {}
            for cell, output in cells.items():
                by_value.setdefault(cell[axis], set()).add(output)
            if all(len(group) == 1 for group in by_value.values()):  # the other input makes no difference
                row = tuple(next(iter(by_value[v])) if v in by_value else common for v in range(sizes[axis]))
                return replace(node, reads=(node.reads[axis],), entries=row)
    kept = set(used)
    return replace(node, entries=tuple(e if i in kept else common for i, e in enumerate(node.entries)))


def _without_constant(program: Program, name: str, value: int) -> Program:
    """Return the read-out without a variable that always has one value; its score moves to the bias."""
    at = program.columns(name)
    number = program.domains[name].number
    column = program.weight[:, at.start] * value if number else program.weight[:, at.start + value]
    weight = torch.cat([program.weight[:, : at.start], program.weight[:, at.stop :]], 1)
    reads = tuple(read for read in program.reads if read != name)
    return replace(program, reads=reads, weight=weight, bias=program.bias + column)


def _merge(program: Program) -> Program:
    """Keep the first of several nodes that compute the same."""
    names: dict[str, str] = {}
    first: dict[Node, str] = {}
    nodes: list[Node] = []
    for original in program.nodes:
        node = with_reads(original, names)
        same: Node = replace(node, name="")
        if isinstance(node, Table) and len(node.reads) == 2 and node.reads[0] > node.reads[1]:
            same = Table("", node.reads[::-1], node.outputs, _transposed(program, node))
        if same in first:
            names[node.name] = first[same]
        else:
            first[same] = node.name
            nodes.append(node)
    blocks: dict[str, Tensor] = {}  # weights of each variable, with those of its copies added
    for name in program.reads:
        block = program.weight[:, program.columns(name)]
        kept = names.get(name, name)
        blocks[kept] = blocks[kept] + block if kept in blocks else block
    weight = torch.cat([program.weight[:, :0], *blocks.values()], 1)
    return replace(program, nodes=tuple(nodes), reads=tuple(blocks), weight=weight)


def _transposed(program: Program, node: Table) -> tuple[int, ...]:
    sizes = [program.domains[name].size for name in node.reads]
    return tuple(torch.tensor(node.entries).view(sizes).T.flatten().tolist())


def drop_dead(program: Program) -> Program:
    """Return the program without nodes that do not influence the read-out; one input always stays."""
    live = set(program.reads)
    for node in reversed(program.nodes):
        if node.name in live:
            live |= set(reads_of(node))
    kept = tuple(node for node in program.nodes if node.name in live)
    if not any(isinstance(node, Input) for node in kept):
        kept = (next(node for node in program.nodes if isinstance(node, Input)), *kept)
    return replace(program, nodes=kept)


def forget_unused(program: Program, codes: Tensor) -> Program:
    """Set rows that no sequence ``(b, length)`` uses to the most frequent value; other sequences may be affected."""
    counts = coverage(program, codes)
    nodes: list[Node] = []
    for node in program.nodes:
        if isinstance(node, Input):
            nodes.append(node)
            continue
        used = counts[node.name].tolist()
        votes: Counter[int] = Counter()
        for row, count in zip(rows_of(node), used, strict=True):
            votes[row] += count
        common = votes.most_common(1)[0][0]
        rows = (row if count else common for row, count in zip(rows_of(node), used, strict=True))
        nodes.append(with_rows(node, tuple(rows)))
    return replace(program, nodes=tuple(nodes))
