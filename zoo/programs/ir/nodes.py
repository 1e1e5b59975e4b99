"""Nodes of a program: each sets one variable at every position (rules: ``zoo.programs.ir.program``)."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Input:
    """A property of the token at each position, or the position itself.

    Attributes:
        name: of the variable.
        size: number of its values.
        table: value of each token of the vocabulary; empty for the position.
        values: names of its values; empty for numbers from 0.
    """

    name: str
    size: int
    table: tuple[int, ...] = ()
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Select:
    """Copies a variable from the position that a query asks for.

    Attributes:
        name: of the variable.
        query: variable that asks; None to ask for the same everywhere.
        key: variable that is compared.
        value: variable that is copied, a category.
        wanted: key asked for by each value of the query (``NOTHING`` for none), or the one key asked for everywhere.
    """

    name: str
    query: str | None
    key: str
    value: str
    wanted: tuple[int, ...]


@dataclass(frozen=True)
class Count:
    """Counts the positions that a query asks for, or adds up a number over them.

    Attributes:
        name: of the variable, a number.
        query: variable that asks; None to ask for the same everywhere.
        key: variable that is compared.
        value: number that is added up; None to count.
        wanted: as of ``Select``.
    """

    name: str
    query: str | None
    key: str
    value: str | None
    wanted: tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """Looks its value up by up to two variables of the same position.

    Attributes:
        name: of the variable.
        reads: the variables; none for a constant.
        outputs: number of values.
        entries: one for each combination, that of the last variable running fastest.
    """

    name: str
    reads: tuple[str, ...]
    outputs: int
    entries: tuple[int, ...]


Node = Input | Select | Count | Table
KINDS: dict[str, type[Node]] = {"input": Input, "select": Select, "count": Count, "table": Table}


def reads_of(node: Node) -> tuple[str, ...]:
    """Variables that a node reads."""
    if isinstance(node, Input):
        return ()
    if isinstance(node, Table):
        return node.reads
    return tuple(name for name in (node.query, node.key, node.value) if name is not None)


def with_reads(node: Node, names: dict[str, str]) -> Node:
    """The same node reading other variables: each name that is a key of ``names`` is replaced."""
    if isinstance(node, Input):
        return node
    if isinstance(node, Table):
        return replace(node, reads=tuple(names.get(n, n) for n in node.reads))
    given = {k: getattr(node, k) for k in ("query", "key", "value")}
    return replace(node, **{k: v if v is None else names.get(v, v) for k, v in given.items()})
