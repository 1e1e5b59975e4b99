"""Board states in units: how well one unit tells one property, and how much of a board the active units tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from zoo.metrics.base import expect
from zoo.metrics.positions._evaluator import OFTEN, STEPS, Watch, product
from zoo.metrics.positions._position_score import PositionScore

GROUPS = 8  # of properties, at most


class BoardCoverage(PositionScore):
    """How well single units tell properties of positions: best F1 over units, mean over properties.

    For thresholds 0, .1, ... .9 of each unit's largest activity, F1 of the best unit for each property, the mean over
    properties, the best threshold (Karvonen et al., Measuring progress in dictionary learning, NeurIPS 2024). As
    published the unit is chosen on the very games that it is judged on; that is ``published``. The headline chooses
    units and threshold on validation games, and judges them on test games. Properties of ``OFTEN`` positions or more
    count. Blank squares, and pieces where they stood at the start, are masked; ``... unmasked`` are not.

    Further read-outs: the same of the other families of properties, by name; ``threshold`` of the headline.
    """

    protocol = "karvonen2024-coverage-v1"
    control: ClassVar[bool] = True

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

    def asked(self, watch: Watch) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """Choose on ``val``, judge on ``test``."""
        told, groups = watch.chosen, watch.groups
        hit, fired, has = (torch.zeros_like(told.f1) for _ in range(3))
        cuts = watch.cuts.gather(1, told.unit)
        for value, known, _ in watch.look("test"):
            on = torch.stack([value[:, unit] > cut for unit, cut in zip(told.unit, cuts, strict=True)])
            hit, fired, has = hit + (on & known.bool()).sum(1), fired + on.sum(1), has + known.sum(0)
        judged = torch.where(has > 0, 2 * hit / (fired + has), torch.nan)
        often = told.has >= OFTEN
        self.groups = list(groups)
        member = torch.stack(list(groups.values()), 1)
        yield (told.f1.T[often], judged.T[often], member[often]), often.nonzero()[:, 0]

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


class BoardReconstruction(PositionScore):
    """How much of a board its active units tell: F1 of all properties that they are signs of, over all positions.

    On validation games a unit at a threshold is a sign of every property of which it has precision .95 or more, if it
    is active ten times or more. On test games a property is foretold where any active unit is a sign of it; micro F1
    over positions and properties, the best threshold. A further mode, ``highest``, asks only the highest threshold
    that each unit has passed (Karvonen et al., 2024). Masked as for ``BoardCoverage``.

    Further read-outs: the same of the other families, by name; ``precision`` and ``recall`` of the headline; ``mode``
    its threshold, 1 for ``highest``.
    """

    protocol = "karvonen2024-reconstruction-v1"
    intervals: ClassVar[dict[str, tuple[str, float, float]]] = {"reconstruction": ("", 0, 1)}
    control: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._sum("counts", GROUPS, STEPS + 1, 3)

    def update(self, counts: Tensor) -> None:
        """Add games.

        Args:
            counts: ``(b, g, m, 3)`` integer; properties of each of g groups, in each of m modes, the thresholds and
                ``highest``: foretold rightly, foretold, there.

        Raises:
            ValueError: if the shape does not fit.
        """
        expect("counts", counts, None, None, None, 3)
        counts = torch.cat([counts, counts[:, :, -1:].expand(-1, -1, STEPS + 1 - counts.shape[2], -1)], 2)
        self._add("counts", pad(counts, (0, 0, 0, 0, 0, GROUPS - counts.shape[1])).to(self.device))
        self.samples = self.samples + len(counts)

    def asked(self, watch: Watch) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """Signs from ``val``, judged on ``test``."""
        groups, cuts = watch.groups, watch.cuts
        member = torch.stack(list(groups.values()), 1).to(torch.int8)
        signs = [(ids, sign[ids]) for sign in watch.chosen.sign for ids in [sign.any(1).nonzero()[:, 0]]]
        self.groups = list(groups)
        for value, known, game in watch.look("test"):
            level = (value[None] > cuts[:, None]).sum(0)  # thresholds passed: nested
            told = [product(level[:, ids] > i, sign) > 0 for i, (ids, sign) in enumerate(signs)]
            exact = [product(level[:, ids] == i + 1, sign) > 0 for i, (ids, sign) in enumerate(signs)]
            modes = torch.stack([*told, torch.stack(exact).any(0)], 1)  # (r, m, p)
            there = known.bool()[:, None].expand(modes.shape)
            rows = [
                product(t.flatten(0, 1), member).unflatten(0, t.shape[:2]).mT for t in (modes & there, modes, there)
            ]
            rows = torch.stack(rows, -1).long()
            names, at = game.unique(return_inverse=True)
            yield (torch.zeros(len(names), *rows.shape[1:], dtype=torch.int64).index_add_(0, at, rows),), names

    def compute(self) -> dict[str, Tensor]:
        """The F1 and its read-outs; see the class."""
        right, told, there = self.counts.double().unbind(-1)  # (g, m)
        if not bool(there.any()):
            return {"reconstruction": there.sum() * torch.nan, "support": self.samples}
        f1 = 2 * right / (told + there).clamp_min(1)
        best, found = f1.argmax(1), {}
        for i, name in enumerate(self.groups or ["all"]):
            found["reconstruction" if i == 0 else f"{name} reconstruction"] = f1[i, best[i]]
        found |= {
            "precision": (right / told.clamp_min(1))[0, best[0]],
            "recall": (right / there.clamp_min(1))[0, best[0]],
        }
        return found | {"mode": best[0].double() / STEPS, "support": self.samples}
