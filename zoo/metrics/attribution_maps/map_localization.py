"""Localization of a map: does evidence fall on the annotated parts?"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.metrics.attribution_maps._base import ascending, checked
from zoo.metrics.attribution_maps._evidence import evidence
from zoo.metrics.attribution_maps._map_score import MapScore
from zoo.metrics.base import Record, expect
from zoo.registry import register


def _flat(attribution: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    values = checked(attribution)
    expect("mask", mask, *values.shape)
    mask = mask.to(values.device).bool().flatten(1)
    return values.flatten(1), mask, _count(mask)


def _count(places: Tensor) -> Tensor:
    return places.count_nonzero(1)


def _only(found: Tensor, area: Tensor) -> Tensor:
    """NaN where there is nothing to find."""
    return torch.where(area > 0, found, torch.nan)


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


def around(points: Tensor, visible: Tensor, size: tuple[int, int]) -> Tensor:
    """The pixels from which the part protocol meets each keypoint: squares of half side 36/224 of the image.

    A keypoint outside the image is never met, as in ``zoo.metrics.hits``.

    Args:
        points: ``(b, p, 2)`` (x, y) in pixels.
        visible: ``(b, p)`` bool.
        size: (height, width) of the image.

    Returns:
        ``(b, p, height, width)`` bool.
    """
    at = points.trunc()[..., None]
    inside = []
    for axis, length in ((1, size[0]), (0, size[1])):
        line, place = torch.arange(length, device=points.device), at[:, :, axis]
        inside.append(((line - place).abs() <= length * 36 / 224) & (place >= 0) & (place <= length))
    return inside[0][..., :, None] & inside[1][..., None, :] & visible[..., None, None]


@register
class MapLocalization(MapScore):
    """Whether evidence falls on the annotated truth: relevance mass accuracy, in 0..1.

    ``mass``, the headline: share of the positive evidence in the mask. Further read-outs: ``rank`` share of the K
    highest places in a mask of K, ``pointing`` share of maps whose highest place is in it, ``area`` share of the image
    that the mask covers: the chance level of the three. A sample with an empty mask counts as ``undefined``.

    In a suite the mask is the union of the regions that the part protocol draws around the visible keypoints.
    """

    title = "Map localization"
    meaning = "share of the positive evidence inside the annotated parts"
    chance_readouts = ("area",)
    requires = frozenset({"units", "maps", "points"})
    protocol = "zoo-map-localisation-v1"
    bounds = (0, 1)
    values = ("mass", "rank", "pointing", "area")
    value_total: Tensor
    value_count: Tensor
    curve_total: Tensor
    curve_count: Tensor

    def __init__(self) -> None:
        super().__init__()

    def update(self, attribution: Tensor, mask: Tensor) -> None:
        """Add maps ``(b, h, w)`` and the truth, ``(b, h, w)`` bool.

        Raises:
            ValueError: if a shape does not fit or a value is not finite.
        """
        found = {"mass": mass(attribution, mask), "rank": rank(attribution, mask)}
        area = mask.to(attribution.device).bool().flatten(1).double().mean(1)
        self._tell(found | {"pointing": pointing(attribution, mask), "area": _only(area, area)})

    def _feed(self, record: Record) -> None:
        batch, size = record.batch, (record.batch.x.shape[-2], record.batch.x.shape[-1])
        assert batch.points is not None
        assert batch.visible is not None
        self.update(evidence(record.explanation, size), around(batch.points, batch.visible, size).any(1))
