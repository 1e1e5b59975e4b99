"""Rows of samples: those of a part of a batch, and the strongest of each unit."""

from __future__ import annotations

import torch
from torch import Tensor


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
