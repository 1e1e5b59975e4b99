"""Units as detectors of what is known of each position: precision and recall, codes beside neurons at equal recall."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Found(NamedTuple):
    """The best unit ``(p,)`` for each of p properties, with its precision and recall ``(p,)``."""

    unit: Tensor
    precision: Tensor
    recall: Tensor


def counts(on: Tensor, truth: Tensor, properties: int) -> tuple[Tensor, Tensor, Tensor]:
    """How often units that are on or off meet properties.

    Args:
        on: ``(n, u)`` bool, which units are on at each position.
        truth: ``(n,)`` the property of each position, -1 for none.
        properties: p.

    Returns:
        ``(p, u)`` both together, ``(u,)`` the unit, ``(p,)`` the property.
    """
    has = torch.nn.functional.one_hot(truth + 1, properties + 1)[:, 1:].float()
    return has.T @ on.float(), on.float().sum(0), has.sum(0)


def best_by_f1(both: Tensor, unit: Tensor, has: Tensor) -> Tensor:
    """The unit ``(p,)`` with the highest F1 for each property, from ``counts``."""
    return (2 * both / (unit + has[:, None]).clamp_min(1)).argmax(1)


def judge(best: Tensor, both: Tensor, unit: Tensor, has: Tensor) -> Found:
    """Precision and recall of chosen units, from ``counts`` of other positions."""
    hit = both.gather(1, best[:, None])[:, 0]
    return Found(best, hit / unit[best].clamp_min(1), hit / has.clamp_min(1))


def at_recall(value: Tensor, truth: Tensor, recall: Tensor) -> Tensor:
    """Precision ``(p, u)`` of units as detectors by a threshold that reaches the recall asked for.

    Args:
        value: ``(n, u)``; a unit detects where it is at or above its threshold.
        truth: ``(n,)`` the property of each position, -1 for none.
        recall: ``(p,)`` to be reached for each property; NaN where a property has no position.
    """
    rank = torch.empty(value.shape, dtype=torch.int64)
    order = value.argsort(0, descending=True)
    rank.scatter_(0, order, torch.arange(1, len(value) + 1)[:, None].expand_as(order))
    told = torch.full((len(recall), value.shape[1]), torch.nan)
    for p, wanted in enumerate(recall.tolist()):
        own = rank[truth == p]
        if len(own):
            reach = max(1, min(len(own), -int(-wanted * len(own) // 1)))
            told[p] = reach / own.sort(0).values[reach - 1]
    return told
