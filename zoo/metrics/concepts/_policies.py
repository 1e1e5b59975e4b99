"""Policies of interventions: which concept group to set next, the highest score first."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.concept_schema import ConceptSchema

Decide = Callable[[Tensor, Tensor], Tensor]  # mask and strengths (..., b, u) -> logits (..., b, c)


class Candidates:
    """What each concept could turn out to be. One concept is a binary column or a whole categorical group.

    A binary concept could be 1 or 0, a categorical one each of its values. Continuous concepts have no candidates.

    Args:
        schema: m columns in g groups.

    Attributes:
        columns: ``(k, m)`` bool, the columns that a candidate sets.
        ones: ``(k, m)`` bool, which of them it sets to 1.
    """

    def __init__(self, schema: ConceptSchema) -> None:
        self.group, self.groups = schema.group_ids, len(schema.group_names)
        binary, value = schema.columns("binary"), schema.columns("categorical")
        eye, same = torch.eye(len(schema), dtype=torch.bool), self.group[:, None] == self.group
        self.columns = torch.cat([eye[binary], eye[binary], same[value]])
        self.ones = torch.cat([eye[binary], eye[binary] & False, eye[value]])
        self._of = torch.cat([eye[binary], eye[binary], eye[value]]).int().argmax(1)  # whose chance it is
        self._false = (~self.ones.any(1))[:, None]
        first = torch.cat([eye[binary], eye[binary], same[value]]).int().argmax(1)
        found, self._concept = first.unique(return_inverse=True)
        self._concept_group = self.group[found]
        self._value = value

    def chances(self, predicted: Tensor) -> Tensor:
        """``(k, b)`` how likely each candidate is, from concepts as predicted ``(b, m)``."""
        share = predicted.clamp(0, 1).double()
        same = (self.group[:, None] == self.group).to(share)
        whole = torch.where(self._value.to(share.device), (share @ same).clamp_min(1e-12), 1.0)
        p = (share / whole)[:, self._of.to(share.device)].T
        return torch.where(self._false.to(share.device), 1 - p, p)

    def sum(self, each: Tensor) -> Tensor:
        """``(concepts, b)`` from ``(k, b)``: summed over the candidates of a concept."""
        out = each.new_zeros(len(self._concept_group), each.shape[1])
        return out.index_add(0, self._concept.to(each.device), each)

    def mean(self, concepts: Tensor) -> Tensor:
        """``(b, g)`` from ``(concepts, b)``: mean over the concepts of a group, 0 where there are none."""
        out = concepts.new_zeros(self.groups, concepts.shape[1])
        out = out.index_add(0, self._concept_group.to(concepts.device), concepts)
        count = torch.bincount(self._concept_group, minlength=self.groups).clamp_min(1)
        return (out / count.to(out)[:, None]).T

    def mean_of_columns(self, each: Tensor) -> Tensor:
        """``(b, g)`` from ``(b, m)``: mean over the columns of a group."""
        out = each.new_zeros(len(each), self.groups).index_add(1, self.group.to(each.device), each)
        return out / torch.bincount(self.group, minlength=self.groups).to(out)


@dataclass(frozen=True)
class Step:
    """What a policy may use, for b samples with m concepts in g groups.

    Attributes:
        candidates: of the schema.
        strength: ``(b, m)`` what the head reads, as encoded.
        predicted: ``(b, m)`` the concepts as probabilities.
        low: ``(b, m)`` strengths that stand for 0.
        high: ``(b, m)`` strengths that stand for 1.
        truth: ``(b, m)`` NaN where unknown; for oracles.
        y: ``(b,)`` true class; for oracles.
        value: ``(b, m)`` the strengths that the person would set, as encoded where unknown.
        known: ``(b, m)`` bool, where the person knows.
        chosen: ``(b, m)`` bool, the concepts set so far.
        decide: the model.
        study: ``(2, g)`` mean error of each group, and mean gain of the true class when it alone is set, both measured
            on the validation split.
    """

    candidates: Candidates
    strength: Tensor
    predicted: Tensor
    low: Tensor
    high: Tensor
    truth: Tensor
    y: Tensor
    value: Tensor
    known: Tensor
    chosen: Tensor
    decide: Decide
    study: Tensor

    def now(self) -> Tensor:
        """Class probabilities ``(b, c)`` with what has been set."""
        return self.decide(self.chosen & self.known, self.value).softmax(-1)

    def supposing(self) -> tuple[Tensor, Tensor]:
        """Class probabilities ``(k, b, c)`` if each candidate were set as well, and their chances ``(k, b)``."""
        columns, ones = (t.to(self.strength.device)[:, None] for t in (self.candidates.columns, self.candidates.ones))
        value = torch.where(columns, torch.where(ones, self.high, self.low), self.value)
        p = self.decide(columns | (self.chosen & self.known), value).softmax(-1)
        return p, self.candidates.chances(self.predicted)


def uncertainty(s: Step) -> Tensor:
    """Nearest to the middle first (UCP), mean over the group."""
    return s.candidates.mean_of_columns(-(s.predicted - 0.5).abs())


def error(s: Step) -> Tensor:
    """An oracle: furthest from the truth first (LCP), mean over the group."""
    return s.candidates.mean_of_columns((s.predicted - s.truth).abs().nan_to_num())


def coop(s: Step) -> Tensor:
    """Entropy in bits plus how far the expected chance of the answer moves (CooP, both weights 1, no costs)."""
    now, (p, chance) = s.now(), s.supposing()
    top = now.argmax(1)
    moved = p.gather(2, top.expand(len(p), -1)[..., None])[..., 0] - now.gather(1, top[:, None])[:, 0]
    entropy = s.candidates.sum(-chance * chance.clamp_min(1e-12).log() / math.log(2))
    return s.candidates.mean(entropy + s.candidates.sum(chance * moved).abs())


def eudtp(s: Step) -> Tensor:
    """Expected fall of the answer's entropy (EUDTP)."""
    now, (p, chance) = s.now(), s.supposing()
    return s.candidates.mean(s.candidates.sum(chance * (_entropy(now) - _entropy(p))))


