"""Rows of samples: spread over a batch, the strongest of each unit, and the agreement of two sets of rows."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.metrics._correlation import spearman


def spread(rows: Tensor, chosen: Tensor | None) -> Tensor:
    """Return rows of chosen samples as rows of all samples of the batch, 0 for the others.

    A sum over samples stays as it is; the rows line up with the sample ids of the batch, as a bootstrap needs them.

    Args:
        rows: ``(n, ...)`` of the n chosen samples.
        chosen: ``(b,)`` bool; None if the rows are those of all samples.

    Example:
        >>> spread(torch.tensor([5, 7]), torch.tensor([True, False, True]))
        tensor([5, 0, 7])
    """
    if chosen is None:
        return rows
    chosen = chosen.to(rows.device)
    out = rows.new_zeros(len(chosen), *rows.shape[1:])
    out[chosen] = rows
    return out


def rows_by_unit(rows: Tensor, unit: Tensor, like: Tensor) -> Tensor:
    """Rows ``(n, f)`` of units ``(n,)`` as ``(u, m, f)``, filled with rows of no sample."""
    order = unit.argsort(stable=True)
    number = torch.bincount(unit, minlength=len(like))
    place = torch.arange(len(unit), device=unit.device) - (number.cumsum(0) - number)[unit[order]]
    out = like.new_zeros(len(like), int(number.max()), like.shape[2])
    out[..., 0], out[..., 1] = -torch.inf, -1
    out[unit[order], place] = rows[order]
    return out


def strongest(rows: Tensor, top: int) -> Tensor:
    """The strongest of rows ``(u, m, f)``, each sample once; of equal strengths the lower sample."""
    rows = _sorted(rows, rows[..., 1])
    again = torch.zeros_like(rows[..., 1], dtype=torch.bool)
    again[:, 1:] = (rows[:, 1:, 1] == rows[:, :-1, 1]) & (rows[:, 1:, 1] >= 0)
    return _sorted(rows, -rows[..., 0].masked_fill(again, -torch.inf))[:, :top]


def _sorted(rows: Tensor, by: Tensor) -> Tensor:
    return rows.gather(1, by.argsort(dim=1, stable=True)[..., None].expand(rows.shape))


def merge_strongest(states: Tensor) -> Tensor:
    """One of the states of several processes ``(n, u, top, f)``."""
    return strongest(states.transpose(0, 1).flatten(1, 2), states.shape[2])


def overlap(one: Tensor, two: Tensor, top: int) -> Tensor:
    """Jaccard overlap ``(b,)`` of the ``top`` largest entries above 0 of the rows of two ``(b, u)``; 1 if none are."""
    sets = []
    for x in (one, two):
        first = x.argsort(dim=1, descending=True, stable=True)[:, :top]
        sets.append(torch.zeros_like(x, dtype=torch.bool).scatter_(1, first, True) & (x > 0))
    both, either = (sets[0] & sets[1]).sum(1), (sets[0] | sets[1]).sum(1)
    return torch.where(either > 0, both.double() / either.clamp_min(1), 1)


def agreement(one: Tensor, two: Tensor) -> Tensor:
    """Spearman's correlation ``(b,)`` of the rows of two ``(b, u)``; 1 where both are constant, 0 where one is."""
    flat = [(x == x[:, :1]).all(1) for x in (one, two)]
    return torch.where(flat[0] | flat[1], (flat[0] & flat[1]).double(), spearman(one, two))


def cosine(one: Tensor, two: Tensor) -> Tensor:
    """Cosine ``(b,)`` of the rows of two ``(b, u)``; 1 where both are zero, 0 where one is."""
    scaled = [x / x.abs().amax(1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny) for x in (one, two)]
    zero = [~x.any(1) for x in scaled]
    value = (scaled[0] * scaled[1]).sum(1) / (scaled[0].square().sum(1) * scaled[1].square().sum(1)).sqrt()
    return torch.where(zero[0] | zero[1], (zero[0] & zero[1]).double(), value)
