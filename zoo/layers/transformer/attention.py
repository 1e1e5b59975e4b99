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

    Example:
        >>> turn = turning(5, 2, base=1e4, fastest=1.0)
        >>> mix, keys, values = Attention(8, heads=2)(torch.zeros(3, 5, 8), turn)
        >>> mix.shape, keys.shape
        (torch.Size([3, 5, 2, 4]), torch.Size([3, 2, 5, 4]))
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def split(self, x: Tensor, turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return rotated queries and keys, values, ``(..., h, e)`` of ``(..., d)``; ``turn`` ``(..., 1, 2, e/2)``."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        return rotate(q, turn), rotate(k, turn), v

    def forward(self, x: Tensor, turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the mix ``(b, t, h, e)``, keys and values ``(b, h, t, e)`` of ``x`` ``(b, t, d)``."""
        q, k, v = (part.transpose(1, 2) for part in self.split(x, turn))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2), k, v

    def step(
        self, x: Tensor, turn: Tensor, past: tuple[Tensor, Tensor], known: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return mix, key and value ``(n, b, h, e)`` of one position of each sequence, ``x`` ``(n, b, d)``.

        Args:
            x: n versions of the position.
            turn: ``(b, 1, 2, e/2)``.
            past: keys and values ``(b, h, t, e)``, shared by the versions.
            known: ``(b, t)`` bool, which entries of ``past`` lie before the position.
        """
        q, k, v = self.split(x, turn)
        keys, values = past
        score = torch.einsum("nbhe,bhte->nbht", q, keys).masked_fill(~known[:, None], -math.inf)
        score = torch.cat([score, (q * k).sum(-1, keepdim=True)], -1) / math.sqrt(q.shape[-1])
        weight = score.softmax(-1)
        return torch.einsum("nbht,bhte->nbhe", weight[..., :-1], values) + weight[..., -1:] * v, k, v


def turning(context: int, pairs: int, *, base: float, fastest: float) -> Tensor:
    """Return cosine and sine ``(context, 1, 2, pairs)`` of the rotation angles of positions.

    Pair i rotates by ``fastest * base^(-i / pairs)`` from one position to the next.
    """
    speed = fastest * base ** -(torch.arange(pairs, dtype=torch.float64) / pairs)
    angle = torch.arange(context, dtype=torch.float64)[:, None] * speed
    return torch.stack([angle.cos(), angle.sin()], 1)[:, None].float()


def rotate(x: Tensor, turn: Tensor) -> Tensor:
    """Rotate the coordinate pairs (i, i + e/2) of ``x`` ``(..., h, e)``; ``turn`` has their cosine and sine."""
    cos, sin = turn.unbind(-2)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)
