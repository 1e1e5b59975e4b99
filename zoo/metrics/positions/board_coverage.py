"""Board coverage: how well does the best single unit detect each property of a board?

Source: Karvonen et al., Measuring Progress in Dictionary Learning for Language Model Interpretability with Board Game
Models, NeurIPS 2024.
"""

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

    For thresholds 0, 0.1, ... 0.9 of each unit's largest activity: F1 of the best unit for each property, the mean over
    properties, the best threshold (Karvonen et al., Measuring progress in dictionary learning, NeurIPS 2024). The
    headline chooses units and threshold on validation games and measures them on test games; its mean is over the
    properties of ``OFTEN`` validation positions or more. Blank squares, and pieces on their initial squares, are
    masked; ``... unmasked`` are not.

    Further read-outs: ``published``, the published rule: units and threshold are chosen on the games on which they are
    measured, and the sum over all properties, rare ones included, is divided by all squares times all answers but blank
    (of ``unmasked``, all answers), so that impossible and initial properties count as 0; ``selected``, the same games
    with the mean of the headline; the same of the other families of properties, by name; ``threshold`` of the headline.

    Example:
        >>> score = BoardCoverage()
        >>> score.groups = ["pieces"]
        >>> f1 = torch.tensor([[0.8], [0.4], [0.0]])  # three properties, one threshold
        >>> often = torch.tensor([True, False, False])  # the second is rare, the third never seen
        >>> every = torch.ones(3, 1, dtype=torch.bool)
        >>> score.update(f1, f1 / 2, every, every, often)
        >>> values = score.compute()
        >>> [round(float(values[name]), 6) for name in ("coverage", "published", "selected")]
        [0.4, 0.4, 0.8]
    """

    title = "Board coverage"
    meaning = f"F1 of the best unit on held-out games, mean over properties seen {OFTEN} times or more"
    details = True
    inputs = {
        "chosen": "share",
        "judged": "share or nan",
        "member": "binary",
        "possible": "binary",
        "often": "binary",
    }
    protocol = "karvonen2024-coverage-v2"
    random_weights = True
    intervals = {"coverage": ("", 0, 1)}
    population = "properties like these on these games"
    chosen: Tensor
    judged: Tensor
    members: Tensor
    there: Tensor
    total: Tensor
    possible: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("chosen", "judged", "members", "there", "total"):
            self._sum(name, GROUPS, STEPS, dtype=torch.float64)
        self._sum("possible", GROUPS)

    def update(self, chosen: Tensor, judged: Tensor, member: Tensor, possible: Tensor, often: Tensor) -> None:
        """Add properties.

        Args:
            chosen: ``(p, T)`` F1 of the best unit at each threshold, on the games where it was chosen.
            judged: ``(p, T)`` F1 of that unit on other games, NaN for a property that these do not have.
            member: ``(p, g)`` bool, the groups to which each property belongs.
            possible: ``(p, g)`` bool, the groups whose published denominator counts it.
            often: ``(p,)`` bool, whether it is frequent enough for the means of the headline.

        Raises:
            ValueError: if a shape does not fit, or ``chosen`` is not finite.
        """
        p, steps = chosen.shape
        expect("judged", judged, p, steps)
        expect("member", member, p, None)
        expect("possible", possible, p, member.shape[1])
        expect("often", often, p)
        self._check(chosen=chosen, judged=judged, member=member, possible=possible, often=often)
        chosen, judged, each = (t.double().to(self.device) for t in (chosen, judged, member))
        each = pad(each, (0, GROUPS - each.shape[1]))[..., None]
        frequent = each * often.to(self.device)[:, None, None]
        chosen, judged = (torch.cat([t, t[:, -1:].expand(p, STEPS - steps)], 1)[:, None] for t in (chosen, judged))
        known = ~judged.isnan()
        rows = {"chosen": chosen, "judged": judged.nan_to_num(), "members": torch.ones_like(chosen), "there": known}
        for name, row in rows.items():
            self._add(name, frequent * row)
        self._add("total", each * chosen)
        self._add("possible", pad(possible.to(self.device).long(), (0, GROUPS - possible.shape[1])))
        self._add("samples", (member.any(1) & often).long().to(self.device))

    def measure(self, evaluator: PositionEvaluator) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """Choose on ``val``, measure on ``test``."""
        chosen, groups = evaluator.chosen, evaluator.groups
        correct, detected, present = (torch.zeros_like(chosen.f1) for _ in range(3))
        cuts = evaluator.cuts.gather(1, chosen.unit)
        for value, properties, _ in evaluator.activity("test"):
            on = torch.stack([value[:, unit] > cut for unit, cut in zip(chosen.unit, cuts, strict=True)])
            correct = correct + (on & properties.bool()).sum(1)
            detected = detected + on.sum(1)
            present = present + properties.sum(0)
        judged = torch.where(present > 0, 2 * correct / (detected + present), torch.nan)
        often = chosen.has >= OFTEN
        self.groups = list(groups)
        member = torch.stack(list(groups.values()), 1)
        possible = torch.stack(list(evaluator.possible.values()), 1)
        yield (chosen.f1.T, judged.T, member, possible, often), torch.arange(len(often))

    def compute(self) -> dict[str, Tensor]:
        """Return the coverage and its read-outs; see the class."""
        if not int(self.samples):
            return {"coverage": self.chosen.sum() * torch.nan, "support": self.samples}
        selected, judged = self.chosen / self.members, self.judged / self.there
        published = self.total / self.possible[:, None]
        best = selected.nan_to_num(-1).max(1).indices
        values: dict[str, Tensor] = {}
        for i, name in enumerate(self.groups or ["all"]):
            key = "" if i == 0 else f"{name} "
            values[f"{key}coverage"] = judged[i, best[i]]
            values[f"{key}published"] = published[i].max()
            values[f"{key}selected"] = selected[i].max()
        return values | {"threshold": best[0].double() / STEPS, "support": self.samples}
