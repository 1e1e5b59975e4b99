"""Spatial misalignment: does a unit depend on the region that its map highlights, or on other places of the image?

Source: Sacha et al., Interpretability Benchmark for Evaluating Spatial Misalignment of Prototypical Parts Explanations,
AAAI 2024.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.metrics._value_checks import check_classes
from zoo.metrics.base import Record, Score, expect, fraction
from zoo.metrics.parts._sample_rows import spread
from zoo.metrics.perturbations.attack import attack, highest, outside
from zoo.metrics.perturbations.noise import chosen
from zoo.registry import register


@register
class Misalignment(Score):
    """Change of the most important unit of an image under an attack outside the place that its map marks.

    For each image, the strongest unit of its class; of vocabularies whose units belong to no class, the one that
    contributes most to it. Projected gradient descent on the normalized image lowers the unit's strength, by at most
    0.1 in each value, in 20 steps of 0.01 along the sign of the gradient, from the image itself (no random start), and
    only outside the box around the strongest 5 % of its map (cubically upsampled), widened by 10 pixels of 224. A unit
    that depends on that region alone does not change. From Sacha et al., Interpretability Benchmark for Evaluating
    Spatial Misalignment of Prototypical Parts Explanations, AAAI 2024.

    ``activation``, the headline (PAC), is the drop of the strength in percent of it, mean over images. Further
    read-outs: ``ranking`` (PRC) by how many other units (of other classes, if units belong to classes) more the unit is
    outdone after the attack; ``location`` (PLC) 100 (1 - IoU) of the pixels above the 0.9 quantile of its map
    (bilinearly upsampled) before and after; ``accuracy`` (AC) points lost; ``box`` share of the image that was left
    alone; ``undefined`` images of strength 0, on which there is no drop in percent.

    Args:
        share: of the images that are attacked, chosen by a hash of their id; an attack takes 20 passes there and back.

    Raises:
        ValueError: if ``share`` is not above 0 and at most 1.

    Example:
        The strength of unit 0 drops from 4 to 3, its map stays.

        >>> score = Misalignment()
        >>> before, after = torch.tensor([[4.0, 1.0]]), torch.tensor([[3.0, 1.0]])
        >>> maps, right = torch.eye(2)[None], torch.tensor([True])
        >>> rows = (before, after, torch.tensor([0]), torch.tensor([[False, True]]), maps, maps)
        >>> score.update(*rows, size=(8, 8), right_before=right, right_after=right)
        >>> {name: float(score.compute()[name]) for name in ("activation", "location")}
        {'activation': 25.0, 'location': 0.0}
    """

    title = "Misalignment"
    meaning = "drop of a unit's strength under an attack outside the region that its map highlights"
    unit = "%"
    requires = frozenset({"units", "maps"})
    protocol = "sacha2024-eps0.1"
    inputs = {
        "before": "finite",
        "after": "finite",
        "unit": "class",
        "competitors": "binary",
        "maps_before": "finite",
        "maps_after": "finite",
        "right_before": "binary",
        "right_after": "binary",
    }
    higher_is_better = False
    intervals = {
        "activation": ("", -math.inf, 100),
        "location": ("", 0, 100),
    }
    drop: Tensor
    moved: Tensor
    left: Tensor
    defined: Tensor
    outdone: Tensor
    lost: Tensor

    def __init__(self, *, share: float = 1.0) -> None:
        super().__init__()
        self.share = fraction("share", share, zero=False)
        self._attacked: Tensor | None = None  # samples of the batch that are attacked
        for name in ("drop", "moved", "left"):
            self._sum(name, dtype=torch.float64)
        for name in ("defined", "outdone", "lost"):
            self._sum(name)

    def update(
        self,
        before: Tensor,
        after: Tensor,
        unit: Tensor,
        competitors: Tensor,
        maps_before: Tensor,
        maps_after: Tensor,
        *,
        size: tuple[int, int],
        right_before: Tensor,
        right_after: Tensor,
    ) -> None:
        """Add a batch.

        Args:
            before: ``(b, u)`` strengths in the image.
            after: ``(b, u)`` strengths in the attacked image.
            unit: ``(b,)`` int64 unit attacked.
            competitors: ``(b, u)`` bool, units that it is ranked among.
            maps_before: ``(b, h, w)`` evidence of the unit in the image.
            maps_after: ``(b, h, w)`` in the attacked image.
            size: (height, width) of the image.
            right_before: ``(b,)`` bool, whether the prediction is correct.
            right_after: ``(b,)`` the same of the attacked image.

        Raises:
            ValueError: if a shape does not fit.
        """
        expect("before", before, None, None)
        for name, tensor in (("after", after), ("competitors", competitors)):
            expect(name, tensor, *before.shape)
        expect("maps_before", maps_before, len(before), None, None)
        expect("maps_after", maps_after, *maps_before.shape)
        self._check(before=before, after=after, unit=unit, competitors=competitors)
        check_classes(self._field("unit"), unit, before.shape[1])
        self._check(maps_before=maps_before, maps_after=maps_after)
        self._check(right_before=right_before, right_after=right_after)
        if not len(before):
            return
        one, two = (t.detach().double().gather(1, unit[:, None]) for t in (before, after))
        share = torch.where(one != 0, (one - two) / one.abs(), 0)
        above = [((t.detach().double() > at) & competitors).sum(1) for t, at in ((before, one), (after, two))]
        old, new = highest(maps_before, size), highest(maps_after, size)
        union = (old | new).sum((1, 2))
        overlap = torch.where(union > 0, (old & new).sum((1, 2)).double() / union.clamp_min(1), 1)
        rows = {
            "drop": share[:, 0],
            "defined": one[:, 0] != 0,
            "outdone": above[1] - above[0],
            "moved": 1 - overlap,
            "lost": right_before.long() - right_after.long(),
            "left": (~outside(maps_before, size)).double().mean((1, 2, 3)),
            "samples": torch.ones_like(unit),
        }
        for name, values in rows.items():
            self._add(name, spread(values.to(self.device), self._attacked))

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Attack the images of a record; nothing if the strength has no gradient in the image."""
        explanation, model, owner = record.explanation, record.model, record.explanation.units.owner
        own = torch.ones_like(explanation.strength).bool()
        owned = False
        if owner is not None and bool((owner >= 0).all()):
            owned = True
            own = owner.to(explanation.target.device) == explanation.target[:, None]
        strongest, unit = (
            (explanation.strength if owned else explanation.contribution).masked_fill(~own, -torch.inf).max(1)
        )
        known = (strongest > -torch.inf) if owned else (strongest > 0)
        attacked = known & chosen(record.batch.index.to(known.device), self.share)
        rows = attacked.nonzero()[:, 0]
        if not len(rows):
            return
        x, y, unit, shown = record.batch.x[rows], explanation.target[rows], unit[rows], unit[rows][:, None]
        before, size = model.explain(x, target=y, shown=shown), record.size
        changed_x = attack(model, x, unit, outside(before.where[:, 0], size), target=y)
        if changed_x is None:
            self.why = "the strength of units has no gradient in the image"
            return
        after = model.explain(changed_x, target=y, shown=shown)
        competitors = ~own[rows] if owned else own[rows].scatter(1, shown, False)
        self._attacked = attacked
        try:
            self.update(
                before.strength,
                after.strength,
                unit,
                competitors,
                before.where[:, 0],
                after.where[:, 0],
                size=size,
                right_before=before.logits.argmax(1) == y,
                right_after=after.logits.argmax(1) == y,
            )
        finally:
            self._attacked = None

    def compute(self) -> dict[str, Tensor]:
        """The changes; see the class."""
        n = self.samples.double()
        return {
            "activation": 100 * self.drop / self.defined,
            "ranking": self.outdone / n,
            "location": 100 * self.moved / n,
            "accuracy": 100 * self.lost / n,
            "box": self.left / n,
            "undefined": self.samples - self.defined,
            "support": self.samples,
        }
