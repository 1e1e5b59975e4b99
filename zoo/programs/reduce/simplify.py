"""Makes a program smaller without changing what it computes; and one step that may change it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import torch
from torch import Tensor

from zoo.programs.ir.nodes import Input, Node, Table, reads_of, with_reads
from zoo.programs.ir.program import Program
from zoo.programs.ir.reachability import Reach, combinations, coverage, entries_in_use, reachable, wants
from zoo.sequence_spec import NOTHING


def simplify(program: Program) -> Program:
    """The same function, smaller: constants folded, duplicates merged, what nothing reads removed.

    Tables lose reads that make no difference, predicates of one answer lose their query. Rows that no input can reach
    are set to what is most frequent.
    """
    while True:
        smaller = drop_dead(_merge(_fold(program)))
        if smaller.nodes == program.nodes and smaller.reads == program.reads:
            return smaller
        program = smaller


def _fold(program: Program) -> Program:
    known, nodes = reachable(program), []
    for node in program.nodes:
        if isinstance(node, Table):
            nodes.append(_fold_table(program, node, known))
        elif isinstance(node, Input):
            nodes.append(node)
        else:
            only = {w if w in known[node.key] else NOTHING for w in wants(node, known)}
            if len(only) == 1:
                nodes.append(replace(node, query=None, wanted=(only.pop(),)))
                continue
            assert node.query is not None
            asked, key = known[node.query], known[node.key]
            wanted = (w if q in asked and w in key else NOTHING for q, w in enumerate(node.wanted))
            nodes.append(replace(node, wanted=tuple(wanted)))
    folded = replace(program, nodes=tuple(nodes))
    for name in program.reads:
        if len(known[name]) == 1:
            folded = _unread(folded, name, next(iter(known[name])))
    return folded


def _fold_table(program: Program, node: Table, known: Reach) -> Table:
    """Without reads that make no difference on reachable values."""
    sizes = [program.domains[name].size for name in node.reads]
    used = entries_in_use(program, node, known)
    outputs = Counter(node.entries[i] for i in used)
    if len(outputs) == 1:
        return replace(node, reads=(), entries=(next(iter(outputs)),))
    common = outputs.most_common(1)[0][0]
    if len(sizes) == 1:
        kept = set(used)
        return replace(node, entries=tuple(e if i in kept else common for i, e in enumerate(node.entries)))
    cells = {cell: node.entries[cell[0] * sizes[1] + cell[1]] for cell in combinations(node, known)}
    for axis in (0, 1):
        by: dict[int, set[int]] = {}
        for cell, output in cells.items():
            by.setdefault(cell[axis], set()).add(output)
        if all(len(found) == 1 for found in by.values()):  # the other one makes no difference
            line = tuple(next(iter(by[v])) if v in by else common for v in range(sizes[axis]))
            return replace(node, reads=(node.reads[axis],), entries=line)
    kept = set(used)
    return replace(node, entries=tuple(e if i in kept else common for i, e in enumerate(node.entries)))


def _unread(program: Program, name: str, value: int) -> Program:
    """The read-out without a variable that is always ``value``."""
    at = program.columns(name)
    domain = program.domains[name]
    column = program.weight[:, at.start] * value if domain.number else program.weight[:, at.start + value]
    left = torch.cat([program.weight[:, : at.start], program.weight[:, at.stop :]], 1)
    reads = tuple(n for n in program.reads if n != name)
    return replace(program, reads=reads, weight=left, bias=program.bias + column)


def _merge(program: Program) -> Program:
    """Of nodes that compute the same, the first."""
    names: dict[str, str] = {}
    first: dict[Node, str] = {}
    nodes = []
    for node in program.nodes:
        node = with_reads(node, names)
        same = replace(node, name="")
        if isinstance(node, Table) and len(node.reads) == 2 and node.reads[0] > node.reads[1]:
            same = replace(same, reads=node.reads[::-1], entries=_transposed(program, node))
        if same in first:
            names[node.name] = first[same]
        else:
            first[same] = node.name
            nodes.append(node)
    blocks: dict[str, Tensor] = {}  # weights of each variable read, those of its copies added
    for name in program.reads:
        block, first_name = program.weight[:, program.columns(name)], names.get(name, name)
        blocks[first_name] = blocks[first_name] + block if first_name in blocks else block
    weight = torch.cat([program.weight[:, :0], *blocks.values()], 1)
    return replace(program, nodes=tuple(nodes), reads=tuple(blocks), weight=weight)


def _transposed(program: Program, node: Table) -> tuple[int, ...]:
    sizes = [program.domains[name].size for name in node.reads]
    return tuple(torch.tensor(node.entries).view(sizes).T.flatten().tolist())


def drop_dead(program: Program) -> Program:
    """Without nodes that neither the read-out nor a live node reads; one input always stays."""
    live = set(program.reads)
    for node in reversed(program.nodes):
        if node.name in live:
            live |= set(reads_of(node))
    kept = tuple(node for node in program.nodes if node.name in live)
    if not any(isinstance(node, Input) for node in kept):
        kept = (next(node for node in program.nodes if isinstance(node, Input)), *kept)
    return replace(program, nodes=kept)


def forget_unused(program: Program, codes: Tensor) -> Program:
    """Rows that none of these sequences used become what the used ones most often are.

    On other sequences the answer may change.
    """
    counts, nodes = coverage(program, codes), []
    for node in program.nodes:
        if isinstance(node, Input):
            nodes.append(node)
            continue
        used = counts[node.name].tolist()
        rows = node.entries if isinstance(node, Table) else node.wanted
        votes: Counter[int] = Counter()
        for row, many in zip(rows, used, strict=True):
            votes[row] += many
        common = votes.most_common(1)[0][0]
        new = tuple(row if many else common for row, many in zip(rows, used, strict=True))
        nodes.append(replace(node, entries=new) if isinstance(node, Table) else replace(node, wanted=new))
    return replace(program, nodes=tuple(nodes))
