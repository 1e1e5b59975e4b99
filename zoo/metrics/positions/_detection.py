"""Units as detectors of properties: counts, the choice of a unit, precision and recall, precision at a given recall."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.metrics.positions._evaluator import product


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
    return product(has.T.contiguous(), on).float(), on.sum(0).float(), has.sum(0).float()


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
    ordered = value.T.contiguous().sort(1).values

    def precision(recall: Tensor) -> Tensor:
        values = torch.full((len(recall), value.shape[1]), torch.nan)
        for p, wanted in enumerate(recall.tolist()):
            own = value[has[:, p] > 0].T.contiguous()
            if n := own.shape[1]:
                reach = max(1, min(n, math.ceil(wanted * n - 1e-6)))
                cut = own.kthvalue(n - reach + 1, 1, keepdim=True).values
                detected = len(value) - torch.searchsorted(ordered, cut)[:, 0]  # values equal to the threshold count
                values[p] = (own >= cut).sum(1) / detected
        return values

    return precision
