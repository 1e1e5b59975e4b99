"""Board coverage: how well does the best single unit detect each property of a board?"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad

from zoo.metrics.base import expect
from zoo.metrics.positions._evaluator import OFTEN, STEPS, PositionEvaluator
from zoo.metrics.positions._position_score import GROUPS, PositionScore
from zoo.registry import register


@register
class BoardCoverage(PositionScore):
    """How well single units detect properties of positions: best F1 over units, mean over properties.

    For thresholds 0, 0.1, ... 0.9 of each unit's largest activity, F1 of the best unit for each property, the mean over
    properties, the best threshold (Karvonen et al., Measuring progress in dictionary learning, NeurIPS 2024). As
    published the unit is chosen on the games on which it is scored; that is ``published``. The headline chooses
    units and threshold on validation games, and scores them on test games. Properties of ``OFTEN`` positions or more
    count. Blank squares, and pieces where they stood at the start, are masked; ``... unmasked`` are not.

    Further read-outs: the same of the other families of properties, by name; ``threshold`` of the headline.
    """

    title = "Board coverage"
    meaning = "F1 of the best unit for each property of a position, mean over properties"
    details = True
    protocol = "karvonen2024-coverage-v1"
    random_weights = True
    chosen: Tensor
    judged: Tensor
    members: Tensor
    there: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("chosen", "judged", "members", "there"):
            self._sum(name, GROUPS, STEPS, dtype=torch.float64)

    def update(self, chosen: Tensor, judged: Tensor, member: Tensor) -> None:
        """Add properties.

        Args:
            chosen: ``(p, T)`` F1 of the best unit at each threshold, on the games where it was chosen.
            judged: ``(p, T)`` F1 of that unit on other games, NaN for a property that these do not have.
            member: ``(p, g)`` bool, the groups of properties that each belongs to.

        Raises:
            ValueError: if a shape does not fit.
        """
        p, steps = chosen.shape
        expect("judged", judged, p, steps)
        expect("member", member, p, None)
        chosen, judged, each = (t.double().to(self.device) for t in (chosen, judged, member))
        each = pad(each, (0, GROUPS - each.shape[1]))[..., None]
        chosen, judged = (torch.cat([t, t[:, -1:].expand(p, STEPS - steps)], 1)[:, None] for t in (chosen, judged))
        known = ~judged.isnan()
        rows = {"chosen": chosen, "judged": judged.nan_to_num(), "members": torch.ones_like(chosen), "there": known}
        for name, row in rows.items():
            self._add(name, each * row)
        self.samples = self.samples + p

    def measure(self, evaluator: PositionEvaluator) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """Choose on ``val``, score on ``test``."""
        chosen, groups = evaluator.chosen, evaluator.groups
        hit, fired, has = (torch.zeros_like(chosen.f1) for _ in range(3))
        cuts = evaluator.cuts.gather(1, chosen.unit)
        for value, known, _ in evaluator.activity("test"):
            on = torch.stack([value[:, unit] > cut for unit, cut in zip(chosen.unit, cuts, strict=True)])
            hit, fired, has = hit + (on & known.bool()).sum(1), fired + on.sum(1), has + known.sum(0)
        judged = torch.where(has > 0, 2 * hit / (fired + has), torch.nan)
        often = chosen.has >= OFTEN
        self.groups = list(groups)
        member = torch.stack(list(groups.values()), 1)
        yield (chosen.f1.T[often], judged.T[often], member[often]), often.nonzero()[:, 0]

    def compute(self) -> dict[str, Tensor]:
        """The coverage and its read-outs; see the class."""
        if not int(self.samples):
            return {"coverage": self.chosen.sum() * torch.nan, "support": self.samples}
        chosen, judged = self.chosen / self.members, self.judged / self.there
        best, found = chosen.nan_to_num(-1).max(1), {}
        for i, name in enumerate(self.groups or ["all"]):
            key = "" if i == 0 else f"{name} "
            found |= {f"{key}coverage": judged[i, best.indices[i]], f"{key}published": chosen[i].max()}
        return found | {"threshold": best.indices[0].double() / 10, "support": self.samples}
