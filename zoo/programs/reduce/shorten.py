"""Makes the text of a program shorter: changes that save lines, the least harmful first, within a loss of accuracy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.programs.codegen.printer import print_program
from zoo.programs.ir.nodes import Input, Table, with_reads
from zoo.programs.ir.program import Program
from zoo.programs.ir.reachability import coverage, reachable
from zoo.programs.label_positions import Questions
from zoo.programs.reduce.prune import refitted, without
from zoo.programs.reduce.simplify import simplify

Change = Callable[[Program], Program]


def lines(program: Program) -> int:
    """Length of the program as a Python file."""
    return len(print_program(program, name="p").splitlines())


def shrink(
    program: Program, train: Questions, choose: Questions, *, cost: float, l2: float, sample: int = 1000
) -> Program:
    """Shorter: without variables that the rest can do without, then by ``changes``, the least loss for a line first.

    Args:
        program: to shorten.
        train: what the read-out is fitted on; ``sample`` of its sequences measure the loss.
        choose: what accuracy is measured on.
        cost: largest share of answers that may be lost.
        l2: of the fit.
        sample: sequences.
    """
    program = at_zero(program)
    least, few = choose.accuracy(program) - cost, train.some(sample)
    while True:
        before = program
        program = _fewer(program, train, few, choose, least, l2)
        program = _shorter(program, train, few, choose, least, l2)
        if program is before:
            return program


def _shorter(program: Program, train: Questions, few: Questions, choose: Questions, least: float, l2: float) -> Program:
    """With every one of ``changes`` that accuracy stands, and the read-out fitted anew; or the very same program."""
    now, size, found = _loss(program, few), lines(program), []
    for change in changes(program, few):
        tried = simplify(change(program))
        if (saved := size - lines(tried)) > 0:
            found.append(((_loss(tried, few) - now) / saved, len(found), change))
    shorter = program
    for _, _, change in sorted(found):
        tried = simplify(change(shorter))
        if lines(tried) < lines(shorter) and choose.accuracy(tried) >= least:
            shorter = tried
    if shorter is program:
        return program
    return max(at_zero(refitted(shorter, train, l2)), at_zero(shorter), key=choose.accuracy)


def at_zero(program: Program) -> Program:
    """The same function, scores of each category counted from those that most of its values have: these become zero."""
    weight, bias, known = program.weight.clone(), program.bias.clone(), reachable(program)
    for name in program.reads:
        at = [program.columns(name).start + value for value in sorted(known[name])]
        if not program.domains[name].number:
            rows = Counter(map(tuple, weight[:, at].T.tolist()))
            origin = torch.tensor(rows.most_common(1)[0][0]).to(weight)
            weight[:, program.columns(name)] -= origin[:, None]
            bias += origin
    return replace(program, weight=weight, bias=bias)


def _fewer(program: Program, train: Questions, few: Questions, choose: Questions, least: float, l2: float) -> Program:
    """Without variables of the read-out that the others, fitted anew, can do without: the one missed least first."""
    missed = {name: _loss(_left_out(program, name, few, l2, steps=20), few) for name in program.reads}
    for name in sorted(missed, key=missed.__getitem__):
        if name in program.reads:
            tried = at_zero(simplify(_left_out(program, name, train, l2, steps=60)))
            if lines(tried) < lines(program) and choose.accuracy(tried) >= least:
                program = tried
    return program


def _left_out(program: Program, name: str, train: Questions, l2: float, *, steps: int) -> Program:
    mean = train.features(program)[:, program.columns(name)].mean(0)
    return refitted(without(program, name, mean), train, l2, steps=steps)


def changes(program: Program, given: Questions) -> Iterator[Change]:
    """Outputs or wants taken together, reads ignored, variables replaced by others or left out, rows left out."""
    counts, features = coverage(program, given.codes), given.features(program)
    place = {node.name: i for i, node in enumerate(program.nodes)}
    for node in program.nodes:
        if isinstance(node, Input):
            continue
        rows = node.entries if isinstance(node, Table) else node.wanted
        votes: Counter[int] = Counter()
        for row, many in zip(rows, counts[node.name].tolist(), strict=True):
            votes[row] += many
        for a, b in combinations(sorted(votes), 2):
            rare, common = sorted((a, b), key=votes.__getitem__)
            yield lambda p, n=node.name, rare=rare, common=common, v=dict(votes): _together(p, n, rare, common, v)
        if isinstance(node, Table) and len(node.reads) == 2:
            for axis in (0, 1):
                yield lambda p, n=node.name, axis=axis, c=counts[node.name]: _ignoring(p, n, axis, c)
        for other in program.nodes[: place[node.name]]:
            if program.domains[other.name] == program.domains[node.name]:
                yield lambda p, n=node.name, o=other.name: _instead(p, n, o)
    for name in program.reads:
        mean = features.mean(0)[program.columns(name)]
        yield lambda p, n=name, mean=mean: without(p, n, mean) if n in p.reads else p
    for name, value in program.units:
        if value is not None:
            yield lambda p, n=name, v=value: _unscored(p, n, v)


def _loss(program: Program, given: Questions) -> float:
    return float(F.cross_entropy(given.features(program) @ program.weight.T + program.bias, given.y))


def _put(program: Program, name: str, **fields: object) -> Program:
    nodes = tuple(replace(n, **fields) if n.name == name else n for n in program.nodes)
    return replace(program, nodes=nodes)


def _together(program: Program, name: str, rare: int, common: int, votes: dict[int, int]) -> Program:
    """One output of a table, or one wanted key, instead of two."""
    node = next((n for n in program.nodes if n.name == name), None)
    if node is None or isinstance(node, Input):
        return program
    field = "entries" if isinstance(node, Table) else "wanted"
    rows = tuple(common if row == rare else row for row in getattr(node, field))
    if not isinstance(node, Table) or name not in program.reads:
        return _put(program, name, **{field: rows})
    weight, start = program.weight.clone(), program.columns(name).start
    share = votes[rare] / max(1, votes[rare] + votes[common])
    weight[:, start + common] = share * weight[:, start + rare] + (1 - share) * weight[:, start + common]
    return replace(_put(program, name, entries=rows), weight=weight)


def _ignoring(program: Program, name: str, axis: int, counts: Tensor) -> Program:
    """A table of one variable instead of two: for each of its values the output that was most frequent."""
    node = next((n for n in program.nodes if n.name == name), None)
    if not isinstance(node, Table) or len(node.reads) < 2 or len(counts) != len(node.entries):
        return program
    sizes = [program.domains[r].size for r in node.reads]
    votes = torch.nn.functional.one_hot(torch.tensor(node.entries), node.outputs) * counts[:, None]
    best = votes.view(*sizes, -1).sum(axis).argmax(1)
    return _put(program, name, reads=(node.reads[1 - axis],), entries=tuple(best.tolist()))


def _instead(program: Program, name: str, other: str) -> Program:
    """Everything that reads a variable reads another; in the read-out the scores of both are added."""
    there = {n.name for n in program.nodes}
    if not {name, other} <= there:
        return program
    nodes = tuple(with_reads(n, {name: other}) for n in program.nodes)
    if name not in program.reads:
        return replace(program, nodes=nodes)
    weight, mine = program.weight, program.weight[:, program.columns(name)]
    if other in program.reads:
        weight = weight.clone()
        weight[:, program.columns(other)] += mine
        at = program.columns(name)
        reads = tuple(n for n in program.reads if n != name)
        return replace(
            program, nodes=nodes, reads=reads, weight=torch.cat([weight[:, : at.start], weight[:, at.stop :]], 1)
        )
    return replace(program, nodes=nodes, reads=tuple(other if n == name else n for n in program.reads))


def _unscored(program: Program, name: str, value: int) -> Program:
    """A value that adds nothing to any class."""
    if name not in program.reads:
        return program
    weight = program.weight.clone()
    weight[:, program.columns(name).start + value] = 0
    return replace(program, weight=weight)
