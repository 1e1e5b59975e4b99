"""Causal attention with rotary positions (Su et al., RoFormer, 2021).

Letters: b sequences, t tokens, d width, h heads, e width of a head, n versions of one position.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Causal attention: whole sequences at once, or one new position against a cache.

    Args:
        width: d.
        heads: h.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def split(self, x: Tensor, turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Turned queries, turned keys, values, each ``(..., h, e)``, of ``(..., d)``; ``turn`` ``(..., 1, 2, e/2)``."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        return rotate(q, turn), rotate(k, turn), v

    def forward(self, x: Tensor, turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mix ``(b, t, h, e)``, keys and values ``(b, h, t, e)`` of ``x`` ``(b, t, d)``."""
        q, k, v = (part.transpose(1, 2) for part in self.split(x, turn))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2), k, v

    def step(
        self, x: Tensor, turn: Tensor, past: tuple[Tensor, Tensor], known: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mix, key and value ``(n, b, h, e)`` of one position of each sequence, ``x`` ``(n, b, d)``.

        Args:
            x: n versions of it.
            turn: ``(b, 1, 2, e/2)``.
            past: keys and values ``(b, h, t, e)``, shared by the versions.
            known: ``(b, t)`` bool, which of them lie before the position.
        """
        q, k, v = self.split(x, turn)
        keys, values = past
        score = torch.einsum("nbhe,bhte->nbht", q, keys).masked_fill(~known[:, None], -math.inf)
        score = torch.cat([score, (q * k).sum(-1, keepdim=True)], -1) / math.sqrt(q.shape[-1])
        share = score.softmax(-1)
        return torch.einsum("nbht,bhte->nbhe", share[..., :-1], values) + share[..., -1:] * v, k, v


def turning(context: int, pairs: int, *, base: float, fastest: float) -> Tensor:
    """Cosine and sine ``(context, 1, 2, pairs)`` of the angles of positions.

    Pair i turns by ``fastest * base^(-i / pairs)`` from one position to the next.
    """
    speed = fastest * base ** -(torch.arange(pairs, dtype=torch.float64) / pairs)
    angle = torch.arange(context, dtype=torch.float64)[:, None] * speed
    return torch.stack([angle.cos(), angle.sin()], 1)[:, None].float()


def rotate(x: Tensor, turn: Tensor) -> Tensor:
    """``x`` ``(..., h, e)`` with coordinate pairs (i, i + e/2) turned; ``turn`` holds cosine and sine."""
    cos, sin = turn.unbind(-2)
    one, two = x.chunk(2, dim=-1)
    return torch.cat([one * cos - two * sin, two * cos + one * sin], -1)
