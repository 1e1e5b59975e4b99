"""Interventions: how does accuracy grow when concepts are corrected, group by group?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from zoo.concept_schema import ConceptSchema
from zoo.metrics.base import Record, Score, count, expect, fraction
from zoo.metrics.concepts._policies import POLICIES, STUDIED, Candidates, Decide, Step, gains
from zoo.metrics.perturbations.noise import random_bits
from zoo.registry import register

FINE = 2**40  # gains are summed as whole numbers of this fraction: bit-identical in any order


@register
class Interventions(Score):
    """Area under the curve of accuracy against the number of concept groups set, mean over policies and seeds.

    For each sample, a policy orders the groups; the first 0, 1, ... of them are set (nested sets). The policies are
    the functions of ``zoo.metrics.concepts._policies``; ``error`` and ``greedy`` are oracles, ``global_error`` and
    ``global_gain`` need the validation split first (``fit``). Ties and random orders are drawn from (seed, sample)
    alone; where nothing else is random, policies that are computed again after each step are computed for one seed.
    Unknown concepts are left as predicted.

    Further read-outs: ``none`` and ``all`` groups set; for each policy ``<policy>``, its mean area over seeds,
    ``<policy> spread``, the standard deviation over seeds, ``<policy> gain``, the area above ``none`` as a share of
    what all groups gain, and ``<policy> groups``, how many groups bring 95 % of that gain; ``lost steps``, how many
    steps of the mean curves lower it. ``curve/<policy>``: ``(g + 1,)`` the mean curve.

    Args:
        concepts: the schema, g groups.
        policies: some of ``POLICIES``.
        seeds: orders drawn.
        competence: probability that the person sets a concept correctly, drawn per sample, seed and concept; 0 is
            adversarial.

    Raises:
        ValueError: if an argument is not understood.
    """

    title = "Interventions"
    meaning = "mean accuracy while concept groups are set to their true values one by one"
    axes = {"*": ("concept groups set", "accuracy")}
    details = True
    requires = frozenset({"units", "concepts"})
    protocol = "zoo-interventions-v1"
    right: Tensor

    def __init__(
        self,
        concepts: ConceptSchema,
        *,
        policies: Sequence[str] = ("random", "uncertainty"),
        seeds: int = 5,
        competence: float = 1.0,
    ) -> None:
        super().__init__()
        if unknown := [p for p in policies if p not in POLICIES] or ([] if policies else ["none"]):
            raise ValueError(f"policy {unknown[0]!r} is not known; expected some of {', '.join(POLICIES)}")
        self.policies, self.seeds = tuple(policies), count("seeds", seeds)
        self.competence = fraction("competence", competence)
        self.candidates = Candidates(concepts)
        self.group, self.groups = concepts.group_ids, len(concepts.group_names)
        self.single = ~concepts.columns("categorical")
        self.protocol = self._variant(type(self).protocol, seeds=seeds, competence=competence)
        self.fit_splits = ("val",) if set(policies) & set(STUDIED) else ()
        self.studied = torch.zeros(2, self.groups, dtype=torch.int64)
        self._sum("right", len(self.policies), self.seeds, self.groups + 1)

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record."""
        assert record.decide is not None
        assert record.ends is not None
        assert record.predicted is not None
        b, strength = record.batch, record.explanation.strength
        assert b.concepts is not None
        self.update(strength, record.predicted, b.concepts, b.y, b.index, *record.ends, decide=record.decide)

    def fit(self, record: Record, split: str) -> None:
        """Add a batch of the validation split to the means of the global policies."""
        assert record.decide is not None
        assert record.ends is not None
        assert record.predicted is not None
        assert record.batch.concepts is not None
        truth, (low, high) = record.batch.concepts, record.ends
        step = self._step(
            record.explanation.strength, record.predicted, truth, truth, record.batch.y, low, high, record.decide
        )
        wrong = self.candidates.mean_of_columns(((step.predicted >= 0.5) != (truth > 0.5)).double() * truth.isfinite())
        before = step.now().gather(1, step.y[:, None])
        found = torch.stack([wrong.sum(0), (gains(step) - before).sum(0)])
        self.studied = self.studied.to(found.device) + (found * FINE).round().long()

    def update(
        self,
        strength: Tensor,
        predicted: Tensor,
        truth: Tensor,
        y: Tensor,
        index: Tensor,
        low: Tensor,
        high: Tensor,
        *,
        decide: Decide,
    ) -> None:
        """Add the curves of a batch.

        Args:
            strength: ``(b, m)`` what the head reads.
            predicted: ``(b, m)`` the concepts as probabilities; where strengths are those, the same.
            truth: ``(b, m)`` true concepts, NaN where unknown.
            y: ``(b,)`` true class.
            index: ``(b,)`` int64 identity of each sample, from which random orders are drawn.
            low: ``(b, m)`` strengths that stand for 0.
            high: ``(b, m)`` strengths that stand for 1.
            decide: logits ``(..., b, c)`` from mask and strengths ``(..., b, m)``.

        Raises:
            ValueError: if a shape does not fit.
        """
        expect("strength", strength, None, len(self.group))
        expect("predicted", predicted, len(strength), len(self.group))
        expect("truth", truth, len(strength), len(self.group))
        index = index.to(strength.device)
        right = torch.zeros_like(self.right)
        for n in range(self.seeds):
            step = self._step(strength, predicted, truth, self._said(truth, index, n), y, low, high, decide)
            noise = _uniform(index, 2 * n, self.groups)
            for i, policy in enumerate(self.policies):
                once = n > 0 and POLICIES[policy][1] and self.competence == 1
                right[i, n] = right[i, 0] if once else self._curve(step, self._rank(policy, step, noise))
        self.right = self.right + right
        self.samples = self.samples + len(y)

    def _step(
        self,
        strength: Tensor,
        predicted: Tensor,
        truth: Tensor,
        said: Tensor,
        y: Tensor,
        low: Tensor,
        high: Tensor,
        decide: Decide,
    ) -> Step:
        known = truth.isfinite()
        value = torch.where(known, low + said.nan_to_num() * (high - low), strength)
        study = self.studied.to(strength.device).double() / FINE
        none = torch.zeros_like(known)
        return Step(self.candidates, strength, predicted, low, high, truth, y, value, known, none, decide, study)

    def _said(self, truth: Tensor, index: Tensor, n: int) -> Tensor:
        """Return the values set ``(b, m)``: a wrong binary concept is flipped, a wrong group has its next value."""
        if self.competence == 1:
            return truth
        false = _uniform(index, 2 * n + 1, self.groups)[:, self.group] >= self.competence
        flipped = 1 - truth
        for g in self.group[~self.single].unique().tolist():
            columns = (self.group == g).nonzero()[:, 0]
            flipped[:, columns] = truth[:, columns.roll(1)]
        return torch.where(false, flipped, truth)

    def _rank(self, policy: str, step: Step, noise: Tensor) -> Tensor:
        """``(b, g)`` the place of each group in the order of its sample, 0 first; ties fall by ``noise``."""
        score, again = POLICIES[policy]
        if not again:
            order = noise.argsort(1)  # ties in any order, but the same in any batch
            return order.gather(1, (-score(step)).gather(1, order).argsort(dim=1, stable=True)).argsort(1)
        rank = torch.full(noise.shape, self.groups, device=noise.device)
        for place in range(self.groups):
            step = replace(step, chosen=(rank < self.groups)[:, self.group])
            wanted = score(step) + 1e-12 * noise
            rank.scatter_(1, wanted.masked_fill(rank < self.groups, -torch.inf).argmax(1, keepdim=True), place)
        return rank

    def _curve(self, step: Step, rank: Tensor) -> Tensor:
        steps = torch.arange(self.groups + 1, device=rank.device)
        masks = (rank[:, self.group] < steps[:, None, None]) & step.known  # (g + 1, b, m)
        return (step.decide(masks, step.value.expand_as(masks)).argmax(-1) == step.y).sum(1)

    def compute(self) -> dict[str, Tensor]:
        """The areas, their spread and the curves; see the class."""
        curves = self.right / self.samples.double()  # (policies, seeds, g + 1)
        area = torch.trapezoid(curves, dim=-1) / self.groups
        mean = curves.mean(1)
        out = {"area": area.mean(), "none": mean[:, 0].mean(), "all": mean[:, -1].mean()}
        for i, policy in enumerate(self.policies):
            first, last = mean[i, 0], mean[i, -1]
            enough = mean[i] >= first + 0.95 * (last - first) - 1e-12
            share = (area[i].mean() - first) / (last - first)
            out |= {policy: area[i].mean(), f"{policy} spread": area[i].std(correction=0)}
            if last > first:
                out |= {f"{policy} gain": share, f"{policy} groups": enough.int().argmax().double()}
        out["lost steps"] = (mean.diff(dim=-1) < -1e-12).sum().double()
        out["support"] = self.samples
        return out | {f"curve/{policy}": mean[i] for i, policy in enumerate(self.policies)}


def _uniform(index: Tensor, draw: int, k: int) -> Tensor:
    """``(b, k)`` float64 in [0, 1), from (sample, draw, column) alone."""
    return (random_bits(index, draw=draw, count=k) & (2**52 - 1)).double() / 2**52
