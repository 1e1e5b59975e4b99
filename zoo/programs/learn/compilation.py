"""Compilation: the program of a trained network, with the most probable option of every choice."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.programs.ir.domains import check_table_size
from zoo.programs.ir.nodes import Count, Input, Node, Select, Table
from zoo.programs.ir.program import Program
from zoo.programs.learn.choices import NOT_A_CHOICE
from zoo.programs.learn.network import CATEGORIES, NUMBERS, Network
from zoo.sequence_spec import NOTHING, Frame

ONE = "one"  # the constant that counters and tables of numbers can read; it is 1 everywhere
CHUNK = 1 << 16  # entries of a table that are computed at once


def compile_network(
    network: Network, restart: int, frame: Frame, classes: tuple[str, ...], weight: Tensor, bias: Tensor
) -> Program:
    """Return the program of a restart.

    Args:
        network: trained or not.
        restart: index of the restart.
        frame: format of the sequences.
        classes: c names.
        weight: ``(c, shape.units)`` read-out of that restart.
        bias: ``(c,)``

    Raises:
        ValueError: if a table of numbers would be too large.

    Example:
        >>> from zoo.programs.learn.sizes import Sizes
        >>> sizes = Sizes(tokens=2, length=3, classes=2, width=3, heads=1, counters=0, tables=0, number_tables=0)
        >>> network = Network(sizes)
        >>> frame = Frame(("a", "b"), length=3)
        >>> program = compile_network(network, 0, frame, ("x", "y"), torch.zeros(2, sizes.units), torch.zeros(2))
        >>> program.reads
        ('token', 'position', 'head_1_1')
    """
    compiler = _Compiler(network, restart, frame)
    for layer in range(network.shape.layers):
        compiler.add_heads(layer)
        compiler.add_tables(layer)
    reads = (*compiler.stream, *compiler.numbers[1:])
    columns = _columns([compiler.sizes.get(name) for name in reads], network.shape.width)
    return Program(
        frame,
        tuple(compiler.nodes),
        reads,
        classes,
        weight[:, columns],
        bias,
        causal=network.shape.causal,
        pooled=network.shape.pooled,
    )


def _columns(sizes: Sequence[int | None], width: int) -> list[int]:
    """Return the units of values that variables have: of ``width`` units each, or one for a number (size None)."""
    columns: list[int] = []
    start = 0
    for size in sizes:
        columns += range(start, start + (1 if size is None else size))
        start += 1 if size is None else width
    return columns


class _Compiler:
    """Nodes of a program, added layer by layer in the order of the network's gates.

    Attributes:
        nodes: so far.
        stream: names of the categories, in the order in which gates choose from them.
        numbers: names of the numbers, the constant 1 first.
        sizes: of the categories.
        ranges: of the numbers.
    """

    @torch.no_grad()
    def __init__(self, network: Network, restart: int, frame: Frame) -> None:
        self.network = network
        self.restart = restart
        self.frame = frame
        s = network.shape
        gates = network.gates[restart].masked_fill(~network.visible, NOT_A_CHOICE).argmax(1)
        number_gates = network.number_gates[restart].masked_fill(~network.visible_numbers, NOT_A_CHOICE).argmax(1)
        self._gates = iter(gates.tolist())
        self._number_gates = iter(number_gates.tolist())
        self._predicates = iter(network.predicates[restart].argmax(2).tolist())
        inputs = [Input("token", len(frame.tokens), tuple(range(len(frame.tokens))), frame.tokens)]
        if s.variables:
            words = network.embedding[restart].argmax(1).tolist()
            inputs = [Input(f"word_{v + 1}", s.width, tuple(row)) for v, row in enumerate(words)]
        inputs.append(Input("position", frame.length))
        self.nodes: list[Node] = list(inputs)
        self.stream = [node.name for node in inputs]
        self.sizes = {node.name: node.size for node in inputs}
        self.numbers = [ONE]
        self.ranges = {ONE: 2}

    def _read(self, count: int) -> list[str]:
        """Return the categories that the next gates choose."""
        return [self.stream[next(self._gates)] for _ in range(count)]

    def _read_numbers(self, count: int) -> list[str]:
        """Return the numbers that the next gates choose."""
        return [self.numbers[next(self._number_gates)] for _ in range(count)]

    def _wanted(self, query: str, key: str) -> tuple[int, ...]:
        """Return the wanted keys of the next predicate."""
        row = next(self._predicates)[: self.sizes[query]]
        return tuple(value if value < self.sizes[key] else NOTHING for value in row)

    def add_heads(self, layer: int) -> None:
        """Add the attention heads of a layer, those that copy before those that count."""
        s = self.network.shape
        queries = self._read(s.heads + s.counters)
        keys = self._read(s.heads + s.counters)
        values = self._read(s.heads)
        summed = self._read_numbers(s.counters)
        for h, (query, key, value) in enumerate(zip(queries, keys, values, strict=False)):
            name = f"head_{layer + 1}_{h + 1}"
            self.nodes.append(Select(name, query, key, value, self._wanted(query, key)))
            self.sizes[name] = self.sizes[value]
        for h, (query, key, number) in enumerate(zip(queries[s.heads :], keys[s.heads :], summed, strict=True)):
            name = f"count_{layer + 1}_{h + 1}"
            value = None if number == ONE else number
            self.nodes.append(Count(name, query, key, value, self._wanted(query, key)))
            self.ranges[name] = self.frame.length * (self.ranges[number] - 1) + 1
        self.stream += [f"head_{layer + 1}_{h + 1}" for h in range(s.heads)]
        self.numbers += [f"count_{layer + 1}_{h + 1}" for h in range(s.counters)]

    def add_tables(self, layer: int) -> None:
        """Add the tables of a layer, those of categories before those of numbers."""
        s = self.network.shape
        names = []
        for m in range(s.tables):
            one, two = self._read(2)
            entries = self._entries(layer, m, CATEGORIES, (self.sizes[one], self.sizes[two]))
            names.append(f"table_{layer + 1}_{m + 1}")
            self.nodes.append(Table(names[-1], (one, two), s.width, tuple(entries.tolist())))
        for m in range(s.number_tables):
            reads = self._read_numbers(2)
            size = self.ranges[reads[0]], self.ranges[reads[1]]
            names.append(f"tally_{layer + 1}_{m + 1}")
            check_table_size(names[-1], size[0] * size[1])
            entries = self._entries(layer, m, NUMBERS, size).view(size)
            for axis, read in enumerate(reads):
                entries = entries.select(axis, 1).unsqueeze(axis) if read == ONE else entries
            variables = tuple(read for read in reads if read != ONE)
            self.nodes.append(Table(names[-1], variables, s.width, tuple(entries.flatten().tolist())))
        self.stream += names
        self.sizes |= dict.fromkeys(names, s.width)

    @torch.no_grad()
    def _entries(self, layer: int, m: int, kind: int, sizes: tuple[int, int]) -> Tensor:
        """Return ``(product of sizes,)`` the output of table m of a layer for each pair of values."""
        network = self.network
        s = network.shape
        first, second = torch.cartesian_prod(*(torch.arange(size, device=network.gates.device) for size in sizes)).T
        eye = torch.eye(s.width, dtype=network.gates.dtype, device=first.device)
        at = self.restart, layer * (s.number_tables if kind == NUMBERS else s.tables) + m
        outputs = []
        for a, b in zip(first.split(CHUNK), second.split(CHUNK), strict=True):
            if kind == CATEGORIES and s.direct:
                logits = network.entries[at][:, a * s.width + b]
            else:
                read = torch.stack([a, b]).to(network.gates) if kind == NUMBERS else torch.cat([eye[:, a], eye[:, b]])
                hidden = (network.first[kind][at] @ read + network.first_bias[kind][at]).relu()
                logits = network.second[kind][at] @ hidden + network.second_bias[kind][at]
            outputs.append(logits.argmax(0).cpu())
        return torch.cat(outputs)
