"""Network dissection: which annotated part does the map of each unit detect?

Source: Bau, Zhou, Khosla, Oliva, Torralba, Network Dissection: Quantifying Interpretability of Deep Visual
Representations, CVPR 2017.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.metrics.attribution_maps._map_score import take
from zoo.metrics.attribution_maps._overlap import iou, overlap, pack, thresholds, unpack
from zoo.metrics.base import Record, Score, count, expect, fraction
from zoo.metrics.parts._localization import regions
from zoo.metrics.perturbations.noise import chosen
from zoo.registry import register


@register
class Dissection(Score):
    """Share of units that detect an annotated thing: best intersection over union above ``min_iou`` (Bau et al., 2017).

    Each unit's map counts where it exceeds the level that a share ``quantile`` of all its places exceeds. Further
    read-outs: ``iou`` mean best value, ``things`` share of the things that some unit detects. Per unit: ``unit/iou``
    and ``unit/thing`` (id of the best, -1 below ``min_iou``), ``unit/detected`` 1 or 0.

    The level needs all maps, so maps and masks are kept until ``compute``, the masks at one bit for each pixel and
    thing. In a suite the things are the masks of the parts (protocol ``.../masks``), or else the regions that the part
    protocol draws around the visible keypoints, and the maps those of all units.

    Args:
        num_units: k.
        part_count: p.
        quantile: share of the places above a unit's level.
        min_iou: intersection over union above which a unit is a detector.
        share: of the samples that a suite scores, chosen by a hash of the sample id.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        The highest quarter of the map is the annotated pixel.

        >>> score = Dissection(1, 1, quantile=0.25)
        >>> score.update(torch.tensor([[[[9.0, 0.0], [0.0, 0.0]]]]), torch.tensor([[[[1, 0], [0, 0]]]]).bool())
        >>> {name: float(score.compute()[name]) for name in ("detectors", "iou")}
        {'detectors': 1.0, 'iou': 1.0}
    """

    title = "Dissection"
    meaning = "share of units whose map overlaps an annotated part (network dissection)"
    unit_readouts = {"iou": "best overlap with a part"}
    requires = frozenset({"units", "maps", "points"})
    inputs = {"maps": "finite", "masks": "binary"}
    intervals = {
        "detectors": ("unit/detected", 0, 1),
        "iou": ("unit/iou", 0, 1),
    }
    resampled = False  # the level of a unit is a quantile over all maps
    population = "units like these on these inputs"
    protocol = "bau2017-v1"
    maps: list[Tensor]
    masks: list[Tensor]

    def __init__(
        self, num_units: int, part_count: int, *, quantile: float = 0.005, min_iou: float = 0.04, share: float = 1.0
    ) -> None:
        super().__init__()
        self.num_units, self.part_count = count("num_units", num_units), count("part_count", part_count)
        self.quantile = fraction("quantile", quantile)
        self.min_iou = fraction("min_iou", min_iou)
        self.share = fraction("share", share, zero=False)
        self.protocol = self._variant(type(self).protocol, quantile=quantile)
        self.protocol += "" if min_iou == 0.04 else f"/least{min_iou}"  # ids do not change with the argument's name
        self.protocol = self._variant(self.protocol, share=share)
        self._rows("maps")
        self._rows("masks")

    def update(self, maps: Tensor, masks: Tensor) -> None:
        """Keep the maps ``(b, k, h, w)`` of all units and the masks ``(b, p, height, width)`` bool of all things.

        Raises:
            ValueError: if a shape does not fit or a map holds a value that is not finite.
        """
        expect("maps", maps, None, self.num_units, None, None)
        expect("masks", masks, len(maps), self.part_count, None, None)
        self._check(maps=maps, masks=masks)
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
        every = torch.arange(self.num_units, device=explanation.shown.device).expand(len(batch), -1)
        model: Any = record.model
        maps = model.explain(batch.x, target=explanation.target, shown=every).where
        self.update(maps, regions(batch))

    def compute(self) -> dict[str, Tensor]:
        """The share and its read-outs; see the class."""
        if not int(self.samples):
            return {"detectors": self.samples.double() * torch.nan, "support": self.samples}
        level = thresholds(torch.cat(self.maps), self.quantile)
        pairs = zip(self.maps, self.masks, strict=True)
        counts = [overlap(maps, unpack(masks, self.part_count), level) for maps, masks in pairs]
        units, things, both = (torch.stack(batches).sum(0) for batches in zip(*counts, strict=True))
        best, thing = iou(units, things, both).max(1)
        detected = best > self.min_iou
        thing = torch.where(detected, thing, -1)
        return {
            "detectors": detected.double().mean(),
            "iou": best.mean(),
            "things": torch.isin(torch.arange(self.part_count, device=thing.device), thing).double().mean(),
            "support": self.samples,
            "unit/iou": best,
            "unit/detected": detected.double(),
            "unit/thing": thing,
        }
