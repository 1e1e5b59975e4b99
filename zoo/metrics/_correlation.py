"""Correlations of the rows of two tables."""

from __future__ import annotations

import torch
from torch import Tensor

SLACK = 1e-12  # a variance below this, relative to the mean square, is rounding


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Correlation of the rows of two ``(n, m)`` float64 tables, ``(n,)``; NaN for a row that does not vary."""
    parts = []
    for values in (a, b):
        middle = values - values.mean(1, keepdim=True)
        size = middle.square().sum(1)
        parts.append((middle, torch.where(size > SLACK * values.square().sum(1), size, torch.nan)))
    (a, size_a), (b, size_b) = parts
    return ((a * b).sum(1) / (size_a * size_b).sqrt()).clamp(-1, 1)


def spearman(a: Tensor, b: Tensor) -> Tensor:
    """Rank correlation ``(n,)`` of the rows of two ``(n, m)`` tables; ties share their mean rank, NaN if all do."""
    return pearson(*(_mean_ranks(values) for values in (a, b)))


def _mean_ranks(values: Tensor) -> Tensor:
    values = values.contiguous()
    line = values.sort(1).values
    return (torch.searchsorted(line, values) + torch.searchsorted(line, values, right=True)).double() / 2
