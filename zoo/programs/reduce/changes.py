"""Changes that can shorten a program; each changes what it computes, and is tried by ``shorten``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.programs.ir.nodes import Input, Node, Table, rows_of, with_reads, with_rows
from zoo.programs.ir.program import Program
from zoo.programs.ir.reachability import coverage
from zoo.programs.label_positions import LabeledPositions
from zoo.programs.reduce.refit import without

Change = Callable[[Program], Program]


def changes(program: Program, labeled: LabeledPositions) -> Iterator[Change]:
    """Yield changes of a program; each can also be applied after others, and then may do nothing.

    Outputs or wanted keys are joined, inputs of tables ignored, variables replaced by others or taken out of the
    read-out, scores of single values set to zero.

    Args:
        program: to change.
        labeled: on which use counts and mean strengths are measured.
    """
    counts = coverage(program, labeled.codes)
    mean = labeled.features(program).mean(0)
    place = {node.name: i for i, node in enumerate(program.nodes)}
    for node in program.nodes:
        if isinstance(node, Input):
            continue
        votes: Counter[int] = Counter()
        for row, count in zip(rows_of(node), counts[node.name].tolist(), strict=True):
            votes[row] += count
        for pair in combinations(sorted(votes), 2):
            rare, common = sorted(pair, key=votes.__getitem__)
            yield partial(_join_rows, name=node.name, rare=rare, common=common, votes=dict(votes))
        if isinstance(node, Table) and len(node.reads) == 2:
            for axis in (0, 1):
                yield partial(_ignore_input, name=node.name, axis=axis, counts=counts[node.name])
        for other in program.nodes[: place[node.name]]:
            if program.domains[other.name] == program.domains[node.name]:
                yield partial(_replace_variable, name=node.name, other=other.name)
    for name in program.reads:
        yield partial(_leave_out, name=name, mean=mean[program.columns(name)])
    for name, value in program.units:
        if value is not None:
            yield partial(_zero_score, name=name, value=value)


def _find(program: Program, name: str) -> Node | None:
    return next((node for node in program.nodes if node.name == name), None)


def _with_node(program: Program, new: Node) -> Program:
    return replace(program, nodes=tuple(new if node.name == new.name else node for node in program.nodes))


def _join_rows(program: Program, name: str, rare: int, common: int, votes: Mapping[int, int]) -> Program:
    """Replace one output of a table, or one wanted key, by another."""
    node = _find(program, name)
    if node is None or isinstance(node, Input):
        return program
    changed = with_rows(node, tuple(common if row == rare else row for row in rows_of(node)))
    if not isinstance(node, Table) or name not in program.reads:
        return _with_node(program, changed)
    weight = program.weight.clone()
    start = program.columns(name).start
    share = votes[rare] / max(1, votes[rare] + votes[common])
    weight[:, start + common] = share * weight[:, start + rare] + (1 - share) * weight[:, start + common]
    return replace(_with_node(program, changed), weight=weight)


def _ignore_input(program: Program, name: str, axis: int, counts: Tensor) -> Program:
    """Make a table of two variables one of a single variable: the most frequent output for each of its values."""
    node = _find(program, name)
    if not isinstance(node, Table) or len(node.reads) < 2 or len(counts) != len(node.entries):
        return program
    sizes = [program.domains[read].size for read in node.reads]
    votes = F.one_hot(torch.tensor(node.entries), node.outputs) * counts[:, None]
    best = votes.view(*sizes, -1).sum(axis).argmax(1)
    return _with_node(program, replace(node, reads=(node.reads[1 - axis],), entries=tuple(best.tolist())))


def _replace_variable(program: Program, name: str, other: str) -> Program:
    """Let everything that reads a variable read another; if the read-out reads both, their scores are added."""
    if not {name, other} <= {node.name for node in program.nodes}:
        return program
    nodes = tuple(with_reads(node, {name: other}) for node in program.nodes)
    if name not in program.reads:
        return replace(program, nodes=nodes)
    if other not in program.reads:
        return replace(program, nodes=nodes, reads=tuple(other if read == name else read for read in program.reads))
    at = program.columns(name)
    weight = program.weight.clone()
    weight[:, program.columns(other)] += program.weight[:, at]
    weight = torch.cat([weight[:, : at.start], weight[:, at.stop :]], 1)
    return replace(program, nodes=nodes, reads=tuple(read for read in program.reads if read != name), weight=weight)


def _leave_out(program: Program, name: str, mean: Tensor) -> Program:
    """Take a variable out of the read-out."""
    return without(program, name, mean) if name in program.reads else program


def _zero_score(program: Program, name: str, value: int) -> Program:
    """Set what a value adds to each class to zero."""
    if name not in program.reads:
        return program
    weight = program.weight.clone()
    weight[:, program.columns(name).start + value] = 0
    return replace(program, weight=weight)
