"""Pre-norm transformer blocks whose intermediate values can be read or set while they are computed.

RMS norms (Zhang and Sennrich, 2019), no biases. Letters: d width, h heads, e width of a head, m hidden width of the
MLP. A pass hands the values at named places to a function ``visit(layer, place, value)`` and continues with what that
returns, so that recording, quantizing and intervening need no second copy of the network:

- ``mix`` ``(..., h, e)`` the weighted values of each head, before the output projection;
- ``attention`` ``(..., d)`` what attention adds to the residual stream;
- ``route`` ``(..., e)`` scores of the experts, where the MLP is made of e experts;
- ``hidden`` ``(..., m)`` hidden units of the MLP, after the activation;
- ``mlp`` ``(..., d)`` what the MLP adds to the residual stream.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.layers.transformer.attention import Attention

Visit = Callable[[int, str, Tensor], Tensor]
Activation = Literal["relu", "gelu", "swiglu"]
EPS = 1e-6  # of the norms


def same(layer: int, place: str, value: Tensor) -> Tensor:
    """Return ``value``: the visit that changes nothing."""
    return value


def wants(visit: Visit, place: str) -> bool:
    """Return whether a visit reads a place that is costly to compute: one of its ``places``, if it names them."""
    return visit is not same and place in getattr(visit, "places", (place,))


class BlockMlp(nn.Module, ABC):
    """The second sub-layer of a block: neurons whose output weights are known.

    Attributes:
        activation: of the hidden units.
    """

    activation: str

    @property
    @abstractmethod
    def out_features(self) -> int:
        """Number of neurons."""

    @abstractmethod
    def effects(self, direction: Tensor) -> Tensor:
        """Return what activation 1 of each neuron ``(..., m)`` adds along a direction ``(..., d)`` of the output."""

    @abstractmethod
    def silence(self, neuron: int) -> None:
        """Set the output weights of one of the m neurons to 0, in place."""

    @abstractmethod
    def forward(self, x: Tensor, visit: Visit = same, layer: int = 0) -> Tensor:
        """Map ``(..., d)`` to ``(..., d)``."""


class Mlp(BlockMlp):
    """``W (f(V x))``, or with ``swiglu`` ``W (silu(V x) * U x)``.

    Args:
        width: d.
        hidden: m.
        activation: f.

    Example:
        >>> import torch
        >>> Mlp(4, 16, "relu")(torch.ones(2, 4)).shape
        torch.Size([2, 4])
    """

    def __init__(self, width: int, hidden: int, activation: Activation) -> None:
        super().__init__()
        self.activation = activation
        self.inner = nn.Linear(width, (2 if activation == "swiglu" else 1) * hidden, bias=False)
        self.out = nn.Linear(hidden, width, bias=False)

    @property
    def out_features(self) -> int:
        """Number of neurons: m."""
        return self.out.in_features

    def effects(self, direction: Tensor) -> Tensor:
        """Return what activation 1 of each neuron ``(..., m)`` adds along a direction ``(..., d)`` of the output."""
        return direction @ self.out.weight

    @torch.no_grad()
    def silence(self, neuron: int) -> None:
        """Set the output weights of one of the m neurons to 0, in place."""
        self.out.weight[:, neuron] = 0.0

    def hidden(self, x: Tensor) -> Tensor:
        """Return the hidden units ``(..., m)`` of ``(..., d)``."""
        inner = self.inner(x)
        if self.activation == "swiglu":
            gate, value = inner.chunk(2, dim=-1)
            return F.silu(gate) * value
        return F.relu(inner) if self.activation == "relu" else F.gelu(inner)

    def forward(self, x: Tensor, visit: Visit = same, layer: int = 0) -> Tensor:
        """Map ``(..., d)`` to ``(..., d)``."""
        return self.out(visit(layer, "hidden", self.hidden(x)))


class Block(nn.Module):
    """Attention, then an MLP, each after its own norm, each adding to the residual stream.

    Args:
        width: d.
        heads: h.
        mlp: the second sub-layer.
        dropout: of the output of each sub-layer.
    """

    mlp: BlockMlp

    def __init__(self, width: int, heads: int, mlp: BlockMlp, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.RMSNorm(width, eps=EPS)
        self.attention = Attention(width, heads)
        self.norm2 = nn.RMSNorm(width, eps=EPS)
        self.mlp = mlp
        self.dropout = nn.Dropout(dropout)

    def finish(self, x: Tensor, mix: Tensor, visit: Visit, layer: int) -> Tensor:
        """Return the stream ``(..., d)`` after the block, from the stream before it and the mix of its heads."""
        mix = visit(layer, "mix", mix)
        x = x + self.dropout(visit(layer, "attention", self.attention.out(mix.flatten(-2))))
        return x + self.dropout(visit(layer, "mlp", self.mlp(self.norm2(x), visit, layer)))


class Blocks(nn.ModuleList):
    """A list of blocks."""

    def __iter__(self) -> Iterator[Block]:
        """Iterate over the blocks."""
        return cast(Iterator[Block], super().__iter__())
