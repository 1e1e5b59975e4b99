"""Localization of a map: does evidence fall on the annotated parts?

Source: Arras, Osman, Samek, CLEVR-XAI: A Benchmark Dataset for the Ground Truth Evaluation of Neural Network
Explanations, Information Fusion 2022 (mass and rank); Zhang et al., Top-Down Neural Attention by Excitation Backprop,
IJCV 2018 (pointing game).
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.metrics.attribution_maps._base import ascending, checked
from zoo.metrics.attribution_maps._evidence import evidence
from zoo.metrics.attribution_maps._map_score import MapScore
from zoo.metrics.base import Record, expect
from zoo.metrics.parts._localization import regions
from zoo.registry import register


def _flat(attribution: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    values = checked(attribution)
    expect("mask", mask, *values.shape)
    mask = mask.to(values.device).bool().flatten(1)
    return values.flatten(1), mask, _count(mask)


def _count(places: Tensor) -> Tensor:
    return places.count_nonzero(1)


def _only(values: Tensor, area: Tensor) -> Tensor:
    """Values where the mask is not empty, NaN elsewhere."""
    return torch.where(area > 0, values, torch.nan)


def pointing(attribution: Tensor, mask: Tensor) -> Tensor:
    """Pointing game: whether the highest place lies in the mask (Zhang et al., IJCV 2018), without a margin.

    Of several equally high places one is pointed at by chance, so the value is the share of them in the mask.

    Args:
        attribution: ``(b, h, w)``, signed; not changed.
        mask: ``(b, h, w)`` bool, the truth.

    Returns:
        ``(b,)`` float64 in 0..1; NaN for an empty mask, where nothing could be hit.

    Raises:
        ValueError: if a shape does not fit or a value is not finite.
    """
    values, mask, area = _flat(attribution, mask)
    top = values == values.amax(1, keepdim=True)
    return _only(_count(top & mask).double() / _count(top), area)


def mass(attribution: Tensor, mask: Tensor) -> Tensor:
    """Relevance mass accuracy: share of the positive evidence in the mask (Arras et al., 2022).

    Args:
        attribution: ``(b, h, w)``, signed; evidence against is set to 0; not changed.
        mask: ``(b, h, w)`` bool, the truth.

    Returns:
        ``(b,)`` float64 in 0..1; NaN for an empty mask or a map without positive evidence.

    Raises:
        ValueError: if a shape does not fit or a value is not finite.
    """
    values, mask, area = _flat(attribution, mask)
    values = values if values.dtype == torch.float64 else values.float()
    positive = values.clamp_min(0)
    return _only((positive * mask).double().sum(1) / positive.double().sum(1), area)


def rank(attribution: Tensor, mask: Tensor) -> Tensor:
    """Relevance rank accuracy: share in the mask of the K highest places, K being its area (Arras et al., 2022).

    Places that tie for the last of the K count by the share of them that is in the mask.

    Args:
        attribution: ``(b, h, w)``, signed; not changed.
        mask: ``(b, h, w)`` bool, the truth.

    Returns:
        ``(b,)`` float64 in 0..1; NaN for an empty mask.

    Raises:
        ValueError: if a shape does not fit or a value is not finite.
    """
    values, mask, area = _flat(attribution, mask)
    last = ascending(values).gather(1, values.shape[1] - area.clamp_min(1)[:, None])
    above, level = values > last, values == last
    left = (area - _count(above)).double() / _count(level)
    return _only((_count(above & mask) + left * _count(level & mask)) / area, area)


@register
class MapLocalization(MapScore):
    """Whether evidence falls on the annotated truth: relevance mass accuracy, in 0..1.

    ``mass``, the headline: share of the positive evidence in the mask. Further read-outs: ``rank`` share of the K
    highest places in a mask of K, ``pointing`` share of maps whose highest place is in it, ``area`` share of the image
    that the mask covers: the chance level of the three. A sample with an empty mask counts as ``undefined``.

    In a suite the mask is the union of the masks of the parts (protocol ``.../masks``), or else of the regions that the
    part protocol draws around the visible keypoints.

    Example:
        Three quarters of the evidence lie in a mask of one pixel.

        >>> score = MapLocalization()
        >>> score.update(torch.tensor([[[3.0, 1.0], [0.0, 0.0]]]), torch.tensor([[[1, 0], [0, 0]]]).bool())
        >>> {name: float(score.compute()[name]) for name in ("mass", "rank", "area")}
        {'mass': 0.75, 'rank': 1.0, 'area': 0.25}
    """

    title = "Map localization"
    meaning = "share of the positive evidence inside the annotated parts"
    chance_readouts = ("area",)
    requires = frozenset({"units", "maps", "points"})
    inputs = {"attribution": "finite", "mask": "binary"}
    protocol = "zoo-map-localisation-v1"
    bounds = (0, 1)
    values = ("mass", "rank", "pointing", "area")

    def __init__(self) -> None:
        super().__init__()

    def update(self, attribution: Tensor, mask: Tensor) -> None:
        """Add maps ``(b, h, w)`` and the truth, ``(b, h, w)`` bool.

        Raises:
            ValueError: if a shape does not fit or a value is not finite.
        """
        self._check(attribution=attribution, mask=mask)
        readouts = {"mass": mass(attribution, mask), "rank": rank(attribution, mask)}
        area = mask.to(attribution.device).bool().flatten(1).double().mean(1)
        self._add_values(readouts | {"pointing": pointing(attribution, mask), "area": _only(area, area)})

    def _add_record(self, record: Record) -> None:
        batch, size = record.batch, (record.batch.x.shape[-2], record.batch.x.shape[-1])
        self.update(evidence(record.explanation, size), regions(batch).any(1))
