"""Moves of the local search: another value of a row, or another variable that a node reads."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from zoo.programs.ir.nodes import Input, Node, Table, rows_of, with_rows
from zoo.programs.ir.program import Program
from zoo.programs.ir.reachability import coverage
from zoo.programs.label_positions import LabeledPositions
from zoo.sequence_spec import NOTHING


@dataclass(frozen=True)
class RowMove:
    """Another entry of a table, or another wanted key.

    Attributes:
        place: index of the node.
        row: index of the entry.
        value: its new value.
    """

    place: int
    row: int
    value: int

    def __call__(self, node: Node) -> Node:
        """Return the changed node."""
        assert not isinstance(node, Input)
        rows = list(rows_of(node))
        rows[self.row] = self.value
        return with_rows(node, tuple(rows))


@dataclass(frozen=True)
class ReadMove:
    """Another variable that a node reads.

    Attributes:
        place: index of the node.
        field: ``query``, ``key`` or ``value``, or the index of an input of a table.
        name: of the new variable.
    """

    place: int
    field: str | int
    name: str

    def __call__(self, node: Node) -> Node:
        """Return the changed node."""
        if isinstance(node, Table):
            return replace(node, reads=tuple(self.name if i == self.field else r for i, r in enumerate(node.reads)))
        return replace(node, **{str(self.field): self.name})


Move = RowMove | ReadMove


def moves(program: Program, labeled: LabeledPositions, draw: random.Random) -> list[Move]:
    """Return in random order every other value of each row in use, and every other variable for each input."""
    used = coverage(program, labeled.codes)
    options: list[Move] = []
    for place, node in enumerate(program.nodes):
        if isinstance(node, Input):
            continue
        rows = used[node.name].nonzero()[:, 0].tolist()
        choices = range(node.outputs) if isinstance(node, Table) else range(NOTHING, program.domains[node.key].size)
        options += [RowMove(place, row, value) for row in rows for value in choices]
        earlier = [other.name for other in program.nodes[:place]]
        for field, name in _inputs(node):
            domain = program.domains[name]
            alike = [n for n in earlier if n != name and program.domains[n][:2] == domain[:2]]
            options += [ReadMove(place, field, other) for other in alike]
    draw.shuffle(options)
    return options


def _inputs(node: Node) -> Iterator[tuple[str | int, str]]:
    """Yield the field and the variable of each input of a node."""
    if isinstance(node, Table):
        yield from enumerate(node.reads)
    elif not isinstance(node, Input):
        for field, name in (("query", node.query), ("key", node.key), ("value", node.value)):
            if name is not None:
                yield field, name
