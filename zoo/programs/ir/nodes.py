"""Nodes of a program: each computes one variable at every position (rules: ``zoo.programs.ir.program``)."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Copy a variable from the position with the wanted key.

    Attributes:
        name: of the variable.
        query: variable that determines the wanted key; None for the same key everywhere.
        key: variable that is compared with the wanted key.
        value: variable that is copied, a category.
        wanted: the wanted key for each value of the query (``NOTHING`` for none), or the one key for all positions.
    """

    name: str
    query: str | None
    key: str
    value: str
    wanted: tuple[int, ...]


@dataclass(frozen=True)
class Count:
    """Count the positions with the wanted key, or sum a number over them.

    Attributes:
        name: of the variable, a number.
        query: variable that determines the wanted key; None for the same key everywhere.
        key: variable that is compared with the wanted key.
        value: number that is summed; None to count.
        wanted: as in ``Select``.
    """

    name: str
    query: str | None
    key: str
    value: str | None
    wanted: tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """Look a value up by at most two variables of the same position.

    Attributes:
        name: of the variable.
        reads: the variables; none for a constant.
        outputs: number of values.
        entries: the value for each combination; the last variable varies fastest.
    """

    name: str
    reads: tuple[str, ...]
    outputs: int
    entries: tuple[int, ...]


Node = Input | Select | Count | Table
KINDS: dict[str, type[Input | Select | Count | Table]] = {
    "input": Input,
    "select": Select,
    "count": Count,
    "table": Table,
}


def reads_of(node: Node) -> tuple[str, ...]:
    """Return the variables that a node reads.

    Example:
        >>> reads_of(Count("count", "token", "token", None, (0, 1)))
        ('token', 'token')
    """
    if isinstance(node, Input):
        return ()
    if isinstance(node, Table):
        return node.reads
    return tuple(name for name in (node.query, node.key, node.value) if name is not None)


def with_reads(node: Node, names: Mapping[str, str]) -> Node:
    """Return the same node reading other variables: each name that is a key of ``names`` is replaced."""
    if isinstance(node, Input):
        return node
    if isinstance(node, Table):
        return replace(node, reads=tuple(names.get(name, name) for name in node.reads))
    query = None if node.query is None else names.get(node.query, node.query)
    key = names.get(node.key, node.key)
    if isinstance(node, Select):
        return replace(node, query=query, key=key, value=names.get(node.value, node.value))
    value = None if node.value is None else names.get(node.value, node.value)
    return replace(node, query=query, key=key, value=value)


def rows_of(node: Select | Count | Table) -> tuple[int, ...]:
    """Return the entries of a table, or the wanted keys of an attention head."""
    return node.entries if isinstance(node, Table) else node.wanted


def with_rows(node: Select | Count | Table, rows: tuple[int, ...]) -> Select | Count | Table:
    """Return the same node with other entries or wanted keys."""
    return replace(node, entries=rows) if isinstance(node, Table) else replace(node, wanted=rows)
