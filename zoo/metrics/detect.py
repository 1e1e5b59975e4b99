"""Units as detectors of properties: counts, the choice of a unit, precision and recall, precision at a given recall."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Found(NamedTuple):
    """The best unit ``(p,)`` for each of p properties, with its precision and recall ``(p,)``."""

    unit: Tensor
    precision: Tensor
    recall: Tensor


def counts(on: Tensor, has: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How often units that are on or off meet properties.

    Args:
        on: ``(n, u)`` bool, which units are on at each position.
        has: ``(n, p)`` of 0 and 1, which properties it has.

    Returns:
        ``(p, u)`` both together, ``(u,)`` the unit, ``(p,)`` the property.
    """
    return has.float().T @ on.float(), on.float().sum(0), has.float().sum(0)


def best_by_f1(both: Tensor, unit: Tensor, has: Tensor) -> Tensor:
    """The unit ``(p,)`` with the highest F1 for each property, from ``counts``."""
    return (2 * both / (unit + has[:, None]).clamp_min(1)).argmax(1)


def judge(best: Tensor, both: Tensor, unit: Tensor, has: Tensor) -> Found:
    """Precision and recall of chosen units, from ``counts`` of other positions."""
    hit = both.gather(1, best[:, None])[:, 0]
    return Found(best, hit / unit[best].clamp_min(1), hit / has.clamp_min(1))


def best_by_precision(both: Tensor, unit: Tensor, has: Tensor, *, least: float = 0.01) -> Tensor:
    """The unit ``(p,)`` with the highest precision for each property among those of a recall above ``least``.

    Of equals, the one with the higher recall.
    """
    recall = both / has[:, None].clamp_min(1)
    return torch.where(recall > least, both / unit.clamp_min(1) + 1e-4 * recall, recall - 1).argmax(1)


def at_recall_of(value: Tensor, has: Tensor) -> Callable[[Tensor], Tensor]:
    """How precise units are as detectors by a threshold that reaches the recall asked for.

    Args:
        value: ``(n, u)``; a unit detects where it is at or above its threshold.
        has: ``(n, p)`` of 0 and 1, which properties each position has.

    Returns:
        A function from the recalls ``(p,)`` wanted for properties to precisions ``(p, u)``, NaN for a property that has
        no position.
    """
    rank = torch.empty(value.shape, dtype=torch.int32)
    order = value.argsort(0, descending=True)
    rank.scatter_(0, order, torch.arange(1, len(value) + 1, dtype=torch.int32)[:, None].expand_as(order))

    def precision(recall: Tensor) -> Tensor:
        told = torch.full((len(recall), value.shape[1]), torch.nan)
        for p, wanted in enumerate(recall.tolist()):
            own = rank[has[:, p] > 0]
            if len(own):
                reach = max(1, min(len(own), math.ceil(wanted * len(own) - 1e-6)))
                told[p] = reach / own.sort(0).values[reach - 1]
        return told

    return precision
