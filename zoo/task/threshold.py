"""The threshold of least cost between two classes, chosen on validation samples."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SLACK = 1e-9  # by which a probability may miss its threshold: no more than another runtime rounds it


def reaches(probabilities: Tensor, threshold: float | Tensor) -> Tensor:
    """Return whether probabilities ``(n, ...)`` are at or above a threshold.

    A probability can lie on the threshold, as that of a sum of integer points does. It then reaches it wherever it is
    computed, in torch, in an exported graph or in a page, because its last digits do not count (``SLACK``).

    >>> reaches(torch.tensor([0.25, 0.5]), 0.5).tolist()
    [False, True]
    """
    return probabilities >= threshold - SLACK


def check_costs(false_positive: float, false_negative: float) -> None:
    """Refuse costs that are not above 0.

    Raises:
        ValueError: naming both.
    """
    if not (0 < false_positive < math.inf and 0 < false_negative < math.inf):
        raise ValueError(f"the costs are {false_positive} and {false_negative}; expected numbers above 0")


def cheapest_threshold(
    p: Tensor, positive: Tensor, weight: Tensor | None, *, false_positive: float, false_negative: float
) -> float:
    """Return the probability from which predicting 1 costs least.

    Of thresholds of equal cost the one nearest to ``false_positive / (false_positive + false_negative)`` is taken,
    which is best where the probabilities are calibrated.

    Args:
        p: ``(n,)`` float64 probability of 1.
        positive: ``(n,)`` whether 1 is right.
        weight: ``(n,)`` of the samples; None for equal ones.
        false_positive: cost of predicting 1 where 0 is right.
        false_negative: cost of predicting 0 where 1 is right.

    >>> p = torch.tensor([0.1, 0.4, 0.9]).double()
    >>> round(cheapest_threshold(p, torch.tensor([0, 1, 1]), None, false_positive=1, false_negative=1), 6)
    0.25
    """
    order = p.argsort()
    each = torch.ones_like(p) if weight is None else weight.to(p)
    p, positive, each = p[order], positive[order].double(), each[order]
    negative = (1 - positive) * each
    positive = positive * each
    missed = torch.cat([positive.new_zeros(1), positive.cumsum(0)])  # the first i samples are predicted 0
    false_alarms = negative.sum() - torch.cat([negative.new_zeros(1), negative.cumsum(0)])
    cost = false_positive * false_alarms + false_negative * missed
    edges = torch.cat([p.new_zeros(1), p, p.new_ones(1)])
    possible = edges[1:] > edges[:-1]  # a threshold lies between different probabilities
    middle = (edges[1:] + edges[:-1]) / 2
    ideal = false_positive / (false_positive + false_negative)
    nearest = torch.full_like(middle, ideal).clamp(edges[:-1], edges[1:])
    inside = (nearest > edges[:-1]) & (nearest < edges[1:])
    candidate = torch.where(inside, nearest, middle)
    cost = torch.where(possible, cost, torch.inf)
    best = (cost <= cost.min() * (1 + 1e-12)).nonzero()[:, 0]
    chosen = best[(candidate[best] - ideal).abs().argmin()]
    return float(candidate[chosen].clamp(1e-6, 1 - 1e-6))
