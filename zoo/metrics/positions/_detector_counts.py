"""Units as detectors of properties: counts, the choice of a unit, precision and recall, precision at a given recall."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Detection(NamedTuple):
    """The unit ``(p,)`` chosen for each of p properties, with its precision and recall ``(p,)``."""

    unit: Tensor
    precision: Tensor
    recall: Tensor


def counts(on: Tensor, has: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Count how often units that are on or off coincide with properties.

    Args:
        on: ``(n, u)`` bool, which units are on at each position.
        has: ``(n, p)`` of 0 and 1, which properties it has.

    Returns:
        ``(p, u)`` both together, ``(u,)`` the unit, ``(p,)`` the property.

    Example:
        >>> both, unit, has = counts(torch.tensor([[True, False], [True, True]]), torch.tensor([[1], [0]]))
        >>> both.tolist(), unit.tolist(), has.tolist()
        ([[1.0, 0.0]], [2.0, 1.0], [1.0])
    """
    row, unit = on.nonzero(as_tuple=True)
    return counts_of_ids(row, unit, has, on.shape[1])


def counts_of_ids(row: Tensor, unit: Tensor, has: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``counts`` from the ids of the active units: few of many are active at a position.

    Args:
        row: ``(e,)`` position of each activation.
        unit: ``(e,)`` its unit.
        has: ``(n, p)`` of 0 and 1, which properties each position has.
        width: u.
    """
    position, prop = has.nonzero(as_tuple=True)
    if bool((has.sum(1) <= 1).all()):  # at most one property a position: a number for each pair with a unit
        of_row = torch.full((len(has),), -1, dtype=torch.int64)
        of_row[position] = prop
        known = of_row[row] >= 0
        pair = of_row[row][known] * width + unit[known]
        table = torch.bincount(pair, minlength=has.shape[1] * width).float().view(-1, width)
    else:
        table = torch.zeros(width, has.shape[1]).index_add_(0, unit, has[row].float()).T
    return table, torch.bincount(unit, minlength=width).float(), has.sum(0).float()


def best_by_f1(both: Tensor, unit: Tensor, has: Tensor) -> Tensor:
    """Return the unit ``(p,)`` with the highest F1 for each property, from ``counts``."""
    return (2 * both / (unit + has[:, None]).clamp_min(1)).argmax(1)


def judge(best: Tensor, both: Tensor, unit: Tensor, has: Tensor) -> Detection:
    """Return precision and recall of chosen units, from ``counts`` of other positions."""
    correct = both.gather(1, best[:, None])[:, 0]
    return Detection(best, correct / unit[best].clamp_min(1), correct / has.clamp_min(1))


def best_by_precision(both: Tensor, unit: Tensor, has: Tensor, *, min_recall: float = 0.01) -> Tensor:
    """Return the unit ``(p,)`` with the highest precision for each property among those of a recall above the minimum.

    Of equals, the one with the higher recall.
    """
    recall = both / has[:, None].clamp_min(1)
    return torch.where(recall > min_recall, both / unit.clamp_min(1) + 1e-4 * recall, recall - 1).argmax(1)


def at_recall_of(value: Tensor, has: Tensor) -> Callable[[Tensor], Tensor]:
    """Measure units of either sign as detectors by a threshold that reaches a given recall.

    The values are sorted once, for both signs and all recalls.

    Args:
        value: ``(n, u)``; a unit detects where it is at or above a threshold, or, with the opposite sign, at or below.
        has: ``(n, p)`` of 0 and 1, which properties each position has.

    Returns:
        A function from the recalls ``(p,)`` wanted for properties to precisions ``(p, 2 u)``, of the units and then of
        their negatives; NaN for a property that has no position.
    """
    columns = value.T.contiguous().numpy()
    ordered = torch.from_numpy(np.sort(columns, axis=1))
    n = ordered.shape[1]
    members = [has[:, p].numpy() > 0 for p in range(has.shape[1])]
    own = [torch.from_numpy(np.sort(np.ascontiguousarray(columns[:, member]), axis=1)) for member in members]

    def precision(recall: Tensor) -> Tensor:
        values = torch.full((len(recall), 2 * len(ordered)), torch.nan)
        for p, wanted in enumerate(recall.tolist()):
            if m := own[p].shape[1]:
                reach = max(1, min(m, math.ceil(wanted * m - 1e-6)))
                high, low = own[p][:, m - reach, None].contiguous(), own[p][:, reach - 1, None].contiguous()
                above = [size - torch.searchsorted(table, high)[:, 0] for table, size in ((own[p], m), (ordered, n))]
                below = [torch.searchsorted(table, low, right=True)[:, 0] for table in (own[p], ordered)]
                values[p] = torch.cat([above[0] / above[1], below[0] / below[1]])
        return values

    return precision
