"""A transformer encoder: the blocks of ``zoo.layers.transformer.block`` without the causal mask.

Letters: s sequences, t tokens, c classes, d width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.layers.transformer.attention import turning
from zoo.layers.transformer.block import EPS, Activation, Block, Blocks, Mlp, same
from zoo.sequence_spec import NOTHING


class Encoder(nn.Module):
    """Embedding, blocks, final norm.

    Args:
        vocabulary: tokens.
        context: largest number of positions.
        width: d.
        depth: blocks.
        heads: of each block.
        hidden: width of the MLPs; 0 for 4 d.
        activation: of the MLPs.
        causal: a position attends only to itself and those before it.
        dropout: of the embedded words and of the output of each sub-layer.

    Raises:
        ValueError: if a size is out of range or ``width`` does not divide into heads of even width.

    Example:
        >>> encoder = Encoder(10, 6, width=8, depth=1, heads=2)
        >>> encoder(torch.tensor([[1, 2, 3, -1, -1, -1]])).shape
        torch.Size([1, 6, 8])
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
        hidden: int = 0,
        activation: Activation = "gelu",
        causal: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value in (("width", width), ("depth", depth), ("heads", heads)):
            if value < 1:
                raise ValueError(f"{name} is {value}; expected at least 1")
        if width % (2 * heads):
            raise ValueError(f"width is {width}; expected a multiple of twice the {heads} heads")
        self.causal = causal
        self.dropout = nn.Dropout(dropout)
        self.embed = nn.Embedding(vocabulary, width)
        mlps = (Mlp(width, hidden or 4 * width, activation) for _ in range(depth))
        self.blocks = Blocks(Block(width, heads, mlp, dropout) for mlp in mlps)
        self.norm = nn.RMSNorm(width, eps=EPS)
        turns = turning(context, width // heads // 2, base=1e4, fastest=1.0)
        self.register_buffer("turns", turns, persistent=False)
        nn.init.normal_(self.embed.weight, std=0.5)
        for name, parameter in self.blocks.named_parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
            if name.endswith("out.weight"):  # scale what adds to the stream
                parameter.data.mul_((2 * depth) ** -0.5)

    def forward(self, codes: Tensor) -> Tensor:
        """Return the stream ``(s, t, d)`` of sequences ``(s, t)`` padded with -1, undefined after their end."""
        t = codes.shape[1]
        mask = (codes != NOTHING)[:, None, None].expand(-1, 1, t, -1)
        mask = mask & torch.ones(t, t, dtype=torch.bool, device=codes.device).tril(0 if self.causal else t)
        mask = mask | torch.eye(t, dtype=torch.bool, device=codes.device)  # padding attends to itself only
        x = self.dropout(self.embed(codes.clamp_min(0)))
        turn = self.turns[:t]
        for layer, block in enumerate(self.blocks):
            q, k, v = (part.transpose(1, 2) for part in block.attention.split(block.norm1(x), turn))
            mix = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)
            x = block.finish(x, mix, same, layer)
        return self.norm(x)
