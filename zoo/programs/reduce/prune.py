"""Pruning: fewer variables and simpler rows, as far as a given loss of accuracy allows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import torch.nn.functional as F
from torch import Tensor

from zoo.programs.codegen.formulas import best_formula
from zoo.programs.ir.nodes import Input, Node, Table, rows_of, with_rows
from zoo.programs.ir.program import Program
from zoo.programs.ir.reachability import coverage, reachable
from zoo.programs.label_positions import LabeledPositions
from zoo.programs.reduce.refit import refitted, without_all
from zoo.programs.reduce.simplify import forget_unused, simplify


@dataclass(frozen=True)
class Pruned:
    """Result of pruning.

    Attributes:
        program: the smaller program.
        accuracy: on the labels that decide, before and after.
        variables: number of variables, before and after.
        dropped: variables taken out of the read-out, in order.
    """

    program: Program
    accuracy: tuple[float, float]
    variables: tuple[int, int]
    dropped: tuple[str, ...]


def prune(
    program: Program, train: LabeledPositions, choose: LabeledPositions, *, cost: float = 0.005, l2: float = 1e-6
) -> Pruned:
    """Take variables out of the read-out and refit it, as long as accuracy falls by no more than ``cost``.

    Variables are tried in the order of how much the loss grows when each is replaced by its mean. Then rows of tables
    and predicates that no training sequence uses are set to the most frequent value if accuracy allows it, and
    predicates that are nearly a formula become the formula if that costs nothing.

    Args:
        program: to prune.
        train: the read-out is fitted on these.
        choose: accuracy is measured on these.
        cost: largest accuracy that may be lost, between 0 and 1.
        l2: penalty of the fit.
    """
    before = simplify(program)
    start = choose.accuracy(before)
    limit = start - cost
    best = before
    dropped: list[str] = []
    refused: set[str] = set()
    while len(refused) < len(best.reads):
        features = train.features(best)
        order = [name for name in _by_importance(best, features, train.y) if name not in refused]
        group = order[: max(1, len(order) // 4)]
        while group:  # the least important quarter at once; if that costs too much, half of it
            trial = simplify(refitted(without_all(best, group, features), train, l2))
            if choose.accuracy(trial) >= limit:
                dropped += group
                best = trial
                break
            if len(group) == 1:
                refused.add(group[0])
            group = group[: len(group) // 2]
    unused = simplify(forget_unused(best, train.codes))
    best = unused if choose.accuracy(unused) >= limit else best
    best = _with_common_rows(_with_formulas(best, choose), train.codes, choose)
    variables = len(before.nodes), len(best.nodes)
    return Pruned(best, (start, choose.accuracy(best)), variables, tuple(dropped))


def _replaced(program: Program, place: int, node: Node) -> Program:
    return replace(program, nodes=(*program.nodes[:place], node, *program.nodes[place + 1 :]))


def _with_formulas(program: Program, choose: LabeledPositions) -> Program:
    """Replace predicates that are nearly a formula by the formula where that costs no accuracy."""
    known = reachable(program)
    limit = choose.accuracy(program)
    for place, node in enumerate(program.nodes):
        if isinstance(node, (Input, Table)) or node.query is None:
            continue
        wanted = {q: node.wanted[q] for q in known[node.query]}
        _, keys = best_formula(program.domains[node.query], program.domains[node.key], wanted)
        rows = tuple(keys.get(q, w) for q, w in enumerate(node.wanted))
        trial = _replaced(program, place, replace(node, wanted=rows))
        if rows != node.wanted and choose.accuracy(trial) >= limit:
            program = trial
    return simplify(program)


def _with_common_rows(program: Program, codes: Tensor, choose: LabeledPositions, *, max_rows: int = 100) -> Program:
    """Set rows of predicates and small tables to the most frequent value, rarest first, where that costs no accuracy.

    Predicates that are a formula are left unchanged.
    """
    counts = coverage(program, codes)
    limit = choose.accuracy(program)
    known = reachable(program)
    for place, node in enumerate(program.nodes):
        if isinstance(node, Input) or len(counts[node.name]) > max_rows:
            continue
        if not isinstance(node, Table) and node.query is not None:
            wanted = {q: node.wanted[q] for q in known[node.query]}
            if best_formula(program.domains[node.query], program.domains[node.key], wanted)[1] == wanted:
                continue
        used = counts[node.name].tolist()
        current = node
        for row in sorted(range(len(used)), key=used.__getitem__):
            rows = list(rows_of(current))
            votes: Counter[int] = Counter({value: 0 for value in rows})
            for value, count in zip(rows, used, strict=True):
                votes[value] += count
            common = votes.most_common(1)[0][0]
            if common == rows[row]:
                continue
            rows[row] = common
            changed = with_rows(current, tuple(rows))
            trial = _replaced(program, place, changed)
            if choose.accuracy(trial) >= limit:
                program = trial
                current = changed
    return simplify(program)


def _by_importance(program: Program, features: Tensor, y: Tensor) -> list[str]:
    """Return the variables of the read-out, ordered by the loss when each is replaced by its mean."""
    logits = features @ program.weight.T + program.bias
    loss = {}
    for name in program.reads:
        at = program.columns(name)
        part = features[:, at] @ program.weight[:, at].T
        loss[name] = float(F.cross_entropy(logits - part + part.mean(0), y))
    return sorted(loss, key=lambda name: loss[name])
