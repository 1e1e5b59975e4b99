"""Concept embeddings: two vectors for each concept, mixed by its probability.

Espinosa Zarlenga et al., Concept Embedding Models, NeurIPS 2022.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConceptEmbeddings(nn.Module):
    """Two embeddings of each concept, for true and for false, and a scorer, shared by all concepts or one for each.

    Args:
        inputs: width d of the features.
        concepts: m.
        width: of one embedding.
        shared: whether all concepts have one scorer.
    """

    def __init__(self, inputs: int, concepts: int, width: int, *, shared: bool = True) -> None:
        super().__init__()
        self.shape = (concepts, 2 * width)
        self.context = nn.Linear(inputs, concepts * 2 * width)
        self.scorer = nn.Linear(2 * width, 1) if shared else Scorers(concepts, 2 * width)

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map features ``(b, d)`` to concept logits ``(b, m)`` and contexts ``(b, m, 2 * width)``: true, then false."""
        context = F.leaky_relu(self.context(h)).unflatten(-1, self.shape)
        return self.scorer(context)[..., 0], context


class Scorers(nn.Module):
    """A linear scorer of its own for each concept.

    Args:
        concepts: m.
        width: of a context.

    Example:
        >>> Scorers(3, 4)(torch.zeros(2, 3, 4)).shape
        torch.Size([2, 3, 1])
    """

    def __init__(self, concepts: int, width: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(width)  # as of nn.Linear
        self.weight = nn.Parameter(torch.empty(concepts, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(concepts).uniform_(-bound, bound))

    def forward(self, context: Tensor) -> Tensor:
        """Map contexts ``(..., m, width)`` to logits ``(..., m, 1)``."""
        return ((context * self.weight).sum(-1) + self.bias)[..., None]


def mix(context: Tensor, p: Tensor) -> Tensor:
    """Mix contexts ``(..., m, 2 * width)`` by ``p`` ``(..., m)``: p times the true embedding, 1 - p the false one.

    Example:
        >>> import torch
        >>> mix(torch.tensor([[1.0, 3.0]]), torch.tensor([0.25])).tolist()
        [[2.5]]
    """
    true, false = context.chunk(2, dim=-1)
    return false + p[..., None] * (true - false)
