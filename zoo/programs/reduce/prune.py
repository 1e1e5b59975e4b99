"""Makes a program smaller as far as a given loss of accuracy allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zoo.programs.codegen.conditions import rule
from zoo.programs.ir.nodes import Input, Table
from zoo.programs.ir.program import Program
from zoo.programs.ir.reachability import coverage, reachable
from zoo.programs.label_positions import Questions
from zoo.programs.learn.linear_readout import fit, rounded
from zoo.programs.reduce.simplify import forget_unused, simplify


@dataclass(frozen=True)
class Pruned:
    """What pruning did.

    Attributes:
        program: the smaller one.
        accuracy: on the questions that chose, before and after.
        variables: live ones before and after.
        dropped: variables taken out of the read-out, in order.
    """

    program: Program
    accuracy: tuple[float, float]
    variables: tuple[int, int]
    dropped: tuple[str, ...]


def prune(program: Program, train: Questions, choose: Questions, *, cost: float = 0.005, l2: float = 1e-6) -> Pruned:
    """Take variables out of the read-out as long as accuracy falls by no more than ``cost``; refit what is left.

    The variable whose loss, replaced by its mean, hurts least goes first. Then rows of tables and predicates that no
    training sequence used are set to the most frequent answer, if accuracy stands that, and predicates that are nearly
    a formula become it, if it costs nothing.

    Args:
        program: to prune.
        train: what the read-out is fitted on.
        choose: what accuracy is measured on.
        cost: largest share of answers that may be lost.
        l2: of the fit.
    """
    before = simplify(program)
    start = choose.accuracy(before)
    least, best, dropped = start - cost, before, []
    refused: set[str] = set()
    while len(refused) < len(best.reads):
        features = train.features(best)
        order = [n for n in _harmless(best, features, train.y) if n not in refused]
        group = order[: max(1, len(order) // 4)]
        while group:  # the most harmless quarter at once; if that is too much, fewer
            tried = simplify(refitted(_without(best, group, features), train, l2))
            if choose.accuracy(tried) >= least:
                dropped += group
                best = tried
                break
            if len(group) == 1:
                refused.add(group[0])
            group = group[: len(group) // 2]
    unused = simplify(forget_unused(best, train.codes))
    best = unused if choose.accuracy(unused) >= least else best
    best = _tidy(_formulas(best, choose), train.codes, choose)
    live = len(before.nodes), len(best.nodes)
    return Pruned(best, (start, choose.accuracy(best)), live, tuple(dropped))


def _formulas(program: Program, choose: Questions) -> Program:
    """Predicates that are nearly a formula, such as the same value, become it where that costs no accuracy."""
    known, at = reachable(program), choose.accuracy(program)
    for place, node in enumerate(program.nodes):
        if isinstance(node, (Input, Table)) or node.query is None:
            continue
        asks = {q: node.wanted[q] for q in known[node.query]}
        _, meant = rule(program.domains[node.query], program.domains[node.key], asks)
        wanted = tuple(meant.get(q, w) for q, w in enumerate(node.wanted))
        nodes = [*program.nodes[:place], replace(node, wanted=wanted), *program.nodes[place + 1 :]]
        tried = replace(program, nodes=tuple(nodes))
        if wanted != node.wanted and choose.accuracy(tried) >= at:
            program = tried
    return simplify(program)


def _tidy(program: Program, codes: Tensor, choose: Questions, *, most: int = 100) -> Program:
    """Rows of predicates and small tables become what most others are, rarest first, where it costs no accuracy.

    Predicates that are a formula stay.
    """
    counts, at, known = coverage(program, codes), choose.accuracy(program), reachable(program)
    for place, node in enumerate(program.nodes):
        if isinstance(node, Input) or len(counts[node.name]) > most:
            continue
        if not isinstance(node, Table) and node.query is not None:
            asks = {q: node.wanted[q] for q in known[node.query]}
            if rule(program.domains[node.query], program.domains[node.key], asks)[1] == asks:
                continue
        field = "entries" if isinstance(node, Table) else "wanted"
        used = counts[node.name].tolist()
        for row in sorted(range(len(used)), key=used.__getitem__):
            rows = list(getattr(program.nodes[place], field))
            votes = Counter({value: 0 for value in rows})
            for value, many in zip(rows, used, strict=True):
                votes[value] += many
            if (common := votes.most_common(1)[0][0]) == rows[row]:
                continue
            rows[row] = common
            new = replace(program.nodes[place], **{field: tuple(rows)})
            tried = replace(program, nodes=(*program.nodes[:place], new, *program.nodes[place + 1 :]))
            if choose.accuracy(tried) >= at:
                program = tried
    return simplify(program)


def _harmless(program: Program, features: Tensor, y: Tensor) -> list[str]:
    """Variables of the read-out by how little the loss grows once each is replaced by its mean."""
    logits = features @ program.weight.T + program.bias
    loss = {}
    for name in program.reads:
        at = program.columns(name)
        part = features[:, at] @ program.weight[:, at].T
        loss[name] = float(torch.nn.functional.cross_entropy(logits - part + part.mean(0), y))
    return sorted(loss, key=lambda name: loss[name])


def without(program: Program, name: str, mean: Tensor) -> Program:
    """The read-out without a variable, in whose place the ``mean`` strength of its units is added to the bias."""
    at = program.columns(name)
    bias = program.bias + program.weight[:, at] @ mean
    left = torch.cat([program.weight[:, : at.start], program.weight[:, at.stop :]], 1)
    return replace(program, reads=tuple(n for n in program.reads if n != name), weight=left, bias=bias)


def _without(program: Program, names: Sequence[str], features: Tensor) -> Program:
    means = {name: features[:, program.columns(name)].mean(0) for name in names}
    for name, mean in means.items():
        program = without(program, name, mean)
    return program


def refitted(program: Program, questions: Questions, l2: float, *, steps: int = 60) -> Program:
    """With the read-out fitted, from where it is; units that add nothing go on adding nothing, unless all do."""
    kept = program.weight.any(0)
    kept = kept if bool(kept.any()) else ~kept
    weight = torch.zeros_like(program.weight)
    features = questions.features(program)[:, kept]
    weight[:, kept], bias = fit(features, questions.y, program.weight[:, kept], program.bias, l2=l2, steps=steps)
    return replace(program, weight=weight, bias=bias)


def fitted(program: Program, given: Questions, *, l2: float = 1e-6, bits: int = 6) -> Program:
    """With the read-out fitted, unless the one it has answers better; in multiples of ``2 ** -bits``."""
    both = [rounded(p.weight, p.bias, bits) for p in (refitted(program, given, l2, steps=300), program)]
    return max((replace(program, weight=w, bias=b) for w, b in both), key=given.accuracy)
