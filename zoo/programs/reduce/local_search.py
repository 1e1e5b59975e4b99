"""Local search: single changes of rows and inputs of nodes, each kept if the loss falls."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.programs.ir.interpreter import compute, run, strength
from zoo.programs.ir.nodes import reads_of
from zoo.programs.ir.program import Program
from zoo.programs.label_positions import LabeledPositions
from zoo.programs.reduce.moves import Move, moves
from zoo.sequence_spec import NOTHING

Refit = Callable[[Program, LabeledPositions], Program]
MIN_GAIN = 1e-7  # nats; smaller differences are rounding errors


def search(
    program: Program,
    labeled: LabeledPositions,
    *,
    refit: Refit,
    tries: int = 20_000,
    sample: int = 1000,
    seed: int = 0,
) -> Program:
    """Try changes of single choices in random order, and keep each that lowers the loss on a sample of sequences.

    The read-out is fixed while choices change, and fitted again after each round, in which every change is tried once.
    Only variables that depend on a change are computed again.

    Args:
        program: to start from.
        labeled: data that decide.
        refit: fits the read-out of a program.
        tries: total number of changes to try.
        sample: number of sequences that decide on a change; all of them decide on a round.
        seed: of the order of the changes.
    """
    draw = random.Random(seed)
    subset = labeled.sample(sample, seed)
    current = best = program
    lowest = loss(program, labeled)
    while tries > 0:
        state = SearchState(current, subset)
        changed = 0
        for move in moves(current, subset, draw)[:tries]:
            tries -= 1
            changed += state.keep_if_better(move)
        current = refit(state.program(), labeled)
        now = loss(current, labeled)
        if now < lowest:
            best = current
            lowest = now
        if not changed:
            break
    return best


def loss(program: Program, labeled: LabeledPositions) -> float:
    """Return the mean cross-entropy in nats."""
    return float(F.cross_entropy(labeled.logits(program), labeled.y))


class SearchState:
    """A program during the search, with everything that it computes on the labeled sequences."""

    def __init__(self, program: Program, labeled: LabeledPositions) -> None:
        self.start = program
        self.labeled = labeled
        self.nodes = list(program.nodes)
        self.real = labeled.codes != NOTHING
        self.variables = run(program, labeled.codes, check=False)
        self.parts = {name: self._part(name, self.variables[name]) for name in program.reads}
        self.logits = program.bias + sum(self.parts.values(), torch.zeros_like(program.bias))
        self.loss = float(F.cross_entropy(self.logits.expand(len(labeled.y), -1), labeled.y))

    def _part(self, name: str, value: Tensor) -> Tensor:
        """Return what a variable adds to the logits ``(q, c)``."""
        units = strength(self.start, name, value, self.real, self.labeled.positions)
        return self.labeled.per_label(self.start, units @ self.start.weight[:, self.start.columns(name)].T)

    def keep_if_better(self, move: Move) -> bool:
        """Change one node and keep the change if the loss falls; return whether it is kept."""
        place = move.place
        node = move(self.nodes[place])
        if node == self.nodes[place] or not set(reads_of(node)) <= {n.name for n in self.nodes[:place]}:
            return False
        new: dict[str, Tensor] = {}
        for i, other in enumerate(self.nodes[place:]):
            if i == 0 or not new.keys().isdisjoint(reads_of(other)):
                changed = node if i == 0 else other
                value = compute(self.start, changed, {**self.variables, **new}, self.labeled.codes)
                if not torch.equal(value, self.variables[other.name]):
                    new[other.name] = value
        parts = {name: self._part(name, value) for name, value in new.items() if name in self.parts}
        if not parts:
            return False
        logits = self.logits + sum(part - self.parts[name] for name, part in parts.items())
        now = float(F.cross_entropy(logits, self.labeled.y))
        if now >= self.loss - MIN_GAIN:
            return False
        self.nodes[place] = node
        self.logits = logits
        self.loss = now
        self.variables |= new
        self.parts |= parts
        return True

    def program(self) -> Program:
        """Return the program with all changes that were kept."""
        return replace(self.start, nodes=tuple(self.nodes))
