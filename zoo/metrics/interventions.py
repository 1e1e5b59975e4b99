"""What the answer gains when a person corrects the concepts, group by group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from zoo.concepts import ConceptSchema
from zoo.metrics.base import Score, Seen, count, expect, fraction
from zoo.metrics.perturb import random_bits

Decide = Callable[[Tensor, Tensor], Tensor]  # mask and strengths (..., b, u) -> logits (..., b, c)
POLICIES = ("random", "uncertainty", "error", "greedy")


class Interventions(Score):
    """Area under the curve of accuracy against the number of concept groups set, mean over policies and seeds.

    For each sample, a policy orders the groups; the first 0, 1, ... of them are set (nested sets). Policies:
    ``random``; ``uncertainty``, the prediction nearest to the middle first, mean over the group; ``error``, an oracle,
    the furthest from the truth first; ``greedy``, an oracle, what raises the true class most, step by step. Ties and
    random orders are drawn from (seed, sample) alone. Unknown concepts are left as predicted.

    Further read-outs, for each policy: ``<policy>``, its mean area over seeds, and ``<policy> spread``, the standard
    deviation over seeds; ``none`` and ``all`` groups set; ``lost steps``, how many steps of the mean curves lower it.
    ``curve/<policy>``: ``(g + 1,)`` the mean curve.

    Args:
        concepts: the schema, g groups.
        policies: some of the above.
        seeds: orders drawn.
        competence: chance that the person sets a concept rightly, drawn per sample, seed and concept; 0 is adversarial.

    Raises:
        ValueError: if an argument is not understood.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"units", "concepts"})
    protocol = "zoo-interventions-v1"

    def __init__(
        self, concepts: ConceptSchema, *, policies: Sequence[str] = ("random", "uncertainty"), seeds: int = 5,
        competence: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__()
        if unknown := [p for p in policies if p not in POLICIES] or ([] if policies else ["none"]):
            raise ValueError(f"policy {unknown[0]!r} is not known; expected some of {', '.join(POLICIES)}")
        self.policies, self.seeds = tuple(policies), count("seeds", seeds)
        self.competence = fraction("competence", competence)
        self.group, self.groups = concepts.group_ids, len(concepts.group_names)
        self.single = ~concepts.columns("categorical")
        self.protocol = self._variant(type(self).protocol, seeds=seeds, competence=competence)
        self._sum("right", len(self.policies), self.seeds, self.groups + 1)

    def feed(self, seen: Seen, changed: Seen | None = None, draw: int = 0) -> None:
        """Add what a suite saw."""
        assert seen.decide is not None
        assert seen.ends is not None
        assert seen.batch.concepts is not None
        batch = seen.batch
        self.update(seen.explanation.strength, batch.concepts, batch.y, batch.index, *seen.ends, decide=seen.decide)

    def update(
        self, strength: Tensor, truth: Tensor, y: Tensor, index: Tensor, low: Tensor, high: Tensor, *, decide: Decide
    ) -> None:  # fmt: skip
        """Add the curves of a batch.

        Args:
            strength: ``(b, m)`` as predicted.
            truth: ``(b, m)`` true concepts, NaN where unknown.
            y: ``(b,)`` true class.
            index: ``(b,)`` int64 identity of each sample, from which random orders are drawn.
            low: ``(b, m)`` strengths that say 0.
            high: ``(b, m)`` strengths that say 1.
            decide: logits ``(..., b, c)`` from mask and strengths ``(..., b, m)``.

        Raises:
            ValueError: if a shape does not fit.
        """
        expect("strength", strength, None, len(self.group))
        expect("truth", truth, len(strength), len(self.group))
        index = index.to(strength.device)
        right = torch.zeros_like(self.right)
        share = ((strength - low) / (high - low)).clamp(0, 1)
        for n in range(self.seeds):
            set_to, known = self._set_to(truth, index, n), truth.isfinite()
            value = torch.where(known, low + set_to.nan_to_num() * (high - low), strength)
            noise = _uniform(index, 2 * n, self.groups)
            for i, policy in enumerate(self.policies):
                if policy == "greedy":
                    order = self._greedy(decide, value, known, y, noise)
                else:
                    order = self._rank(policy, share, truth, noise)
                right[i, n] = self._curve(decide, order, value, known, y)
        self.right = self.right + right
        self.samples = self.samples + len(y)

    def _set_to(self, truth: Tensor, index: Tensor, n: int) -> Tensor:
        """What the person says ``(b, m)``: a false binary concept is flipped, a false group says its next value."""
        if self.competence == 1:
            return truth
        false = _uniform(index, 2 * n + 1, self.groups)[:, self.group] >= self.competence
        flipped = 1 - truth
        for g in self.group[~self.single].unique().tolist():
            columns = (self.group == g).nonzero()[:, 0]
            flipped[:, columns] = truth[:, columns.roll(1)]
        return torch.where(false, flipped, truth)

    def _rank(self, policy: str, share: Tensor, truth: Tensor, noise: Tensor) -> Tensor:
        """``(b, g)`` the place of each group in the order of its sample, 0 first."""
        if policy == "random":
            return noise.argsort(1).argsort(1)
        each = -(share - 0.5).abs() if policy == "uncertainty" else (share - truth).abs().nan_to_num()
        total = torch.zeros_like(noise).index_add(1, self.group.to(each.device), each.to(noise))
        mean = total / torch.bincount(self.group, minlength=self.groups).to(noise)
        order = noise.argsort(1)  # ties in any order, but the same in any batch
        return order.gather(1, (-mean).gather(1, order).argsort(dim=1, stable=True)).argsort(1)

    def _greedy(self, decide: Decide, value: Tensor, known: Tensor, y: Tensor, noise: Tensor) -> Tensor:
        rank = torch.full(noise.shape, self.groups, device=noise.device)
        member = self.group.to(noise.device) == torch.arange(self.groups, device=noise.device)[:, None]  # (g, m)
        for step in range(self.groups):
            chosen = (rank < self.groups)[:, self.group]
            masks = (chosen | member[:, None]) & known  # (g, b, m)
            p = decide(masks, value.expand_as(masks)).softmax(-1)
            gain = p.gather(2, y.expand(self.groups, -1)[..., None])[..., 0].T.to(noise) + 1e-12 * noise  # (b, g)
            best = gain.masked_fill(rank < self.groups, -1).argmax(1, keepdim=True)
            rank.scatter_(1, best, step)
        return rank

    def _curve(self, decide: Decide, rank: Tensor, value: Tensor, known: Tensor, y: Tensor) -> Tensor:
        steps = torch.arange(self.groups + 1, device=rank.device)
        masks = (rank[:, self.group] < steps[:, None, None]) & known  # (g + 1, b, m)
        return (decide(masks, value.expand_as(masks)).argmax(-1) == y).sum(1)

    def compute(self) -> dict[str, Tensor]:
        """The areas, their spread and the curves; see the class."""
        curves = self.right / self.samples.double()  # (policies, seeds, g + 1)
        area = torch.trapezoid(curves, dim=-1) / self.groups
        mean = curves.mean(1)
        out = {"area": area.mean(), "none": mean[:, 0].mean(), "all": mean[:, -1].mean()}
        for i, policy in enumerate(self.policies):
            out |= {policy: area[i].mean(), f"{policy} spread": area[i].std(correction=0)}
        out["lost steps"] = (mean.diff(dim=-1) < -1e-12).sum().double()
        out["support"] = self.samples
        return out | {f"curve/{policy}": mean[i] for i, policy in enumerate(self.policies)}


def _uniform(index: Tensor, draw: int, k: int) -> Tensor:
    """``(b, k)`` float64 in [0, 1), from (sample, draw, column) alone."""
    return (random_bits(index, draw=draw, count=k) & (2**52 - 1)).double() / 2**52
