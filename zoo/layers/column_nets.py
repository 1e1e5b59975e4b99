"""One small network for each column, all columns and members of an ensemble computed together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

HiddenUnits = Literal["relu", "exu"]
EXU_LIMIT = 1.0  # activations of exp-centered units are clipped to 0 to 1
EXU_MEAN, EXU_STD = 3.0, 0.5  # of the logarithm of their slopes
CENTER_STD = 0.5


class ColumnNets(nn.Module):
    """Networks of one number for d columns and m members; c outputs each.

    Args:
        columns: d.
        outputs: c.
        members: m.
        hidden: widths of the hidden layers; the first has the chosen units, the others are ReLU.
        units: of the first layer: ``relu``, ``max(0, w (x - b))``, or ``exu``, ``exp(w) (x - b)`` clipped to 0 to 1,
            which learns jumps.
        dropout: of the hidden layers.

    Example:
        >>> ColumnNets(3, 2, members=4, hidden=[8])(torch.zeros(5, 3)).shape
        torch.Size([4, 5, 3, 2])
    """

    def __init__(
        self,
        columns: int,
        outputs: int,
        *,
        members: int = 1,
        hidden: Sequence[int] = (64, 32),
        units: HiddenUnits = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if units not in get_args(HiddenUnits):
            raise ValueError(f"units is {units!r}; expected {' or '.join(get_args(HiddenUnits))}")
        if not hidden or min(hidden) < 1 or members < 1:
            raise ValueError(f"hidden is {list(hidden)}, members {members}; expected widths and a number of 1 or more")
        self.units = units
        self.dropout = nn.Dropout(dropout)
        first = hidden[0]
        slope = torch.randn(members, columns, first)
        self.slope = nn.Parameter(EXU_MEAN + EXU_STD * slope if units == "exu" else 2 * slope)
        self.center = nn.Parameter(CENTER_STD * torch.randn(members, columns, first))
        sizes = [*hidden, outputs]
        self.weights = nn.ParameterList(
            torch.randn(members, columns, a, b) * math.sqrt((2 if i < len(hidden) - 1 else 1) / a)
            for i, (a, b) in enumerate(zip(sizes[:-1], sizes[1:], strict=True))
        )
        self.biases = nn.ParameterList(torch.zeros(members, columns, b) for b in hidden[1:])

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs ``(m, b, d, c)`` of numbers ``(b, d)``."""
        inner = x[None, :, :, None] - self.center[:, None]
        if self.units == "exu":
            state = (self.slope.exp()[:, None] * inner).clamp(0, EXU_LIMIT)
        else:
            state = (self.slope[:, None] * inner).relu()
        for weight, bias in zip(self.weights[:-1], self.biases, strict=True):
            state = torch.einsum("mbdi,mdio->mbdo", self.dropout(state), weight) + bias[:, None]
            state = state.relu()
        return torch.einsum("mbdi,mdio->mbdo", self.dropout(state), self.weights[-1])
