"""Complexity of a map: is the evidence in a few places or everywhere?

Source: Chalasani et al., Concise Explanations of Neural Networks using Adversarial Training, ICML 2020 (Gini index);
Bhatt, Weller, Moura, Evaluating and Aggregating Feature-based Model Explanations, IJCAI 2020 (entropy).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.metrics.attribution_maps._base import ascending, checked
from zoo.metrics.attribution_maps._evidence import evidence
from zoo.metrics.attribution_maps._map_score import MapScore
from zoo.metrics.base import Record
from zoo.registry import register


def _weights(attribution: Tensor) -> tuple[Tensor, Tensor]:
    """Absolute values ``(b, n)`` over the largest of their own map, and their float64 sum; NaN for an empty map."""
    weights = checked(attribution).flatten(1).abs()
    weights = weights if weights.dtype == torch.float64 else weights.float()
    weights = weights / weights.amax(1, keepdim=True)
    return weights, weights.double().sum(1)


def gini(attribution: Tensor) -> Tensor:
    """Gini index of the absolute values: 0 all alike, 1 - 1/n one place alone (Chalasani et al., ICML 2020).

    Args:
        attribution: ``(b, h, w)``; not changed.

    Returns:
        ``(b,)`` float64; NaN for a map that is zero everywhere.

    Raises:
        ValueError: if the shape does not fit or a value is not finite.
    """
    return _gini(*_weights(attribution))


def _gini(weights: Tensor, total: Tensor) -> Tensor:
    n = weights.shape[1]
    place = torch.arange(1, n + 1, device=weights.device, dtype=torch.float64) * 2 - n - 1
    ranked = ascending(weights)
    parts = [rows.double() @ place for rows in ranked.split(max(1, (1 << 18) // n))]
    return torch.cat(parts) / (n * total) if parts else total


def entropy(attribution: Tensor) -> Tensor:
    """Entropy of the shares of the absolute values, in nats: 0 one place alone, ln n all alike (Bhatt et al., 2020).

    Args:
        attribution: ``(b, h, w)``; not changed.

    Returns:
        ``(b,)`` float64; NaN for a map that is zero everywhere.

    Raises:
        ValueError: if the shape does not fit or a value is not finite.
    """
    return _entropy(*_weights(attribution))


def _entropy(weights: Tensor, total: Tensor) -> Tensor:
    # With w = weight and t = total: -sum (w/t) ln(w/t) = ln t - (sum w ln w) / t.
    inner = weights * weights.clamp_min(torch.finfo(weights.dtype).tiny).log()  # 0 where the weight is
    return total.log() - inner.double().sum(1) / total


@register
class MapComplexity(MapScore):
    """How far evidence is spread over the input: the mean Gini index of the absolute values of each map.

    ``gini``, the headline, is 0 where all pixels count alike and near 1 where few do. Further read-outs: ``entropy`` of
    the shares in nats, ``spread`` the same over its largest possible value, ln n. Read off the map at the input's
    size. A map of zeros has neither, and counts in ``undefined``.

    Example:
        All evidence in one of four pixels: 1 - 1/4.

        >>> score = MapComplexity()
        >>> score.update(torch.tensor([[[0.0, 0.0], [0.0, 4.0]]]))
        >>> {name: float(score.compute()[name]) for name in ("gini", "entropy")}
        {'gini': 0.75, 'entropy': 0.0}
    """

    title = "Map complexity"
    meaning = "Gini index of the evidence over the input; 0 is spread evenly"
    protocol = "zoo-map-complexity-v1"
    bounds = (0, 1)
    values = ("gini", "entropy", "spread")

    def __init__(self) -> None:
        super().__init__()

    def update(self, attribution: Tensor) -> None:
        """Add maps ``(b, h, w)``.

        Raises:
            ValueError: if the shape does not fit or a value is not finite.
        """
        self._check(attribution=attribution)
        weights, total = _weights(attribution)
        nats = _entropy(weights, total)
        self._add_values(
            {"gini": _gini(weights, total), "entropy": nats, "spread": nats / math.log(max(2, weights.shape[1]))}
        )

    def _add_record(self, record: Record) -> None:
        self.update(evidence(record.explanation, record.size))
