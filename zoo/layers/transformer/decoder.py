"""A decoder-only transformer whose every intermediate value can be read or set while it is computed.

Rotary positions (Su et al., RoFormer, 2021); the blocks and the places of a visit are in
``zoo.layers.transformer.block``. Letters: b sequences, t tokens, c vocabulary, d width, l layers, h heads, e width of a
head, m hidden width of the MLP, n versions of one position.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from zoo.layers.transformer.attention import turning
from zoo.layers.transformer.block import EPS, Activation, Block, BlockMlp, Blocks, Mlp, Visit, same


class Cache(NamedTuple):
    """``keys`` and ``values`` ``(b, l, h, t, e)`` of positions already computed."""

    keys: Tensor
    values: Tensor


class Decoder(nn.Module):
    """Embedding, blocks, final norm, linear unembedding.

    Args:
        vocabulary: c.
        context: largest number of positions.
        width: d.
        depth: l.
        heads: h.
        mlp: function from the layer number to the MLP of its block; None for ``Mlp(width, hidden, activation)``.
        hidden: m; 0 for 4 d (8/3 d with ``swiglu``, for as many weights).
        activation: of the MLP.
        rotary_base: ratio between the fastest and the slowest rotation of positions.
        rotary_fastest: angle of the fastest rotation from one token to the next; pi distinguishes odd from even.
        dropout: of the output of each sub-layer.

    Raises:
        ValueError: if a size is out of range or ``width`` does not divide into heads of even width.

    Example:
        >>> decoder = Decoder(10, 6, width=8, depth=2, heads=2)
        >>> decoder(torch.zeros(3, 6, dtype=torch.int64)).shape
        torch.Size([3, 6, 10])
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
        mlp: Callable[[int], BlockMlp] | None = None,
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
            raise ValueError(f"hidden is {hidden}; expected 0 for the default width, or more")
        hidden = hidden or (round(8 / 3 * width) if activation == "swiglu" else 4 * width)
        make = mlp or (lambda layer: Mlp(width, hidden, activation))
        self.context = context
        self.vocabulary = vocabulary
        self.embed = nn.Embedding(vocabulary, width)
        self.blocks = Blocks(Block(width, heads, make(layer), dropout) for layer in range(depth))
        self.norm = nn.RMSNorm(width, eps=EPS)
        self.head = nn.Linear(width, vocabulary, bias=False)
        turns = turning(context, width // heads // 2, base=rotary_base, fastest=rotary_fastest)
        self.register_buffer("turns", turns, persistent=False)
        self._initialize()

    def _initialize(self) -> None:
        """Scale what adds to the stream by 1 / sqrt(2 l); a zero unembedding makes the first prediction uniform."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
        for name, parameter in self.blocks.named_parameters():
            if name.endswith(("out.weight", "mlp.out")):
                parameter.data.mul_((2 * len(self.blocks)) ** -0.5)
        nn.init.normal_(self.embed.weight, std=0.5)
        nn.init.zeros_(self.head.weight)

    def forward(self, tokens: Tensor, visit: Visit = same) -> Tensor:
        """Return next-token logits ``(b, t, c)`` at every position of ``tokens`` ``(b, t)``."""
        return self.read(self.run(tokens, visit)[0])

    def run(self, tokens: Tensor, visit: Visit = same, *, keep: bool = False) -> tuple[Tensor, Cache | None]:
        """Return the stream ``(b, t, d)`` after the last block, and with ``keep`` the keys and values of all layers."""
        x = self.embed(tokens)
        turn = self.turns[: tokens.shape[1]]
        kept: list[tuple[Tensor, Tensor]] = []
        for layer, block in enumerate(self.blocks):
            mix, k, v = block.attention(block.norm1(x), turn)
            x = block.finish(x, mix, visit, layer)
            if keep:
                kept.append((k, v))
        return x, _cache(kept) if keep else None

    def step(
        self, tokens: Tensor, at: Tensor, past: Cache, visit: Visit = same, *, versions: int = 1
    ) -> tuple[Tensor, Cache]:
        """Compute one position of each sequence from the keys and values of the positions before it.

        Args:
            tokens: ``(b,)`` the token at the position.
            at: ``(b,)`` the position.
            past: keys and values; entries from ``at`` on are not read.
            visit: gets values ``(n, b, ...)`` and can make the versions differ.
            versions: n.

        Returns:
            The stream ``(n, b, d)``; keys and values ``(b, l, h, 1, e)`` of the first version.
        """
        x = self.embed(tokens).expand(versions, -1, -1)
        turn = self.turns[at]
        kept: list[tuple[Tensor, Tensor]] = []
        known = torch.arange(past.keys.shape[3], device=at.device) < at[:, None]
        for layer, block in enumerate(self.blocks):
            of_layer = past.keys[:, layer], past.values[:, layer]
            mix, k, v = block.attention.step(block.norm1(x), turn, of_layer, known)
            x = block.finish(x, mix, visit, layer)
            kept.append((k[0, :, :, None], v[0, :, :, None]))
        return x, _cache(kept)

    def read(self, stream: Tensor) -> Tensor:
        """Return the logits ``(..., c)`` of the stream ``(..., d)``."""
        return self.head(self.norm(stream))

    def readout(self, stream: Tensor, target: Tensor) -> Tensor:
        """Return directions ``(b, d)`` of the stream ``(b, d)`` whose inner product with it is the logit of ``target``.

        The scale of the final norm is held constant at its value for ``stream``, so the logit is also the sum over the
        inner products of everything that was added to the stream.
        """
        size = stream.square().mean(-1, keepdim=True).add(EPS).rsqrt()
        return self.head.weight[target] * self.norm.weight * size


def _cache(kept: list[tuple[Tensor, Tensor]]) -> Cache:
    """Stack keys and values of the layers."""
    keys, values = zip(*kept, strict=True)
    return Cache(torch.stack(keys, 1), torch.stack(values, 1))
