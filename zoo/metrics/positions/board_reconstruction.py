"""Board reconstruction: how much of a board follows from its active units?

Source: Karvonen et al., Measuring Progress in Dictionary Learning for Language Model Interpretability with Board Game
Models, NeurIPS 2024.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad

from zoo.metrics.base import expect
from zoo.metrics.positions._evaluator import STEPS, PositionEvaluator
from zoo.metrics.positions._position_score import GROUPS, PositionScore
from zoo.metrics.positions._properties import product
from zoo.registry import register


@register
class BoardReconstruction(PositionScore):
    """How much of a board its active units determine: F1 of all properties that they predict, over all positions.

    On validation games a unit at a threshold is labeled with every property that it detects with precision 0.95 or
    more, if it is active ten times or more. On test games a property is predicted where any active unit is labeled with
    it; micro F1 over positions and properties, the best threshold. In a further mode, ``highest``, each unit predicts
    at one threshold alone: of those that it has passed and that carry a label in the group of properties, the highest
    (Karvonen et al., Measuring progress in dictionary learning, NeurIPS 2024). Masked as for ``BoardCoverage``.

    Further read-outs: the same of the other families, by name; ``precision`` and ``recall`` of the headline; ``mode``
    its threshold, 1 for ``highest``.

    Example:
        >>> score = BoardReconstruction()
        >>> score.update(torch.tensor([[[[3, 4, 6]]]]))  # one game, group and mode: 3 of 4 predictions right, 6 present
        >>> values = score.compute()
        >>> [round(float(values[name]), 6) for name in ("reconstruction", "precision", "recall")]
        [0.6, 0.75, 0.5]
    """

    title = "Board reconstruction"
    meaning = "F1 of the board properties predicted by all high-precision active units"
    details = True
    inputs = {"counts": "count"}
    population = "games like these"
    protocol = "karvonen2024-reconstruction-v2"
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
            ValueError: if the shape does not fit or a count is negative.
        """
        expect("counts", counts, None, None, None, 3)
        self._check(counts=counts)
        counts = torch.cat([counts, counts[:, :, -1:].expand(-1, -1, STEPS + 1 - counts.shape[2], -1)], 2)
        self._add("counts", pad(counts, (0, 0, 0, 0, 0, GROUPS - counts.shape[1])).to(self.device))
        self._add("samples", torch.ones(len(counts), dtype=torch.int64, device=self.device))

    def measure(self, evaluator: PositionEvaluator) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """Label units on ``val``, measure on ``test``."""
        groups, cuts, labels = evaluator.groups, evaluator.cuts, evaluator.chosen.sign
        member = torch.stack(list(groups.values()), 1).to(torch.int8)
        self.groups = list(groups)
        labeled = [(ids, sign[ids]) for sign in labels for ids in [sign.any(1).nonzero()[:, 0]]]
        highest = [_Highest(labels, columns) for columns in groups.values()]
        for value, properties, game in evaluator.activity("test"):
            passed = (value[None] > cuts[:, None]).sum(0)  # (r, u): thresholds are nested
            modes = torch.stack([product(passed[:, ids] > i, sign) > 0 for i, (ids, sign) in enumerate(labeled)], 1)
            present = properties.bool()[:, None].expand(modes.shape)  # (r, T, p)
            rows = [
                product(t.flatten(0, 1), member).unflatten(0, t.shape[:2]).mT for t in (modes & present, modes, present)
            ]
            last = torch.stack([mode.counts(passed, properties) for mode in highest], 1)  # (r, g, 3)
            counts = torch.cat([torch.stack(rows, -1).long(), last[:, :, None]], 2)
            games, at = game.unique(return_inverse=True)
            sums = torch.zeros(len(games), *counts.shape[1:], dtype=torch.int64)
            yield (sums.index_add_(0, at, counts),), games

    def compute(self) -> dict[str, Tensor]:
        """Return the F1 and its read-outs; see the class."""
        correct, predicted, present = self.counts.double().unbind(-1)  # (g, m)
        if not bool(present.any()):
            return {"reconstruction": present.sum() * torch.nan, "support": self.samples}
        f1 = 2 * correct / (predicted + present).clamp_min(1)
        best = f1.argmax(1)
        values: dict[str, Tensor] = {}
        for i, name in enumerate(self.groups or ["all"]):
            values["reconstruction" if i == 0 else f"{name} reconstruction"] = f1[i, best[i]]
        values["precision"] = (correct / predicted.clamp_min(1))[0, best[0]]
        values["recall"] = (correct / present.clamp_min(1))[0, best[0]]
        return values | {"mode": best[0].double() / STEPS, "support": self.samples}


class _Highest:
    """Mode ``highest`` of one group: each unit predicts at the highest labeled threshold that it has passed.

    Args:
        labels: ``(T, u, p)`` bool, the properties with which each unit is labeled at each threshold.
        columns: ``(p,)`` bool, the properties of the group.
    """

    def __init__(self, labels: Tensor, columns: Tensor) -> None:
        self.columns = columns
        own = [sign[:, columns] for sign in labels]
        has_label = torch.stack([sign.any(1) for sign in own])  # (T, u)
        number = torch.arange(1, len(labels) + 1)[:, None] * has_label
        none = torch.zeros_like(number[:1])
        self.last = torch.cat([none, number]).cummax(0).values  # (T + 1, u): by the number of thresholds passed
        self.labeled = [(ids, sign[ids]) for sign in own for ids in [sign.any(1).nonzero()[:, 0]]]

    def counts(self, passed: Tensor, properties: Tensor) -> Tensor:
        """``(r, 3)`` properties predicted correctly, predicted, present, from thresholds passed ``(r, u)``."""
        at = self.last.gather(0, passed)
        predicted = torch.zeros(len(passed), int(self.columns.sum()), dtype=torch.bool)
        for number, (ids, sign) in enumerate(self.labeled, 1):
            predicted |= product(at[:, ids] == number, sign) > 0
        present = properties[:, self.columns].bool()
        return torch.stack([(predicted & present).sum(1), predicted.sum(1), present.sum(1)], 1)
