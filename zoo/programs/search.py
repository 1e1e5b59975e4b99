"""Improves a program by small changes, each judged by running it: predicate rows, table entries, what is read."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace

import torch.nn.functional as F

from zoo.programs.ir import Count, Input, Node, Program, Select, Table
from zoo.programs.questions import Questions
from zoo.programs.reach import coverage
from zoo.sequences import NOTHING

Refit = Callable[[Program, Questions], Program]


def search(
    program: Program, given: Questions, *, refit: Refit, seconds: float = 60.0, sample: int = 2000, seed: int = 0
) -> Program:
    """Try changes of single choices in random order; keep each that lowers the loss on a sample of the sequences.

    The read-out is held while choices change, and fitted again after each round.

    Args:
        program: where to start.
        given: labelled questions.
        refit: fits the read-out of a program.
        seconds: for all of it.
        sample: sequences that judge a change; all of them judge a round.
        seed: of the order of the changes.
    """
    end, draw = time.monotonic() + seconds, random.Random(seed)
    few = given.some(sample, seed)
    best, lowest = program, loss(program, given)
    current = program
    while time.monotonic() < end:
        moves = _moves(current, few, draw)
        at, changed = loss(current, few), 0
        for place, make in moves:
            if time.monotonic() > end:
                break
            nodes = list(current.nodes)
            nodes[place] = make(nodes[place])
            try:
                tried = replace(current, nodes=tuple(nodes))
                now = loss(tried, few)
            except ValueError:  # a gate that reads a variable of another size
                continue
            if now < at - 1e-7:
                current, at, changed = tried, now, changed + 1
        current = refit(current, given)
        if (now := loss(current, given)) < lowest:
            best, lowest = current, now
        if not changed:
            break
    return best


def loss(program: Program, given: Questions) -> float:
    """Mean cross-entropy."""
    logits = given.features(program) @ program.weight.T + program.bias
    return float(F.cross_entropy(logits, given.y))


Move = tuple[int, Callable[[Node], Node]]


def _moves(program: Program, given: Questions, draw: random.Random) -> list[Move]:
    """Every other value of every row in use, and every other variable of the same values for each read."""
    used = coverage(program, given.codes)
    moves: list[Move] = []
    for place, node in enumerate(program.nodes):
        if isinstance(node, Input):
            continue
        rows = used[node.name].nonzero()[:, 0].tolist()
        table = isinstance(node, Table)
        choices = range(node.outputs) if table else range(NOTHING, program.domains[node.key].size)
        moves += [(place, _Row(row, value)) for row in rows for value in choices]
        before = [n.name for n in program.nodes[:place]]
        for field, name in _reads(node):
            domain = program.domains[name]
            alike = [n for n in before if n != name and program.domains[n][:2] == domain[:2]]
            moves += [(place, _Gate(field, other)) for other in alike]
    draw.shuffle(moves)
    return moves


def _reads(node: Node) -> list[tuple[str | int, str]]:
    if isinstance(node, Table):
        return list(enumerate(node.reads))
    assert isinstance(node, (Select, Count))
    return [(f, getattr(node, f)) for f in ("query", "key", "value") if getattr(node, f) is not None]


class _Row:
    """Another entry of a table, or another wanted key."""

    def __init__(self, row: int, value: int) -> None:
        self.row, self.value = row, value

    def __call__(self, node: Node) -> Node:
        field = "entries" if isinstance(node, Table) else "wanted"
        rows = list(getattr(node, field))
        rows[self.row] = self.value
        return replace(node, **{field: tuple(rows)})


class _Gate:
    """Another variable read."""

    def __init__(self, field: str | int, name: str) -> None:
        self.field, self.name = field, name

    def __call__(self, node: Node) -> Node:
        if isinstance(self.field, int):
            assert isinstance(node, Table)
            reads = list(node.reads)
            reads[self.field] = self.name
            return replace(node, reads=tuple(reads))
        return replace(node, **{self.field: self.name})
