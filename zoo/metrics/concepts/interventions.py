"""Interventions: how does accuracy grow when concepts are corrected, group by group?

Source: Koh et al., Concept Bottleneck Models, ICML 2020; Chauhan et al., Interactive Concept Bottleneck Models, AAAI
2023; Shin et al., A Closer Look at the Intervention Procedure of Concept Bottleneck Models, ICML 2023.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.concept_schema import ConceptSchema
from zoo.metrics.base import Record, Score, count, expect, fraction
from zoo.metrics.concepts._candidates import Candidates
from zoo.metrics.concepts._concept_values import check_concepts
from zoo.metrics.concepts._intervention_order import correct_after, rank_groups, uniform, wrong_values
from zoo.metrics.concepts._policies import LOOK_AHEAD, NAMES, REPEATED, STUDIED, Decide, Step, gains
from zoo.registry import register

RESOLUTION = 2**40  # gains are summed as integer multiples of 1 / RESOLUTION: bit-identical in any order


@register
class Interventions(Score):
    """Area under the curve of accuracy against the number of concept groups corrected, mean over policies and seeds.

    For each sample, a policy orders the groups; the first 0, 1, ... of them are set (nested sets). The policies are
    the functions of ``zoo.metrics.concepts._policies``; ``error`` and ``greedy`` are oracles, ``global_error`` and
    ``global_gain`` need the validation split first (``fit``), ``learned`` needs a model with a policy of its own. Ties
    and random orders are drawn from (seed, sample) alone; where nothing else is random, policies that are computed
    again after each step are computed for one seed.
    Unknown concepts are left as predicted.

    Further read-outs: ``none`` and ``all`` groups set; for each policy ``<policy>``, its mean area over seeds,
    ``<policy> spread``, the standard deviation over seeds, ``<policy> gain``, the area above ``none`` as a share of
    what all groups gain, and ``<policy> groups``, how many groups bring 95 % of that gain; ``lost steps``, how many
    steps of the mean curves lower it. ``curve/<policy>``: ``(g + 1,)`` the mean curve.

    Args:
        concepts: the schema, g groups.
        policies: names, see ``zoo.metrics.concepts._policies``.
        seeds: orders drawn.
        competence: probability that the person sets a concept correctly, drawn per sample, seed and concept; 0 is
            adversarial.
        look_ahead: candidate values of concepts whose effect the policies ``coop``, ``eudtp`` and ``ectp`` compute
            again after each step, for the groups with the highest scores; the other groups keep theirs. With more
            groups than that the order is an estimate, and the protocol names it.

    Raises:
        ValueError: if an argument is out of range or a policy is not known.

    Example:
        >>> from zoo.concept_schema import Concept
        >>> score = Interventions(ConceptSchema((Concept("a"),)), policies=["random"], seeds=1)
        >>> predicted, truth = torch.tensor([[0.2], [0.9]]), torch.tensor([[1.0], [1.0]])
        >>> zero, one = torch.zeros(2, 1), torch.ones(2, 1)
        >>> def decide(mask, value):
        ...     strength = torch.where(mask, value, predicted)
        ...     return torch.cat([1 - strength, strength], -1)
        >>> labels, ids = torch.tensor([1, 1]), torch.tensor([0, 1])
        >>> score.update(predicted, predicted, truth, labels, ids, zero, one, decide=decide)
        >>> score.compute()["curve/random"].tolist()  # accuracy with 0 and 1 concepts corrected
        [0.5, 1.0]
    """

    title = "Interventions"
    meaning = "mean accuracy while concept groups are set to their true values one by one"
    axes = {"*": ("concept groups set", "accuracy")}
    details = True
    requires = frozenset({"units", "concepts"})
    inputs = {
        "strength": "finite",
        "predicted": "share",
        "truth": "share or nan",
        "y": "class",
        "index": "ids",
        "low": "finite",
        "high": "finite",
    }
    protocol = "zoo-interventions-v1"
    intervals = {
        "area": ("", 0, 1),
        "none": ("", 0, 1),
        "all": ("", 0, 1),
    }
    population = "inputs like these, and these concepts"
    right: Tensor

    def __init__(
        self,
        concepts: ConceptSchema,
        *,
        policies: Sequence[str] = ("random", "uncertainty"),
        seeds: int = 5,
        competence: float = 1.0,
        look_ahead: int = 32,
    ) -> None:
        super().__init__()
        if unknown := [p for p in policies if p not in NAMES] or ([] if policies else ["none"]):
            raise ValueError(f"policy {unknown[0]!r} is not known; expected names among {', '.join(NAMES)}")
        self.schema = concepts
        self.policies = tuple(policies)
        self.seeds = count("seeds", seeds)
        self.competence = fraction("competence", competence)
        self.look_ahead = count("look_ahead", look_ahead)
        self.candidates = Candidates(concepts)
        self.group = concepts.group_ids
        self.groups = len(concepts.group_names)
        self.protocol = self._variant(type(self).protocol, seeds=seeds, competence=competence)
        at_once = max(1, self.look_ahead // max(1, self.candidates.of_group.shape[1]))
        if self.groups > at_once and set(policies) & set(LOOK_AHEAD):  # their effects are estimated
            self.protocol += f"/ahead{self.look_ahead}"
        if "learned" in policies:
            self.requires = self.requires | {"correction_policy"}
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
        self.update(
            strength,
            record.predicted,
            b.concepts,
            b.targets,
            b.index,
            *record.ends,
            decide=record.decide,
            uncertainty=record.uncertainty,
            correction=record.correction,
        )

    def fit(self, record: Record, split: str) -> None:
        """Add a batch of the validation split to the means of the global policies."""
        assert record.decide is not None
        assert record.ends is not None
        assert record.predicted is not None
        assert record.batch.concepts is not None
        truth, (low, high) = record.batch.concepts, record.ends
        step = self._step(
            record.explanation.strength, record.predicted, truth, truth, record.batch.targets, low, high, record.decide
        )
        wrong = self.candidates.mean_of_columns(((step.predicted >= 0.5) != (truth > 0.5)).double() * truth.isfinite())
        before = step.now().gather(1, step.y[:, None])
        errors_and_gains = torch.stack([wrong.sum(0), (gains(step) - before).sum(0)])
        self.studied = self.studied.to(before.device) + (errors_and_gains * RESOLUTION).round().long()

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
        uncertainty: Tensor | None = None,
        correction: Decide | None = None,
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
            uncertainty: ``(b, m)`` variances of the concepts, for the policy ``variance``; None for p (1 - p).
            correction: scores ``(b, g)`` of the groups from mask and strengths ``(b, m)``, for the policy ``learned``.

        Raises:
            ValueError: if ``learned`` has no scores, a shape does not fit, a number is not finite or out of range, or
                an index occurs twice.
        """
        expect("strength", strength, None, len(self.group))
        expect("predicted", predicted, len(strength), len(self.group))
        check_concepts(self._name, self.schema, predicted, truth)
        expect("y", y, len(strength))
        expect("index", index, len(strength))
        self._check(strength=strength, low=low, high=high, y=y, index=index)
        if correction is None and "learned" in self.policies:
            raise ValueError("the policy learned needs the scores of a model's own policy; expected correction")
        index = index.to(strength.device)
        right = torch.zeros(len(strength), *self.right.shape, dtype=torch.bool, device=strength.device)
        for n in range(self.seeds):
            stated = truth
            if self.competence < 1:
                mistaken = uniform(index, 2 * n + 1, self.groups) >= self.competence
                stated = torch.where(mistaken[:, self.group], wrong_values(self.schema, truth), truth)
            step = self._step(strength, predicted, truth, stated, y, low, high, decide, uncertainty, correction)
            noise = uniform(index, 2 * n, self.groups)
            for i, policy in enumerate(self.policies):
                once = n > 0 and policy in REPEATED and self.competence == 1
                right[:, i, n] = right[:, i, 0] if once else correct_after(step, self._rank(policy, step, noise))
        self._add("right", right)
        self._add("samples", torch.ones_like(index))

    def _rank(self, policy: str, step: Step, noise: Tensor) -> Tensor:
        return rank_groups(policy, step, noise, look_ahead=self.look_ahead)

    def _step(
        self,
        strength: Tensor,
        predicted: Tensor,
        truth: Tensor,
        stated: Tensor,
        y: Tensor,
        low: Tensor,
        high: Tensor,
        decide: Decide,
        uncertainty: Tensor | None = None,
        correction: Decide | None = None,
    ) -> Step:
        known = truth.isfinite()
        value = torch.where(known, low + stated.nan_to_num() * (high - low), strength)
        study = self.studied.to(strength.device).double() / RESOLUTION
        none = torch.zeros_like(known)
        return Step(
            self.candidates,
            strength,
            predicted,
            low,
            high,
            truth,
            y,
            value,
            known,
            none,
            decide,
            study,
            uncertainty,
            correction,
        )

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
