"""Part variety: do the units of a class match different object parts, at different places?

Source: defined here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.metrics.base import Record, Score, claims, count, expect
from zoo.metrics.parts._counts import Counts
from zoo.registry import register


@register
class PartVariety(Score):
    """Number of different best parts among the units of a class, mean over classes.

    The best part of a unit is the one that its place meets at the highest rate (``Consistency``); units that meet no
    part have none. Consistent and stable units are of little use if all units of a class are at the same place; this
    score and the distance between places show it. For models whose units belong to one class each.

    Further read-outs: ``distance`` mean distance in pixels between the places of two units on the same image, mean over
    images; ``units`` mean number of units of a class, the largest possible value of the score. Per unit:
    ``unit/best_part`` its best part (-1 if there is none).

    Args:
        num_units: u.
        part_count: p.
        owner: class of each unit.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        Two units of a class and two parts: both units are always at part 1, at the same place.

        >>> score = PartVariety(2, 2, owner=[0, 0])
        >>> hits = torch.tensor([[[False, True], [False, True]]])
        >>> score.update(hits, torch.ones(1, 2).bool(), torch.zeros(1, 2, 2), torch.tensor([[0, 1]]))
        >>> {name: float(score.compute()[name]) for name in ("part_variety", "distance", "units")}
        {'part_variety': 1.0, 'distance': 0.0, 'units': 2.0}
    """

    title = "Part variety"
    meaning = "different best parts among the units of a class"
    unit = ""
    unit_readouts = {"best_part": "best part"}
    requires = frozenset({"units", "parts", "owner"})
    no_interval = "the number of different parts of a class is no mean over images or units"
    protocol = "zoo-variety-v1"
    inputs = {
        "hits": "binary",
        "visible": "binary",
        "peaks": "finite",
        "unit_ids": "unit",
        "gate": "binary",
    }
    hit: Tensor
    shown: Tensor
    fired: Tensor
    apart: Tensor
    pairs: Tensor

    def __init__(self, num_units: int, part_count: int, *, owner: Sequence[int] | Tensor) -> None:
        super().__init__()
        self.num_units, self.part_count = count("num_units", num_units), count("part_count", part_count)
        self.owner = torch.as_tensor(owner).cpu()
        expect("owner", self.owner, num_units)
        if self.owner.is_floating_point() or bool((self.owner < 0).any()):
            raise ValueError(f"owner is {self.owner.tolist()}; expected the class of each unit, from 0")
        self._sum("hit", num_units, part_count)
        self._sum("shown", num_units, part_count)
        self._sum("fired", num_units)
        self._sum("apart", dtype=torch.float64)
        self._sum("pairs", dtype=torch.float64)

    def update(
        self,
        hits: Tensor,
        visible: Tensor,
        peaks: Tensor,
        unit_ids: Tensor,
        gate: Tensor | None = None,
    ) -> None:
        """Count a batch.

        Args:
            hits: ``(b, k, p)`` bool, whether the place of a unit meets a part; those of invisible parts do not count.
            visible: ``(b, p)`` bool.
            peaks: ``(b, k, 2)`` places of the units, in pixels.
            unit_ids: ``(b, k)`` int64, -1 for padding.
            gate: ``(b, k)`` bool, whether the unit makes a claim on the instance; None if it always does.

        Raises:
            ValueError: if a shape does not fit or an id is not that of a unit.
        """
        expect("hits", hits, None, None, self.part_count)
        expect("visible", visible, len(hits), self.part_count)
        expect("peaks", peaks, *hits.shape[:2], 2)
        self._check(hits=hits, visible=visible, peaks=peaks, unit_ids=unit_ids, gate=gate)
        hits, visible = hits.to(self.device).bool(), visible.to(self.device).bool()
        ids, real = claims(unit_ids, gate, hits, self.num_units)
        counted = visible[:, None] & real[..., None]
        self._add("hit", hits & counted, at=ids)
        self._add("shown", counted, at=ids)
        self._add("fired", real, at=ids)
        places = peaks.to(self.device).double()
        both = (real[:, :, None] & real[:, None]).triu(1)
        number = both.sum((1, 2))
        distance = (places[:, :, None] - places[:, None]).norm(dim=-1)
        self._add("apart", (distance * both).sum((1, 2)) / number.clamp_min(1))
        self._add("pairs", (number > 0).double())
        self._add("samples", torch.ones(len(hits), dtype=torch.int64, device=self.device))

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Count the samples of a record."""
        peaks, hits, _, visible = record.located
        self.update(hits, visible, peaks, record.explanation.shown, record.gate)

    def compute(self) -> dict[str, Tensor]:
        """The score and its read-outs; see the class."""
        claimed = self.fired > 0
        best, part = Counts(self.hit, self.shown, self.fired[:, None], self.hit.sum(0)).rate().max(1)
        part = torch.where(best > 0, part, -1)
        owner = self.owner.to(self.device)
        classes = int(owner.max()) + 1
        matched = torch.zeros(classes, self.part_count, dtype=torch.bool, device=self.device)
        matched[owner[part >= 0], part[part >= 0]] = True
        units = torch.bincount(owner[claimed], minlength=classes)
        scored = int((units > 0).sum())  # classes; no unit matches a part without a claim
        return {
            "part_variety": matched.sum().double() / max(1, scored),
            "distance": self.apart / self.pairs.clamp_min(1),
            "units": units.sum().double() / max(1, scored),
            "support": self.samples,
            "unit/best_part": part,
        }
