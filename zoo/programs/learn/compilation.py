"""From a trained network to a program."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from zoo.programs.ir.nodes import Count, Input, Node, Select, Table
from zoo.programs.ir.program import LARGEST, Program
from zoo.programs.learn.network import OUT, Network
from zoo.sequence_spec import NOTHING, Frame


def compile_network(
    network: Network, restart: int, frame: Frame, classes: tuple[str, ...], weight: Tensor, bias: Tensor
) -> Program:
    """The program that a restart is once every choice of it is the largest.

    Args:
        network: trained or not.
        restart: which.
        frame: what sequences look like.
        classes: c names.
        weight: ``(c, shape.units)`` read-out of that restart.
        bias: ``(c,)``

    Raises:
        ValueError: if a table of numbers would be too large.
    """
    s = network.shape
    gates, number_gates, predicates, embedding = _choices(network, restart)
    position = Input("position", frame.length)
    if embedding is None:
        nodes: list[Node] = [Input("token", len(frame.tokens), tuple(range(len(frame.tokens))), frame.tokens)]
    else:
        nodes = [Input(f"word_{v + 1}", s.width, tuple(row)) for v, row in enumerate(embedding)]
    nodes.append(position)
    stream, numbers = [n.name for n in nodes], ["one"]
    sizes = {n.name: n.size for n in nodes if isinstance(n, Input)}
    ranges = {"one": 2}  # the constant is read as a number that is always 1

    def wanted(query: str, key: str) -> tuple[int, ...]:
        return tuple(w if w < sizes[key] else NOTHING for w in next(predicates)[: sizes[query]])

    for layer in range(s.layers):
        asks, keys, values = ([stream[next(gates)] for _ in range(m)] for m in (s.heads + s.counters,) * 2 + (s.heads,))
        adds = [numbers[next(number_gates)] for _ in range(s.counters)]
        born: list[Node] = []
        for h in range(s.heads):
            node = Select(f"head_{layer + 1}_{h + 1}", asks[h], keys[h], values[h], wanted(asks[h], keys[h]))
            sizes[node.name] = sizes[node.value]
            born.append(node)
        for h in range(s.counters):
            query, key = asks[s.heads + h], keys[s.heads + h]
            add = None if adds[h] == "one" else adds[h]
            count = Count(f"count_{layer + 1}_{h + 1}", query, key, add, wanted(query, key))
            ranges[count.name] = frame.length * (ranges[adds[h]] - 1) + 1
            born.append(count)
        nodes += born
        stream += [n.name for n in born if isinstance(n, Select)]
        numbers += [n.name for n in born if isinstance(n, Count)]
        born = []
        for m in range(s.tables):
            reads = stream[next(gates)], stream[next(gates)]
            entries = _entries(network, restart, layer, m, kind=0, sizes=(sizes[reads[0]], sizes[reads[1]]))
            born.append(Table(f"table_{layer + 1}_{m + 1}", reads, s.width, tuple(entries)))
        for m in range(s.number_tables):
            reads = numbers[next(number_gates)], numbers[next(number_gates)]
            name = f"tally_{layer + 1}_{m + 1}"
            size = ranges[reads[0]], ranges[reads[1]]
            _check(name, size)
            entries = torch.tensor(_entries(network, restart, layer, m, kind=1, sizes=size)).view(size)
            for axis, read in enumerate(reads):
                entries = entries.select(axis, 1).unsqueeze(axis) if read == "one" else entries
            kept = tuple(read for read in reads if read != "one")
            born.append(Table(name, kept, s.width, tuple(entries.flatten().tolist())))
        nodes += born
        stream += [n.name for n in born]
        sizes |= dict.fromkeys((n.name for n in born), s.width)
    reads = (*stream, *numbers[1:])
    return Program(
        frame,
        tuple(nodes),
        reads,
        classes,
        *_narrow(weight, bias, [sizes.get(n) for n in reads], s.width),
        causal=s.causal,
        pooled=s.pooled,
    )


def _check(name: str, size: tuple[int, int]) -> None:
    if size[0] * size[1] > LARGEST:
        raise ValueError(
            f"{name!r} would have {size[0] * size[1]} entries; at most {LARGEST}:"
            " use fewer layers, a shorter length, or counters that are not chained"
        )


def _narrow(weight: Tensor, bias: Tensor, sizes: list[int | None], width: int) -> tuple[Tensor, Tensor]:
    """Leave out the weights of values that a variable does not have; None for a number."""
    kept, at = [], 0
    for size in sizes:
        kept += range(at, at + (1 if size is None else size))
        at += 1 if size is None else width
    return weight[:, kept], bias


@torch.no_grad()
def _choices(
    network: Network, restart: int
) -> tuple[Iterator[int], Iterator[int], Iterator[list[int]], list[list[int]] | None]:
    """Variable of each gate, number of each gate, wanted key of each predicate's rows, learned values of the tokens."""
    gates = network.gates[restart].masked_fill(~network.visible, OUT).argmax(1)
    numbers = network.number_gates[restart].masked_fill(~network.visible_numbers, OUT).argmax(1)
    table = network.embedding[restart].argmax(1).tolist() if network.shape.variables else None
    return iter(gates.tolist()), iter(numbers.tolist()), iter(network.predicates[restart].argmax(2).tolist()), table


@torch.no_grad()
def _entries(network: Network, restart: int, layer: int, m: int, *, kind: int, sizes: tuple[int, int]) -> list[int]:
    """Output for every pair of values ``sizes`` that table m of a layer may read, the second running fastest."""
    s = network.shape
    one, two = torch.cartesian_prod(*(torch.arange(size, device=network.gates.device) for size in sizes)).T
    found: list[int] = []
    for a, c in zip(one.split(1 << 16), two.split(1 << 16), strict=True):
        if kind == 0 and s.direct:
            logits = network.entries[restart, layer * s.tables + m][:, a * s.width + c]
        else:
            eye = torch.eye(s.width, dtype=network.gates.dtype, device=a.device)
            read = torch.stack([a, c]).to(network.gates) if kind else torch.cat([eye[:, a], eye[:, c]])
            at = restart, layer * (s.number_tables if kind else s.tables) + m
            hidden = (network.first[kind][at] @ read + network.first_bias[kind][at]).relu()
            logits = network.second[kind][at] @ hidden + network.second_bias[kind][at]
        found += logits.argmax(0).tolist()
    return found
