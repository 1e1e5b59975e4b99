"""Domains of variables: which values a node can compute, and whether its fields are consistent."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import NamedTuple

from zoo.programs.ir.names import check_name
from zoo.programs.ir.nodes import Count, Input, Node, Select, Table, reads_of
from zoo.sequence_spec import NOTHING, Frame

MAX_ENTRIES = 1 << 22  # of one table, and values of one input


class Domain(NamedTuple):
    """The values of a variable: 0 to ``size - 1``.

    Attributes:
        size: number of values.
        number: whether the values are counts, with one unit for all of them; else they are categories.
        names: of the categories; None if they are numbered.

    Example:
        >>> Domain(3, False, ("a", "b", "c")).show(2)
        'c'
        >>> Domain(3, False).units, Domain(3, True).units
        (3, 1)
    """

    size: int
    number: bool
    names: tuple[str, ...] | None = None

    @property
    def units(self) -> int:
        """Number of units in a read-out: one for each category, or one for a count."""
        return 1 if self.number else self.size

    def show(self, value: int) -> str:
        """Return the text that names a value."""
        return str(value) if self.names is None else self.names[value]


def domain_of(node: Node, known: Mapping[str, Domain], frame: Frame) -> Domain:
    """Return the domain of a node's variable.

    Args:
        node: any node.
        known: domains of the variables of all earlier nodes.
        frame: format of the sequences.

    Raises:
        ValueError: if a name is not allowed, a variable that is read does not exist or has the wrong type, or a
            field has the wrong size or values out of range.
    """
    check_name(node.name)
    for name in reads_of(node):
        if name not in known:
            raise ValueError(f"{node.name!r} reads {name!r}, which is not the variable of an earlier node")
    if isinstance(node, Input):
        return _input_domain(node, frame)
    if isinstance(node, Table):
        return _table_domain(node, known)
    return _attention_domain(node, known, frame)


def check_table_size(name: str, size: int) -> None:
    """Raise a ValueError if a table has more than ``MAX_ENTRIES`` entries."""
    if size > MAX_ENTRIES:
        raise ValueError(
            f"{name!r} would have {size} entries; at most {MAX_ENTRIES}:"
            " use fewer layers, a shorter length, or counters that are not chained"
        )


def _input_domain(node: Input, frame: Frame) -> Domain:
    if not 1 <= node.size <= MAX_ENTRIES:
        raise ValueError(f"{node.name!r} has {node.size} values; expected 1 to {MAX_ENTRIES}")
    if node.table and len(node.table) != len(frame.tokens):
        raise ValueError(f"{node.name!r} has {len(node.table)} entries for {len(frame.tokens)} tokens")
    if node.table:
        _check_range(f"entries of {node.name!r}", node.table, 0, node.size)
    elif node.size < frame.length:
        raise ValueError(f"{node.name!r} has {node.size} values for {frame.length} positions")
    if len(node.values) not in (0, node.size):
        raise ValueError(f"{node.name!r} names {len(node.values)} of {node.size} values")
    if len(set(node.values)) < len(node.values):
        raise ValueError(f"two values of {node.name!r} have one name; expected a different name for each")
    return Domain(node.size, False, node.values or None)


def _table_domain(node: Table, known: Mapping[str, Domain]) -> Domain:
    size = prod(known[name].size for name in node.reads)
    check_table_size(node.name, size)
    if len(node.reads) > 2:
        raise ValueError(f"{node.name!r} reads {len(node.reads)} variables; expected at most 2")
    if len(node.entries) != size:
        raise ValueError(f"{node.name!r} has {len(node.entries)} entries; expected {size} below {node.outputs}")
    _check_range(f"entries of {node.name!r}", node.entries, 0, node.outputs)
    return Domain(node.outputs, False)


def _attention_domain(node: Select | Count, known: Mapping[str, Domain], frame: Frame) -> Domain:
    size = 1 if node.query is None else known[node.query].size
    if len(node.wanted) != size:
        raise ValueError(f"{node.name!r} wants {len(node.wanted)} keys for {size} values of its query")
    _check_range(f"keys wanted by {node.name!r}", node.wanted, NOTHING, known[node.key].size)
    value = None if node.value is None else known[node.value]
    if isinstance(node, Select):
        if value is None or value.number:
            raise ValueError(f"{node.name!r} copies {node.value!r}, which is not a category")
        return value
    if value is not None and not value.number:
        raise ValueError(f"{node.name!r} sums {node.value!r}, which is not a number")
    return Domain(frame.length * (1 if value is None else value.size - 1) + 1, True)


def _check_range(what: str, values: tuple[int, ...], low: int, end: int) -> None:
    if min(values) < low or max(values) >= end:
        raise ValueError(f"{what} are {min(values)} to {max(values)}; expected {low} to {end - 1}")
