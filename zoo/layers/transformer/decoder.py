"""A decoder-only transformer whose every inner quantity can be seen or set while it computes.

Pre-norm blocks with RMS norms (Zhang and Sennrich, 2019), rotary positions (Su et al., RoFormer, 2021), no biases.
Letters: b sequences, t tokens, c vocabulary, d width, l layers, h heads, e width of a head, m hidden width of the MLP,
n versions of one position. A pass shows what it computes at named places to a function ``visit(layer, place, value)``
and goes on with what that returns, so that recording, quantising and intervening need no second copy of the network:

- ``mix`` ``(..., h, e)`` what each head gathered, before the output projection;
- ``attention`` ``(..., d)`` what attention adds to the residual stream;
- ``route`` ``(..., e)`` scores of the experts, where the MLP is made of experts;
- ``hidden`` ``(..., m)`` hidden units of the MLP, after the activation;
- ``mlp`` ``(..., d)`` what the MLP adds to the residual stream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.layers.transformer.attention import Attention, turning

Visit = Callable[[int, str, Tensor], Tensor]
Activation = Literal["relu", "gelu", "swiglu"]
EPS = 1e-6  # of the norms


def same(layer: int, place: str, value: Tensor) -> Tensor:
    """The visit that changes nothing."""
    return value


def wants(visit: Visit, place: str) -> bool:
    """Whether a visit wants to see a place that costs something to show: those of its ``places``, if it names them."""
    return visit is not same and place in getattr(visit, "places", (place,))


class Cache(NamedTuple):
    """``keys`` and ``values`` ``(b, l, h, t, e)`` of positions already computed."""

    keys: Tensor
    values: Tensor


class Mlp(nn.Module):
    """``W (f(V x))``, or with ``swiglu`` ``W (silu(V x) * U x)``.

    Args:
        width: d.
        hidden: m.
        activation: which.
    """

    def __init__(self, width: int, hidden: int, activation: Activation) -> None:
        super().__init__()
        self.activation = activation
        self.inner = nn.Linear(width, (2 if activation == "swiglu" else 1) * hidden, bias=False)
        self.out = nn.Linear(hidden, width, bias=False)

    @property
    def out_features(self) -> int:
        """Neurons: m."""
        return self.out.in_features

    def effects(self, direction: Tensor) -> Tensor:
        """What one of each neuron ``(..., m)`` adds along a direction ``(..., d)`` of the output."""
        return direction @ self.out.weight

    def hidden(self, x: Tensor) -> Tensor:
        """Hidden units ``(..., m)`` of ``(..., d)``."""
        inner = self.inner(x)
        if self.activation == "swiglu":
            gate, value = inner.chunk(2, dim=-1)
            return F.silu(gate) * value
        return F.relu(inner) if self.activation == "relu" else F.gelu(inner)

    def forward(self, x: Tensor, visit: Visit, layer: int) -> Tensor:
        """``(..., d)`` of ``(..., d)``."""
        return self.out(visit(layer, "hidden", self.hidden(x)))


class Block(nn.Module):
    """Attention, then an MLP, each with its norm before it, each adding to the stream."""

    def __init__(self, width: int, heads: int, mlp: nn.Module, dropout: float) -> None:
        super().__init__()
        self.norm1, self.attention = nn.RMSNorm(width, eps=EPS), Attention(width, heads)
        self.norm2, self.mlp = nn.RMSNorm(width, eps=EPS), mlp
        self.dropout = nn.Dropout(dropout)

    def finish(self, x: Tensor, mix: Tensor, visit: Visit, layer: int) -> Tensor:
        """The stream ``(..., d)`` after the block, from the stream before it and the mix of its heads."""
        mix = visit(layer, "mix", mix)
        x = x + self.dropout(visit(layer, "attention", self.attention.out(mix.flatten(-2))))
        return x + self.dropout(visit(layer, "mlp", self.mlp(self.norm2(x), visit, layer)))


class Decoder(nn.Module):
    """Embedding, blocks, final norm, linear read-out.

    Args:
        vocabulary: c.
        context: positions at most.
        width: d.
        depth: l.
        heads: h.
        mlp: makes the MLP of a block; None for ``Mlp(width, hidden, activation)``.
        hidden: m; 0 for 4 d (8/3 d with ``swiglu``, for as many weights).
        activation: of the MLP.
        rotary_base: ratio between the fastest and the slowest turn of positions.
        rotary_fastest: angle by which the fastest pair turns from one token to the next; pi tells odd from even.
        dropout: of what each sub-layer adds.

    Raises:
        ValueError: if a size is out of range or ``width`` does not divide into heads of even width.
    """

    turns: Tensor

    def __init__(
        self,
        vocabulary: int,
        context: int,
        *,
        width: int,
        depth: int,
        heads: int,
        mlp: Callable[[int], nn.Module] | None = None,
        hidden: int = 0,
        activation: Activation = "gelu",
        rotary_base: float = 1e4,
        rotary_fastest: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        sizes = {"vocabulary": vocabulary, "context": context, "width": width, "depth": depth, "heads": heads}
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"{name} is {value}; expected at least 1")
        if width % (2 * heads):
            raise ValueError(f"width is {width}; expected a multiple of twice the {heads} heads")
        if hidden < 0:
            raise ValueError(f"hidden is {hidden}; expected 0 for the usual width, or more")
        hidden = hidden or (round(8 / 3 * width) if activation == "swiglu" else 4 * width)
        make = mlp or (lambda layer: Mlp(width, hidden, activation))
        self.context, self.vocabulary = context, vocabulary
        self.embed = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(Block(width, heads, make(layer), dropout) for layer in range(depth))
        self.norm = nn.RMSNorm(width, eps=EPS)
        self.head = nn.Linear(width, vocabulary, bias=False)
        turns = turning(context, width // heads // 2, base=rotary_base, fastest=rotary_fastest)
        self.register_buffer("turns", turns, persistent=False)
        self._start()

    def _start(self) -> None:
        """Initial weights: what adds to the stream is small for its depth, and the first answer is uniform."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
        for name, parameter in self.blocks.named_parameters():
            if name.endswith(("out.weight", "mlp.out")):
                parameter.data.mul_((2 * len(self.blocks)) ** -0.5)
        nn.init.normal_(self.embed.weight, std=0.5)
        nn.init.zeros_(self.head.weight)

    def forward(self, tokens: Tensor, visit: Visit = same) -> Tensor:
        """Logits ``(b, t, c)`` of the next token at every position of ``tokens`` ``(b, t)``."""
        return self.read(self.run(tokens, visit)[0])

    def run(self, tokens: Tensor, visit: Visit = same, *, keep: bool = False) -> tuple[Tensor, Cache | None]:
        """The stream ``(b, t, d)`` after the last block, and, if asked, what later positions need of it."""
        x, turn, kept = self.embed(tokens), self.turns[: tokens.shape[1]], []
        for layer, block in enumerate(self.blocks):
            mix, k, v = block.attention(block.norm1(x), turn)
            x = block.finish(x, mix, visit, layer)
            kept += [(k, v)] if keep else []
        return x, Cache(*(torch.stack(part, 1) for part in zip(*kept, strict=True))) if keep else None

    def step(
        self, tokens: Tensor, at: Tensor, past: Cache, visit: Visit = same, *, versions: int = 1
    ) -> tuple[Tensor, Cache]:
        """One position of each sequence against what is known of those before it.

        Args:
            tokens: ``(b,)`` the token there.
            at: ``(b,)`` its position.
            past: keys and values; entries from ``at`` on are not read.
            visit: sees ``(n, b, ...)``, and may make the versions differ.
            versions: n.

        Returns:
            The stream ``(n, b, d)``; keys and values ``(b, l, h, 1, e)`` of the first version.
        """
        x, turn, kept = self.embed(tokens).expand(versions, -1, -1), self.turns[at], []
        known = torch.arange(past.keys.shape[3], device=at.device) < at[:, None]
        for layer, block in enumerate(self.blocks):
            of_layer = past.keys[:, layer], past.values[:, layer]
            mix, k, v = block.attention.step(block.norm1(x), turn, of_layer, known)
            x = block.finish(x, mix, visit, layer)
            kept.append((k[0, :, :, None], v[0, :, :, None]))
        return x, Cache(*(torch.stack(part, 1) for part in zip(*kept, strict=True)))

    def read(self, stream: Tensor) -> Tensor:
        """Logits ``(..., c)`` of the stream ``(..., d)``."""
        return self.head(self.norm(stream))

    def readout(self, stream: Tensor, target: Tensor) -> Tensor:
        """Directions ``(b, d)``: what is added to the stream ``(b, d)`` along them adds to the logit of ``target``.

        The scale of the final norm is held at what it is for ``stream``; so ``stream @ direction`` is the logit itself,
        and so is the sum over everything that was ever added to the stream.
        """
        size = stream.square().mean(-1, keepdim=True).add(EPS).rsqrt()
        return self.head.weight[target] * self.norm.weight * size
