"""A learned policy of corrections: which concept group should a person be asked for next?

Espinosa Zarlenga et al., Learning to Receive Help: Intervention-Aware Concept Embedding Models, NeurIPS 2023.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

FIRST_HORIZON = 2.0  # longest trajectory of corrections at the start of training
GROWTH = 1.005  # of the horizon, in each step of training


class CorrectionPolicy(nn.Module):
    """An MLP from embeddings and what is set to a score of each concept group.

    Batch normalization precedes each layer, as published; a batch of one input, which has no variance, is normalized by
    the running statistics.

    Args:
        inputs: entries of all mixed embeddings of an input.
        groups: g.
        hidden: widths of the hidden layers.

    Attributes:
        horizon: longest trajectory of the present step of training.

    Example:
        >>> policy = CorrectionPolicy(12, 3, [8]).eval()
        >>> policy(torch.zeros(5, 12), torch.zeros(5, 3)).shape
        torch.Size([5, 3])
    """

    horizon: Tensor

    def __init__(self, inputs: int, groups: int, hidden: Sequence[int]) -> None:
        super().__init__()
        widths = [inputs + groups, *hidden, groups]
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths[:-1])
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.register_buffer("horizon", torch.tensor(FIRST_HORIZON))

    def forward(self, embeddings: Tensor, chosen: Tensor) -> Tensor:
        """Return the scores ``(b, g)`` from embeddings ``(b, inputs)`` and 1 for each group that is set ``(b, g)``."""
        h = torch.cat([embeddings, chosen.to(embeddings)], 1)
        for place, (norm, layer) in enumerate(zip(self.norms, self.layers, strict=True)):
            h = layer(_normalized(norm, nn.functional.leaky_relu(h) if place else h))
        return h

    @torch.no_grad()
    def lengthen(self, limit: int) -> int:
        """Return the longest trajectory of this step of training, and lengthen that of the next up to ``limit``."""
        longest = min(int(self.horizon), limit)
        self.horizon.mul_(GROWTH).clamp_(max=float(limit))
        return longest


def _normalized(norm: nn.Module, h: Tensor) -> Tensor:
    assert isinstance(norm, nn.BatchNorm1d)
    if len(h) > 1:
        return norm(h)
    return nn.functional.batch_norm(h, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)


def random_start(allowed: Tensor, rate: float, longest: int) -> Tensor:
    """Return the groups ``(b, g)`` bool that are set before a trajectory: by RandInt, and up to ``longest`` more.

    Args:
        allowed: ``(b, g)`` bool, groups that can be set.
        rate: probability of each group, drawn for each sample.
        longest: largest number of further groups; each sample draws its own, from 0.
    """
    b = len(allowed)
    by_rate = torch.rand(allowed.shape, device=allowed.device) < rate
    place = torch.rand(allowed.shape, device=allowed.device).argsort(1).argsort(1)
    further = torch.randint(longest + 1, (b, 1), device=allowed.device)
    return (by_rate | (place < further)) & allowed


def straight_through(scores: Tensor, allowed: Tensor) -> Tensor:
    """Draw one allowed group of each sample by its scores; the gradient is that of the Gumbel softmax.

    Args:
        scores: ``(b, g)``
        allowed: ``(b, g)`` bool.

    Returns:
        ``(b, g)`` of 0 and 1; 0 in rows that allow nothing.

    Example:
        >>> allowed = torch.tensor([[False, True], [False, False]])
        >>> straight_through(torch.zeros(2, 2), allowed).tolist()
        [[0.0, 1.0], [0.0, 0.0]]
    """
    masked = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    return nn.functional.gumbel_softmax(masked, tau=1.0, hard=True) * allowed.any(1, keepdim=True)
