"""Network dissection: which annotated part does the map of each unit detect?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.metrics.attribution_maps._bits import pack, unpack
from zoo.metrics.attribution_maps._map_score import take
from zoo.metrics.attribution_maps.map_localization import around
from zoo.metrics.base import Record, Score, count, expect, fraction
from zoo.metrics.perturbations.noise import chosen
from zoo.registry import register

PIXELS = 1 << 22  # upsampled at a time: float32 products of 0 and 1 count exactly below 2 ** 24


def thresholds(maps: Tensor, quantile: float = 0.005) -> Tensor:
    """The level T of each unit with P(a > T) = quantile over all places of all samples (Bau et al., CVPR 2017).

    Args:
        maps: ``(n, k, h, w)`` evidence on the model's grid, of all samples.
        quantile: share of the places above T.

    Returns:
        ``(k,)``: the lowest of the observed values that no larger share of the places exceeds.
    """
    values = maps.transpose(0, 1).flatten(1)
    above = int(fraction("quantile", quantile) * values.shape[1] + 1e-9)
    return values.topk(min(above + 1, values.shape[1]), dim=1).values[:, -1]


def overlap(maps: Tensor, masks: Tensor, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels above each unit's level, pixels of each thing, and pixels of both.

    Args:
        maps: ``(n, k, h, w)`` evidence; stretched to the masks bilinearly, as published.
        masks: ``(n, p, height, width)`` bool.
        level: ``(k,)`` from ``thresholds``.

    Returns:
        ``(k,)``, ``(p,)`` and ``(k, p)`` int64 counts, to be added up over batches.

    Raises:
        ValueError: if a shape does not fit.
    """
    expect("maps", maps, None, len(level), None, None)
    expect("masks", masks, len(maps), None, None, None)
    k, p = maps.shape[1], masks.shape[1]
    units, things, both = (torch.zeros(s, dtype=torch.int64, device=maps.device) for s in ((k,), (p,), (k, p)))
    rows = max(1, PIXELS // (masks.shape[-2:].numel() * max(1, k + p)))
    for some, truth in zip(maps.split(rows), masks.split(rows), strict=True):
        wide = F.interpolate(some.float(), size=masks.shape[-2:], mode="bilinear", align_corners=False)
        on = (wide > level.float()[:, None, None]).transpose(0, 1).flatten(1).float()
        true = truth.to(maps.device).bool().transpose(0, 1).flatten(1).float()
        units, things, both = units + on.sum(1).long(), things + true.sum(1).long(), both + (on @ true.T).long()
    return units, things, both


def iou(units: Tensor, things: Tensor, both: Tensor) -> Tensor:
    """Intersection over union ``(k, p)`` float64 from the counts of ``overlap``; 0 where both are empty."""
    return both.double() / (units[:, None] + things - both).clamp_min(1)


@register
class Dissection(Score):
    """Share of units that detect an annotated thing: best intersection over union above ``least`` (Bau et al., 2017).

    Each unit's map counts where it exceeds the level that a share ``quantile`` of all its places exceeds. Further
    read-outs: ``iou`` mean best value, ``things`` share of the things that some unit detects. Per unit: ``unit/iou``
    and ``unit/thing`` (id of the best, -1 below ``least``).

    The level needs all maps, so maps and masks are kept until ``compute``, the masks at one bit for each pixel and
    thing. In a suite the things are the regions that the part protocol draws around the visible keypoints, and the maps
    those of all units.

    Args:
        num_units: k.
        part_count: p.
        quantile: share of the places above a unit's level.
        least: intersection over union of a detector.
        share: of the samples that a suite scores, chosen by a hash of the sample id.

    Raises:
        ValueError: if an argument is out of range.
    """

    title = "Dissection"
    meaning = "share of units whose map overlaps an annotated part (network dissection)"
    unit_readouts = {"iou": "best overlap with a part"}
    requires = frozenset({"units", "maps", "points"})
    protocol = "bau2017-v1"
    maps: list[Tensor]
    masks: list[Tensor]

    def __init__(
        self, num_units: int, part_count: int, *, quantile: float = 0.005, least: float = 0.04, share: float = 1.0
    ) -> None:
        super().__init__()
        self.num_units, self.part_count = count("num_units", num_units), count("part_count", part_count)
        self.quantile, self.least = fraction("quantile", quantile), fraction("least", least)
        self.share = fraction("share", share, zero=False)
        self.protocol = self._variant(type(self).protocol, quantile=quantile, least=least, share=share)
        self._rows("maps")
        self._rows("masks")

    def update(self, maps: Tensor, masks: Tensor) -> None:
        """Keep the maps ``(b, k, h, w)`` of all units and the masks ``(b, p, height, width)`` bool of all things.

        Raises:
            ValueError: if a shape does not fit or a map holds a value that is not finite.
        """
        expect("maps", maps, None, self.num_units, None, None)
        expect("masks", masks, len(maps), self.part_count, None, None)
        if not bool(maps.isfinite().all()):
            raise ValueError("maps holds a value that is not finite; mend the map or leave the sample out")
        if not len(maps):
            return
        self.maps.append(maps.detach().to(self.device).clone())
        self.masks.append(pack(masks.to(self.device).bool()))
        self.samples = self.samples + len(maps)

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Keep the maps of all units and the regions of all parts."""
        record = take(record, chosen(record.batch.index, self.share))
        batch, explanation = record.batch, record.explanation
        if not len(batch):
            return
        assert batch.points is not None
        assert batch.visible is not None
        every = torch.arange(self.num_units, device=explanation.shown.device).expand(len(batch), -1)
        model: Any = record.model
        maps = model.explain(batch.x, target=explanation.target, shown=every).where
        self.update(maps, around(batch.points, batch.visible, (batch.x.shape[-2], batch.x.shape[-1])))

    def compute(self) -> dict[str, Tensor]:
        """The share and its read-outs; see the class."""
        if not int(self.samples):
            return {"detectors": self.samples.double() * torch.nan, "support": self.samples}
        level = thresholds(torch.cat(self.maps), self.quantile)
        pairs = zip(self.maps, self.masks, strict=True)
        counts = [overlap(maps, unpack(masks, self.part_count), level) for maps, masks in pairs]
        best, thing = iou(*(sum(batches[1:], batches[0]) for batches in zip(*counts, strict=True))).max(1)
        found = best > self.least
        thing = torch.where(found, thing, -1)
        return {
            "detectors": found.double().mean(),
            "iou": best.mean(),
            "things": torch.isin(torch.arange(self.part_count, device=thing.device), thing).double().mean(),
            "support": self.samples,
            "unit/iou": best,
            "unit/thing": thing,
        }
