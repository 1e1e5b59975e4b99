"""Board reconstruction: how much of a board follows from its active units?"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad

from zoo.metrics.base import expect
from zoo.metrics.positions._evaluator import STEPS, PositionEvaluator, product
from zoo.metrics.positions._position_score import GROUPS, PositionScore
from zoo.registry import register


@register
class BoardReconstruction(PositionScore):
    """How much of a board its active units determine: F1 of all properties that they indicate, over all positions.

    On validation games a unit at a threshold is a sign of every property of which it has precision 0.95 or more, if it
    is active ten times or more. On test games a property is predicted where any active unit is a sign of it; micro F1
    over positions and properties, the best threshold. A further mode, ``highest``, uses only the highest threshold
    that each unit has passed (Karvonen et al., 2024). Masked as for ``BoardCoverage``.

    Further read-outs: the same of the other families, by name; ``precision`` and ``recall`` of the headline; ``mode``
    its threshold, 1 for ``highest``.
    """

    title = "Board reconstruction"
    meaning = "F1 of the board properties predicted by all high-precision active units"
    details = True
    protocol = "karvonen2024-reconstruction-v1"
    intervals = {"reconstruction": ("", 0, 1)}
    random_weights = True
    counts: Tensor

    def __init__(self) -> None:
        super().__init__()
        self._sum("counts", GROUPS, STEPS + 1, 3)

    def update(self, counts: Tensor) -> None:
        """Add games.

        Args:
            counts: ``(b, g, m, 3)`` integer; properties of each of g groups, in each of m modes, the thresholds and
                ``highest``: predicted correctly, predicted, present.

        Raises:
            ValueError: if the shape does not fit.
        """
        expect("counts", counts, None, None, None, 3)
        counts = torch.cat([counts, counts[:, :, -1:].expand(-1, -1, STEPS + 1 - counts.shape[2], -1)], 2)
        self._add("counts", pad(counts, (0, 0, 0, 0, 0, GROUPS - counts.shape[1])).to(self.device))
        self.samples = self.samples + len(counts)

    def measure(self, evaluator: PositionEvaluator) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """Signs from ``val``, scored on ``test``."""
        groups, cuts = evaluator.groups, evaluator.cuts
        member = torch.stack(list(groups.values()), 1).to(torch.int8)
        signs = [(ids, sign[ids]) for sign in evaluator.chosen.sign for ids in [sign.any(1).nonzero()[:, 0]]]
        self.groups = list(groups)
        for value, known, game in evaluator.activity("test"):
            level = (value[None] > cuts[:, None]).sum(0)  # thresholds passed: nested
            predicted = [product(level[:, ids] > i, sign) > 0 for i, (ids, sign) in enumerate(signs)]
            exact = [product(level[:, ids] == i + 1, sign) > 0 for i, (ids, sign) in enumerate(signs)]
            modes = torch.stack([*predicted, torch.stack(exact).any(0)], 1)  # (r, m, p)
            there = known.bool()[:, None].expand(modes.shape)
            rows = [
                product(t.flatten(0, 1), member).unflatten(0, t.shape[:2]).mT for t in (modes & there, modes, there)
            ]
            rows = torch.stack(rows, -1).long()
            names, at = game.unique(return_inverse=True)
            yield (torch.zeros(len(names), *rows.shape[1:], dtype=torch.int64).index_add_(0, at, rows),), names

    def compute(self) -> dict[str, Tensor]:
        """The F1 and its read-outs; see the class."""
        right, predicted, there = self.counts.double().unbind(-1)  # (g, m)
        if not bool(there.any()):
            return {"reconstruction": there.sum() * torch.nan, "support": self.samples}
        f1 = 2 * right / (predicted + there).clamp_min(1)
        best, found = f1.argmax(1), {}
        for i, name in enumerate(self.groups or ["all"]):
            found["reconstruction" if i == 0 else f"{name} reconstruction"] = f1[i, best[i]]
        found |= {
            "precision": (right / predicted.clamp_min(1))[0, best[0]],
            "recall": (right / there.clamp_min(1))[0, best[0]],
        }
        return found | {"mode": best[0].double() / STEPS, "support": self.samples}
