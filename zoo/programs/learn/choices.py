"""Logits of the choices of a relaxed network: which variables gates can choose, and which positions heads prefer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.programs.ir.interpreter import key_order
from zoo.programs.learn.sizes import Sizes

NOT_A_CHOICE = -1e9  # logit of a choice that does not exist
OWN_POSITION = -2.0  # added to the logit of a head's own position, behind all others


@dataclass(frozen=True)
class GateWidths:
    """For each gate, in the order of the network's parameters, how many variables it can choose from.

    Attributes:
        categories: of gates that choose categories.
        numbers: of gates that choose numbers.
    """

    categories: list[int]
    numbers: list[int]

    @classmethod
    def of(cls, sizes: Sizes) -> GateWidths:
        """Return the widths of the gates of a network."""
        categories: list[int] = []
        numbers: list[int] = []
        attending = sizes.heads + sizes.counters
        for layer in range(sizes.layers):
            categories += [sizes.categories(layer)] * (2 * attending + sizes.heads)
            categories += [sizes.categories(layer, after_heads=True)] * (2 * sizes.tables)
            numbers += [sizes.numbers(layer) if sizes.chained else 1] * sizes.counters
            numbers += [sizes.numbers(layer, after_heads=True)] * (2 * sizes.number_tables)
        return cls(categories, numbers)


def initial_gates(restarts: int, widths: list[int], max_width: int) -> Tensor:
    """Return random logits ``(r, g, max_width)`` of g gates, smaller for gates with more choices."""
    scale = torch.tensor(widths, dtype=torch.get_default_dtype()).rsqrt()[:, None]
    return torch.randn(restarts, len(widths), max_width) * scale


def gate_mask(widths: list[int], max_width: int) -> Tensor:
    """Return ``(g, max_width)`` bool: which choices each gate has.

    Example:
        >>> gate_mask([1, 2], 3).int().tolist()
        [[1, 0, 0], [1, 1, 0]]
    """
    return torch.arange(max_width) < torch.tensor(widths, dtype=torch.int64)[:, None]


def near_key_bias(length: int) -> Tensor:
    """Return ``(j, 1, i)`` what is added to the log of a match: falls with the rank of key j for query i."""
    rank = key_order(length, False).T[:, None] // length
    distance = (rank - 1).to(torch.get_default_dtype()) / (2 * max(1, length - 1))
    return torch.where(rank == 2 * length - 1, OWN_POSITION, -distance)
