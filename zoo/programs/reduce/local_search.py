"""Improves a program by small changes, each judged by running it: predicate rows, table entries, what is read."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.programs.ir.interpreter import fill, run, strength
from zoo.programs.ir.nodes import Count, Input, Node, Select, Table, reads_of
from zoo.programs.ir.program import Program
from zoo.programs.ir.reachability import coverage
from zoo.programs.label_positions import Questions
from zoo.sequence_spec import NOTHING

Refit = Callable[[Program, Questions], Program]


def search(
    program: Program, given: Questions, *, refit: Refit, tries: int = 20_000, sample: int = 1000, seed: int = 0
) -> Program:
    """Try changes of single choices in random order; keep each that lowers the loss on a sample of the sequences.

    The read-out is held while choices change, and fitted again after each round, in which every change is tried once.
    Only what depends on a change is computed anew.

    Args:
        program: where to start.
        given: labelled questions.
        refit: fits the read-out of a program.
        tries: changes to try in all.
        sample: sequences that judge a change; all of them judge a round.
        seed: of the order of the changes.
    """
    draw, few = random.Random(seed), given.some(sample, seed)
    current = best = program
    lowest = loss(program, given)
    while tries > 0:
        judge, changed = _Judge(current, few), 0
        for place, make in _moves(current, few, draw)[:tries]:
            tries -= 1
            changed += judge.keep_if_better(place, make)
        current = refit(judge.program(), given)
        if (now := loss(current, given)) < lowest:
            best, lowest = current, now
        if not changed:
            break
    return best


class _Judge:
    """A program under change, with everything it computes on some questions."""

    def __init__(self, program: Program, given: Questions) -> None:
        self.start, self.given, self.nodes = program, given, list(program.nodes)
        self.real = given.codes != NOTHING
        self.found = run(program, given.codes, check=False)
        self.parts = {name: self._part(name, self.found[name]) for name in program.reads}
        self.logits = program.bias + sum(self.parts.values(), torch.zeros_like(program.bias))
        self.least = float(F.cross_entropy(self.logits.expand(len(given.y), -1), given.y))

    def _part(self, name: str, value: Tensor) -> Tensor:
        """What a variable adds to the logits ``(q, c)``."""
        p = self.start
        part = strength(p, name, value, self.real, self.given.asked) @ p.weight[:, p.columns(name)].T
        return self.given.answers_of(p, part)

    def keep_if_better(self, place: int, make: Callable[[Node], Node]) -> bool:
        """Change one node; whether the loss falls, and then the change stays."""
        node = make(self.nodes[place])
        if node == self.nodes[place] or not set(reads_of(node)) <= {n.name for n in self.nodes[:place]}:
            return False
        new: dict[str, Tensor] = {}
        for i, other in enumerate(self.nodes[place:]):
            if i == 0 or not new.keys().isdisjoint(reads_of(other)):
                value = fill(self.start, node if i == 0 else other, {**self.found, **new}, self.given.codes)
                if not torch.equal(value, self.found[other.name]):
                    new[other.name] = value
        parts = {name: self._part(name, value) for name, value in new.items() if name in self.parts}
        if not parts:
            return False
        logits = self.logits + sum(part - self.parts[name] for name, part in parts.items())
        now = float(F.cross_entropy(logits, self.given.y))
        if now >= self.least - 1e-7:
            return False
        self.nodes[place], self.logits, self.least = node, logits, now
        self.found |= new
        self.parts |= parts
        return True

    def program(self) -> Program:
        """With all changes that were kept."""
        return replace(self.start, nodes=tuple(self.nodes))


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
