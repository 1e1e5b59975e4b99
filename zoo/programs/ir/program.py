"""The intermediate representation: a program over a sequence of tokens, as typed nodes and a linear read-out.

Every node computes one variable, with one value at each position. All back ends follow these rules:

- A query can attend to every position of the sequence; in a causal program only to positions up to its own.
- ``Select`` copies from the position whose key is the wanted one. Among several it takes the nearest, among two
  equally near the earlier, and the query's own position last. If there is none, it takes the first position.
- ``Count`` counts or sums over all positions whose key is the wanted one; if there is none, it is 0.

Source: Friedman, Wettig, Chen, Learning Transformer Programs, NeurIPS 2023.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import torch
from torch import Tensor

from zoo.programs.ir.domains import Domain, domain_of
from zoo.programs.ir.nodes import Node
from zoo.programs.ir.serialization import Structure, read_structure, write_structure
from zoo.sequence_spec import Frame


@dataclass(frozen=True)
class Program:
    """Nodes in the order in which they are computed, and a linear read-out of some of their variables.

    Attributes:
        frame: format of the sequences.
        nodes: each reads only variables of earlier ones.
        reads: variables of the read-out.
        classes: c names of the answers.
        weight: ``(c, u)`` what each unit adds to the logit of each class; a category has one unit for each value, a
            number has one unit.
        bias: ``(c,)`` added to the logits of every input.
        causal: whether a position attends only to itself and earlier positions.
        pooled: whether there is one answer for the whole sequence, computed from means over its positions.

    Raises:
        ValueError: if a variable name is not allowed, a node or the read-out reads a variable that does not exist or
            has the wrong type, or a size does not fit.

    Example:
        >>> from zoo.programs.ir.nodes import Input
        >>> frame = Frame(("a", "b"), length=4)
        >>> token = Input("token", 2, (0, 1), ("a", "b"))
        >>> program = Program(frame, (token,), ("token",), ("A", "B"), torch.eye(2), torch.zeros(2))
        >>> program.unit_names
        ['token = a', 'token = b']
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
        domains = self.domains  # checks every node
        for name in self.reads:
            self.check_read(name)
        if len(set(self.reads)) < len(self.reads):
            raise ValueError(f"the read-out reads {', '.join(self.reads)}; expected each variable once")
        count = len(self.classes)
        expected = (count, sum(domains[name].units for name in self.reads))
        if tuple(self.weight.shape) != expected or tuple(self.bias.shape) != (count,):
            shapes = f"{tuple(self.weight.shape)} and {tuple(self.bias.shape)}"
            raise ValueError(f"weight and bias are {shapes}; expected {expected} and {(count,)}")

    def check_read(self, name: str) -> None:
        """Raise a ValueError if no node computes a variable of this name."""
        if name not in self.domains:
            raise ValueError(f"the read-out reads {name!r}, which no node computes")

    @cached_property
    def domains(self) -> dict[str, Domain]:
        """The domain of each variable; the size of a number is the exact range of what can be counted."""
        domains: dict[str, Domain] = {}
        for node in self.nodes:
            if node.name in domains:
                raise ValueError(f"two nodes compute {node.name!r}")
            domains[node.name] = domain_of(node, domains, self.frame)
        return domains

    @cached_property
    def units(self) -> list[tuple[str, int | None]]:
        """Variable and value of each unit of the read-out; the value is None for a number."""
        units: list[tuple[str, int | None]] = []
        for name in self.reads:
            domain = self.domains[name]
            units += [(name, None)] if domain.number else [(name, value) for value in range(domain.size)]
        return units

    @property
    def unit_names(self) -> list[str]:
        """``variable = value`` for each unit, or the variable alone for a number."""
        return [n if v is None else f"{n} = {self.domains[n].show(v)}" for n, v in self.units]

    def node(self, name: str) -> Node:
        """Return the node that computes a variable."""
        return next(node for node in self.nodes if node.name == name)

    def columns(self, name: str) -> slice:
        """Return which units belong to a variable of the read-out.

        Raises:
            ValueError: if the read-out does not read it.
        """
        start = 0
        for read in self.reads:
            stop = start + self.domains[read].units
            if read == name:
                return slice(start, stop)
            start = stop
        raise ValueError(f"the read-out does not read {name!r}")

    def to_json(self) -> str:
        """Return everything but the numbers of the read-out, as text."""
        shared = {field.name: getattr(self, field.name) for field in fields(Structure)}
        return write_structure(Structure(**shared))

    @classmethod
    def from_json(
        cls,
        text: str,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        *,
        classes: tuple[str, ...] = (),
    ) -> Program:
        """Return the program that ``to_json`` wrote.

        Args:
            text: as written by ``to_json``; may come from an untrusted checkpoint.
            weight: ``(c, u)`` of the read-out; None for zeros.
            bias: ``(c,)`` of the read-out; None for zeros.
            classes: names that replace those of the text.

        Raises:
            ValueError: if the text is not a program, or the read-out does not fit it.
        """
        structure = read_structure(text)
        if classes:
            structure = replace(structure, classes=classes)
        shared = {field.name: getattr(structure, field.name) for field in fields(Structure)}
        count = len(structure.classes)
        if weight is None or bias is None:
            bare = cls(**{**shared, "reads": ()}, weight=torch.zeros(count, 0), bias=torch.zeros(count))
            for name in structure.reads:
                bare.check_read(name)
            weight = torch.zeros(count, sum(bare.domains[name].units for name in structure.reads))
            bias = torch.zeros(count)
        return cls(**shared, weight=weight, bias=bias)
