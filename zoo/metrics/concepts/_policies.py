"""Policies of interventions: which concept group to set next, the highest score first."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.metrics.concepts._candidates import Candidates

Decide = Callable[[Tensor, Tensor], Tensor]  # mask and strengths (..., b, u) -> logits (..., b, c)


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
        uncertainty: ``(b, m)`` variances of the concepts, from the model; None where it has none.
        correction: scores ``(b, g)`` of the model's own policy, from the mask and value that are set; None without one.
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
    uncertainty: Tensor | None = None
    correction: Decide | None = None

    def now(self) -> Tensor:
        """Class probabilities ``(b, c)`` with what has been set."""
        return self.decide(self.chosen & self.known, self.value).softmax(-1)

    def supposing(self, ids: Tensor) -> Tensor:
        """Class probabilities ``(n, b, c)`` if the candidates ``(n, b)``, one for each sample, were set as well."""
        columns, ones = (t.to(ids.device)[ids] for t in (self.candidates.columns, self.candidates.ones))
        value = torch.where(columns, torch.where(ones, self.high, self.low), self.value)
        return self.decide(columns | (self.chosen & self.known), value).softmax(-1)

    def chances(self) -> Tensor:
        """Probability ``(k, b)`` of each candidate, as the concepts are predicted."""
        return self.candidates.chances(self.predicted)


def uncertainty(s: Step) -> Tensor:
    """Probability nearest to 0.5 first (UCP), mean over the group."""
    return s.candidates.mean_of_columns(-(s.predicted - 0.5).abs())


def variance(s: Step) -> Tensor:
    """Largest variance of the model's own first, mean over the group; p (1 - p) of models without one."""
    own = s.predicted * (1 - s.predicted) if s.uncertainty is None else s.uncertainty
    return s.candidates.mean_of_columns(own)


def error(s: Step) -> Tensor:
    """An oracle: furthest from the truth first (LCP), mean over the group."""
    return s.candidates.mean_of_columns((s.predicted - s.truth).abs().nan_to_num())


def moved(now: Tensor, p: Tensor) -> Tensor:
    """Change ``(n, b)`` of the probability of the answer, from ``(b, c)`` to ``(n, b, c)``."""
    top = now.argmax(1)
    return p.gather(2, top.expand(len(p), -1)[..., None])[..., 0] - now.gather(1, top[:, None])[:, 0]


def fall(now: Tensor, p: Tensor) -> Tensor:
    """Fall ``(n, b)`` of the entropy of the answer, from ``(b, c)`` to ``(n, b, c)``."""
    return _entropy(now) - _entropy(p)


def divergence(now: Tensor, p: Tensor) -> Tensor:
    """Kullback-Leibler divergence ``(n, b)`` of answers ``(n, b, c)`` from the present one ``(b, c)``."""
    return (p * (p.clamp_min(1e-12).log() - now.clamp_min(1e-12).log())).sum(-1)


def coop(s: Step, effect: Tensor) -> Tensor:
    """Entropy in bits plus how far the expected chance of the answer moves (CooP, both weights 1, no costs)."""
    chance = s.chances()
    entropy = s.candidates.sum(-chance * chance.clamp_min(1e-12).log() / math.log(2))
    return s.candidates.mean(entropy + s.candidates.sum(chance * effect).abs())


def expected(s: Step, effect: Tensor) -> Tensor:
    """Expected effect: of the entropy its fall (EUDTP), of the answer its divergence (ECTP)."""
    return s.candidates.mean(s.candidates.sum(s.chances() * effect))


def cctp(s: Step) -> Tensor:
    """Size of strength times the slope of the answer's probability in it (CCTP), mean over the group."""
    with torch.enable_grad():
        value = torch.where(s.chosen & s.known, s.value, s.strength).detach().requires_grad_(True)
        p = s.decide(torch.ones_like(s.known), value).softmax(-1).amax(-1)
        (slope,) = torch.autograd.grad(p.sum(), value)
    return s.candidates.mean_of_columns((slope * value.detach()).abs())


def greedy(s: Step) -> Tensor:
    """Largest probability of the true class first: an oracle, the best next step but not always the best order."""
    return gains(s)


def learned(s: Step) -> Tensor:
    """Highest score of the model's own policy first, given what has been set."""
    assert s.correction is not None  # the score requires it
    return s.correction(s.chosen & s.known, s.value)


def global_error(s: Step) -> Tensor:
    """Largest error on the validation split first: one order for all samples."""
    return s.study[0].expand(len(s.y), -1)


def global_gain(s: Step) -> Tensor:
    """Largest mean gain of the true class on the validation split, each set alone: one order for all samples."""
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
    "cctp": (cctp, True),
    "error": (error, False),
    "greedy": (greedy, True),
    "global_error": (global_error, False),
    "global_gain": (global_gain, False),
    "variance": (variance, False),
    "learned": (learned, True),
}
STUDIED = ("global_error", "global_gain")  # need the validation split first
# name -> (effect of a candidate on the answer, score of the groups from the effects (k, b) of all candidates)
LOOK_AHEAD: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Step, Tensor], Tensor]]] = {
    "coop": (moved, coop),
    "eudtp": (fall, expected),
    "ectp": (divergence, expected),
}
NAMES = (*list(POLICIES)[:2], *LOOK_AHEAD, *list(POLICIES)[2:])
REPEATED = frozenset(LOOK_AHEAD) | {name for name, (_, repeated) in POLICIES.items() if repeated}
