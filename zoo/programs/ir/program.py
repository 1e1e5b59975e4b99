"""The intermediate representation: a program over a sequence of tokens, as typed nodes and a linear read-out.

Every node fills one variable with one value at each position. Rules that all back-ends share:

- A query sees the positions of the sequence; in a causal program only those up to its own.
- ``Select`` copies from the position whose key is the wanted one. Of several: the nearest, of two equally near the
  earlier, itself last. Of none: the first position.
- ``Count`` adds up over all positions whose key is the wanted one; of none it is 0.

After Friedman, Wettig, Chen, Learning Transformer Programs, NeurIPS 2023.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.programs.ir.nodes import KINDS, Input, Node, Select, Table, reads_of
from zoo.sequence_spec import Frame

LARGEST = 1 << 22  # entries of one table


class Domain(NamedTuple):
    """The values of a variable: 0 to ``size - 1``, with names, or numbers where ``names`` is None."""

    size: int
    number: bool
    names: tuple[str, ...] | None = None

    def show(self, value: int) -> str:
        """A value in words."""
        return str(value) if self.names is None else self.names[value]


@dataclass(frozen=True)
class Program:
    """Nodes in the order in which they are computed, and a linear read-out of some of their variables.

    Attributes:
        frame: what sequences look like.
        nodes: each reads only variables of earlier ones.
        reads: variables of the read-out.
        classes: names of the answers.
        weight: ``(c, u)`` what each unit adds to each class: one unit for each value of a category, one for a number.
        bias: ``(c,)`` what is added always.
        causal: whether a position sees only itself and what comes before it.
        pooled: whether one answer is given for the whole sequence, from the mean over its positions.

    Raises:
        ValueError: if a node reads what is not there or not of the right kind, or a size does not fit.
    """

    frame: Frame
    nodes: tuple[Node, ...]
    reads: tuple[str, ...]
    classes: tuple[str, ...]
    weight: Tensor = field(compare=False)
    bias: Tensor = field(compare=False)
    causal: bool = False
    pooled: bool = False

    def __post_init__(self) -> None:
        for name in self.reads:
            if name not in self.domains:
                raise ValueError(f"the read-out reads {name!r}, which no node fills")
        expected = (len(self.classes), sum(1 if d.number else d.size for d in map(self.domains.get, self.reads) if d))
        if tuple(self.weight.shape) != expected or tuple(self.bias.shape) != expected[:1]:
            found = f"{tuple(self.weight.shape)} and {tuple(self.bias.shape)}"
            raise ValueError(f"weight and bias are {found}; expected {expected} and {expected[:1]}")

    @cached_property
    def domains(self) -> dict[str, Domain]:
        """The values of each variable; the range of a number is exact up to what its query can find."""
        found: dict[str, Domain] = {}
        for node in self.nodes:
            if node.name in found:
                raise ValueError(f"two nodes fill {node.name!r}")
            found[node.name] = self._domain(node, found)
        return found

    def _domain(self, node: Node, known: dict[str, Domain]) -> Domain:
        for name in reads_of(node):
            if name not in known:
                raise ValueError(f"{node.name!r} reads {name!r}, which no earlier node fills")
        if isinstance(node, Input):
            if node.table and (len(node.table) != len(self.frame.tokens) or max(node.table) >= node.size):
                raise ValueError(f"{node.name!r} has {len(node.table)} entries for {len(self.frame.tokens)} tokens")
            if not node.table and node.size < self.frame.length:
                raise ValueError(f"{node.name!r} has {node.size} values for {self.frame.length} positions")
            if len(node.values) not in (0, node.size):
                raise ValueError(f"{node.name!r} names {len(node.values)} of {node.size} values")
            return Domain(node.size, False, node.values or None)
        if isinstance(node, Table):
            size = prod(known[name].size for name in node.reads)
            if size > LARGEST:
                raise ValueError(
                    f"{node.name!r} would have {size} entries; at most {LARGEST}:"
                    " use fewer layers, a shorter length, or counters that are not chained"
                )
            if len(node.entries) != size or min(node.entries) < 0 or max(node.entries) >= node.outputs:
                raise ValueError(f"{node.name!r} has {len(node.entries)} entries; expected {size} below {node.outputs}")
            return Domain(node.outputs, False)
        size = 1 if node.query is None else known[node.query].size
        if len(node.wanted) != size:
            raise ValueError(f"{node.name!r} wants {len(node.wanted)} keys for {size} values of its query")
        value = None if node.value is None else known[node.value]
        if isinstance(node, Select):
            if value is None or value.number:
                raise ValueError(f"{node.name!r} copies {node.value!r}, which is no category")
            return value
        if value is not None and not value.number:
            raise ValueError(f"{node.name!r} adds up {node.value!r}, which is no number")
        return Domain(self.frame.length * (1 if value is None else value.size - 1) + 1, True)

    @cached_property
    def units(self) -> list[tuple[str, int | None]]:
        """Variable and value of each unit of the read-out; None for a number."""
        return [
            (name, value)
            for name in self.reads
            for value in ([None] if self.domains[name].number else range(self.domains[name].size))
        ]

    @property
    def unit_names(self) -> list[str]:
        """``variable = value`` of each unit, or the variable alone for a number."""
        return [n if v is None else f"{n} = {self.domains[n].show(v)}" for n, v in self.units]

    def node(self, name: str) -> Node:
        """The node that fills a variable."""
        return next(node for node in self.nodes if node.name == name)

    def columns(self, name: str) -> slice:
        """Which units belong to a variable of the read-out."""
        at = 0
        for other in self.reads:
            width = 1 if self.domains[other].number else self.domains[other].size
            if other == name:
                return slice(at, at + width)
            at += width
        raise ValueError(f"the read-out does not read {name!r}")

    def to_json(self) -> str:
        """Everything but the numbers of the read-out."""
        kinds = {cls: kind for kind, cls in KINDS.items()}
        nodes = [{"kind": kinds[type(node)], **asdict(node)} for node in self.nodes]
        rest = {k: getattr(self, k) for k in ("reads", "classes", "causal", "pooled")}
        return json.dumps({"frame": asdict(self.frame), "nodes": nodes, **rest}, separators=(",", ":"))

    @classmethod
    def from_json(
        cls, text: str, weight: Tensor | None = None, bias: Tensor | None = None, *, classes: tuple[str, ...] = ()
    ) -> Program:
        """The program that ``to_json`` wrote, with its read-out, or one of zeros; perhaps with other ``classes``.

        Raises:
            ValueError: if the text is no program.
        """
        try:
            told = json.loads(text)
            frame = Frame(**{k: tuple(v) if isinstance(v, list) else v for k, v in told.pop("frame").items()})
            nodes = tuple(
                KINDS[row.pop("kind")](**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()})
                for row in told.pop("nodes")
            )
            told = {k: tuple(v) if isinstance(v, list) else v for k, v in told.items()}
            told |= {"classes": classes or told["classes"]}
            c = len(told["classes"])
            if weight is None or bias is None:
                bare = cls(frame, nodes, (), told["classes"], torch.zeros(c, 0), torch.zeros(c))
                sizes = (bare.domains[name] for name in told["reads"])
                weight, bias = torch.zeros(c, sum(1 if d.number else d.size for d in sizes)), torch.zeros(c)
            return cls(frame=frame, nodes=nodes, weight=weight, bias=bias, **told)
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"this is no program: {error}") from error
