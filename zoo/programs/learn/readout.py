"""Linear read-outs of many restarts."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ReadOut(nn.Module):
    """Linear read-outs of restarts: weight ``(r, c, u)``, bias ``(r, c)``.

    Args:
        restarts: r.
        classes: c.
        units: u.
    """

    def __init__(self, restarts: int, classes: int, units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(restarts, classes, units) / classes**0.5)
        self.bias = nn.Parameter(torch.zeros(restarts, classes))

    @torch.no_grad()
    def become(self, weight: Tensor, bias: Tensor) -> None:
        """Replace the read-outs of the restarts by one, ``(c, u)`` and ``(c,)``."""
        self.weight = nn.Parameter(weight[None].clone().to(self.weight))
        self.bias = nn.Parameter(bias[None].clone().to(self.bias))


def read_out(weight: Tensor, bias: Tensor, stream: Tensor, numbers: Tensor) -> Tensor:
    """Return the logits ``(r, c, p)`` at every position.

    Args:
        weight: ``(r, c, u)``
        bias: ``(r, c)``
        stream: ``(r, v, k, p)`` categories of ``Network``.
        numbers: ``(r, counters, p)`` numbers of ``Network``.

    Example:
        >>> read_out(torch.ones(1, 2, 5), torch.zeros(1, 2), torch.ones(1, 2, 2, 3), torch.ones(1, 1, 3)).shape
        torch.Size([1, 2, 3])
    """
    r = len(stream)
    split = stream.shape[1] * stream.shape[2]
    out = weight[..., :split] @ stream.view(r, split, -1) + bias[..., None]
    return out + weight[..., split:] @ numbers if numbers.shape[1] else out
