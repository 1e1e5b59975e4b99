"""Purity: do the places where a unit is strongest show one and the same part of the object?

Source: Nauta et al., PIP-Net: Patch-Based Intuitive Prototypes for Interpretable Image Classification, CVPR 2023.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.metrics.base import Record, Score, claims, count, expect
from zoo.metrics.parts._patches import holds, one_sided
from zoo.metrics.parts._sample_rows import merge_strongest, rows_by_unit, strongest
from zoo.metrics.perturbations.noise import random_bits
from zoo.registry import register


@register
class Purity(Score):
    """Largest share of a unit's strongest patches that show one part, mean over units.

    For each unit, the ``top`` images of largest strength; in each, the patch around the highest cell of its evidence,
    32 x 32 pixels of an image of 224 (other sizes in proportion). A part's rate is the share of patches that hold it
    among the images that show it, both edges inside; left and right count as one part (the better of the two) where
    ``part_names`` are given. A unit's purity is its best rate. From Nauta et al., PIP-Net, CVPR 2023; units that never
    contribute to the true class stand for its prototypes without weight, and are left out. As published, one image that
    shows a part is enough for its rate, which favors parts that are seldom visible: compare with ``random``.

    Further read-outs, in 0..1: ``spread`` standard deviation over units; ``pure`` share of units above 0.5; ``random``
    the mean of a random cell of the same images; ``unused`` share of units that never contribute.
    Per unit: ``unit/purity`` and ``unit/part`` (of equal rates that with most hits; -1 without a hit; parts in the
    order of their first name), ``unit/used_purity`` (NaN where left out), ``unit/support`` images that show that part.
    An interval covers the choice of units and not that of images: the strongest of all images are no sum over samples.

    Args:
        num_units: u.
        part_count: p.
        part_names: names of the parts; None leaves left and right apart, and the id says ``/sides``.
        top: images of each unit.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        In two images the patch of cell 15 (pixels 32 to 64 and 64 to 96) holds the part once.

        >>> score = Purity(1, 1, top=2)
        >>> points = torch.tensor([[[40.0, 70.0]], [[200.0, 200.0]]])
        >>> cells, visible = torch.tensor([[15], [15]]), torch.ones(2, 1).bool()
        >>> rows = (torch.ones(2, 1), torch.zeros(2, 1).long(), cells, points, visible, torch.arange(2))
        >>> score.update(*rows, grid=(7, 7), size=(224, 224))
        >>> float(score.compute()["purity"])
        0.5
    """

    title = "Purity"
    meaning = "share of a unit's ten most activated patches that show one part"
    unit_readouts = {"purity": "top patches show one part"}
    chance_readouts = ("random",)
    requires = frozenset({"units", "maps", "points"})
    inputs = {
        "strength": "finite",
        "unit_ids": "unit",
        "cells": "count",
        "points": "finite",
        "visible": "binary",
        "index": "ids",
        "used": "binary",
    }
    protocol = "pipnet2023-purity"
    resampled = False  # the strongest of all images are no sum over samples
    population = "units like these on these inputs"
    intervals = {"purity": ("unit/used_purity", 0, 1)}
    used: Tensor
    best: Tensor

    def __init__(
        self, num_units: int, part_count: int, *, part_names: Sequence[str] | None = None, top: int = 10
    ) -> None:
        super().__init__()
        self.num_units, self.part_count, self.top = (
            count("num_units", num_units),
            count("part_count", part_count),
            count("top", top),
        )
        if part_names is not None and len(part_names) != part_count:
            raise ValueError(f"part_names has {len(part_names)} names; expected {part_count}")
        self.group = torch.arange(part_count) if part_names is None else one_sided(part_names)
        self.parts = int(self.group.max()) + 1
        self.protocol = self._variant(type(self).protocol, top=self.top) + ("/sides" if part_names is None else "")
        self._sum("used", num_units)
        # columns: strength, sample id, hits of parts, visible parts, hits of a random cell
        empty = torch.zeros(num_units, self.top, 2 + 3 * self.parts, dtype=torch.float64)
        empty[..., 0], empty[..., 1] = -torch.inf, -1
        self.add_state("best", empty, dist_reduce_fx=merge_strongest)

    def update(
        self,
        strength: Tensor,
        unit_ids: Tensor,
        cells: Tensor,
        points: Tensor,
        visible: Tensor,
        index: Tensor,
        *,
        grid: tuple[int, int],
        size: tuple[int, int],
        used: Tensor | None = None,
    ) -> None:
        """Add a batch.

        Args:
            strength: ``(b, k)`` of the units.
            unit_ids: ``(b, k)`` int64, -1 for padding; each unit whose strength is among its largest has to be there.
            cells: ``(b, k)`` int64 highest cell of each map, counted row by row.
            points: ``(b, p, 2)`` keypoints (x, y) in pixels of the input.
            visible: ``(b, p)`` bool.
            index: ``(b,)`` int64 identity of each sample.
            grid: (h, w) of the maps.
            size: (height, width) of the input.
            used: ``(b, u)`` bool, whether the unit contributes; None if all do.

        Raises:
            ValueError: if a shape does not fit.
        """
        expect("strength", strength, None, None)
        b = len(strength)
        expect("points", points, b, self.part_count, 2)
        expect("visible", visible, b, self.part_count)
        expect("index", index, b)
        self._check(strength=strength, unit_ids=unit_ids, cells=cells, visible=visible, index=index, used=used)
        self._check(points=points.where(visible[..., None].bool(), 0))
        strength, cells, points, visible, index = (t.to(self.device) for t in (strength, cells, points, visible, index))
        ids, real = claims(unit_ids, None, strength[..., None], self.num_units)
        random = random_bits(index, draw=0, count=self.num_units).gather(1, ids) & 0x7FFFFFFFFFFFFFFF
        at = (random % (grid[0] * grid[1]), cells)
        met, chance = (holds(c, points, visible, grid=grid, size=size) for c in (at[1], at[0]))
        visible_rows = visible[:, None].expand(met.shape)
        columns = [self._merged(t) for t in (met, visible_rows, chance)]
        rows = torch.cat(
            [strength.double()[..., None], index.double()[:, None, None].expand(*ids.shape, 1), *columns], 2
        )
        self.best = strongest(torch.cat([self.best, rows_by_unit(rows[real], ids[real], self.best)], 1), self.top)
        every = torch.ones(b, self.num_units, dtype=torch.bool, device=self.device)
        self._add("used", every if used is None else used.to(self.device).bool())
        self._add("samples", torch.ones_like(index))

    def _merged(self, of: Tensor) -> Tensor:
        group = self.group.to(of.device).expand(of.shape)
        out = torch.zeros(*of.shape[:2], self.parts, dtype=torch.float64, device=of.device)
        return out.scatter_reduce(2, group, of.double(), "amax")

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Locate the units whose strength is among their largest so far."""
        explanation, batch = record.explanation, record.batch
        if not len(batch):
            return
        assert batch.points is not None
        assert batch.visible is not None
        strength = explanation.strength.double()
        bound = self.best[:, -1, 0].to(strength.device)
        order = batch.index.argsort(stable=True)
        rank = torch.empty_like(strength, dtype=torch.int64)
        rank[order] = strength[order].argsort(dim=0, descending=True, stable=True).argsort(0)
        wanted = (rank < self.top) & (strength >= bound)
        first = wanted.int().sort(dim=1, descending=True, stable=True)
        ids = torch.where(first.values > 0, first.indices, -1)[:, : max(1, int(wanted.sum(1).max()))]
        where = record.model.explain(batch.x, target=batch.targets, shown=ids).where.detach()
        self.update(
            strength.gather(1, ids.clamp_min(0)),
            ids,
            where.flatten(2).argmax(2),
            batch.points,
            batch.visible,
            batch.index,
            grid=tuple(where.shape[-2:]),
            size=record.size,
            used=explanation.contribution != 0,
        )

    def compute(self) -> dict[str, Tensor]:
        """The purity and its read-outs; see the class."""
        kept = self.best[..., 2:] * (self.best[..., 1:2] >= 0)
        hit, shown, chance = kept.sum(1).unflatten(1, (3, self.parts)).unbind(1)
        rate, random = (hit / shown.clamp_min(1)), (chance / shown.clamp_min(1)).amax(1)
        part = (rate + 1e-6 * hit).argmax(1)  # rates that differ do so by more than that
        pure = rate.gather(1, part[:, None])[:, 0]
        counted = (self.used > 0) & (self.best[:, 0, 1] >= 0)
        return {
            "purity": pure[counted].mean(),
            "spread": pure[counted].var(correction=0).sqrt() if bool(counted.any()) else pure.new_tensor(torch.nan),
            "pure": (pure[counted] > 0.5).double().mean(),
            "random": random[counted].mean(),
            "unused": (self.used == 0).double().mean(),
            "support": self.samples,
            "unit/purity": pure,
            "unit/used_purity": torch.where(counted, pure, torch.nan),
            "unit/part": torch.where(pure > 0, part, -1),
            "unit/support": shown.gather(1, part[:, None])[:, 0].long(),
        }