def ectp(s: Step) -> Tensor:
    """Expected change of the answer, as a Kullback-Leibler divergence from the present one (ECTP)."""
    now, (p, chance) = s.now(), s.supposing()
    gap = (p * (p.clamp_min(1e-12).log() - now.clamp_min(1e-12).log())).sum(-1)
    return s.candidates.mean(s.candidates.sum(chance * gap))


def cctp(s: Step) -> Tensor:
    """Size of strength times the slope of the answer's probability in it (CCTP), mean over the group."""
    with torch.enable_grad():
        value = torch.where(s.chosen & s.known, s.value, s.strength).detach().requires_grad_(True)
        p = s.decide(torch.ones_like(s.known), value).softmax(-1).amax(-1)
        (slope,) = torch.autograd.grad(p.sum(), value)
    return s.candidates.mean_of_columns((slope * value.detach()).abs())


def greedy(s: Step) -> Tensor:
    """An oracle: what raises the true class most (the best next step, though not always the best order)."""
    return gains(s)


def global_error(s: Step) -> Tensor:
    """Most often wrong on the validation split first: one order for all samples."""
    return s.study[0].expand(len(s.y), -1)


def global_gain(s: Step) -> Tensor:
    """What, set alone, raises the true class most on the validation split: one order for all samples."""
    return s.study[1].expand(len(s.y), -1)


def gains(s: Step) -> Tensor:
    """``(b, g)`` probability of the true class if each group were set to what the person would write."""
    groups = torch.arange(s.candidates.groups)
    member = (s.candidates.group == groups[:, None]).to(s.strength.device)  # (g, m)
    masks = (s.chosen | member[:, None]) & s.known
    p = s.decide(masks, s.value.expand_as(masks)).softmax(-1)
    return p.gather(2, s.y.expand(len(groups), -1)[..., None])[..., 0].T


def _entropy(p: Tensor) -> Tensor:
    return -(p * p.clamp_min(1e-12).log()).sum(-1)


# name -> (score, whether it is computed again after each step)
POLICIES: dict[str, tuple[Callable[[Step], Tensor], bool]] = {
    "random": (lambda s: torch.zeros_like(s.study[0].expand(len(s.y), -1)), False),
    "uncertainty": (uncertainty, False),
    "coop": (coop, True),
    "eudtp": (eudtp, True),
    "ectp": (ectp, True),
    "cctp": (cctp, True),
    "error": (error, False),
    "greedy": (greedy, True),
    "global_error": (global_error, False),
    "global_gain": (global_gain, False),
}
STUDIED = ("global_error", "global_gain")  # need the validation split first
