"""Order in which concept groups are set, and the accuracy after each step."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from zoo.concept_schema import ConceptSchema
from zoo.metrics._value_checks import check_classes, check_finite
from zoo.metrics.concepts._policies import LOOK_AHEAD, POLICIES, Step
from zoo.metrics.perturbations.noise import random_bits

ENTRIES = 2**22  # of a tensor of questions at a time


def uniform(index: Tensor, draw: int, k: int) -> Tensor:
    """Return ``(b, k)`` float64 in [0, 1), from (sample, draw, column) alone."""
    return (random_bits(index, draw=draw, count=k) & (2**52 - 1)).double() / 2**52


def wrong_values(schema: ConceptSchema, truth: Tensor) -> Tensor:
    """Return wrong concepts ``(b, m)``: a binary concept is flipped, a categorical group has its next value.

    Example:
        >>> from zoo.concept_schema import Concept
        >>> wrong_values(ConceptSchema((Concept("a"),)), torch.tensor([[1.0]])).tolist()
        [[0.0]]
    """
    group = schema.group_ids
    wrong = 1 - truth
    for g in group[schema.columns("categorical")].unique().tolist():
        columns = (group == g).nonzero()[:, 0]
        wrong[:, columns] = truth[:, columns.roll(1)]
    return wrong


def rank_groups(policy: str, step: Step, noise: Tensor, *, look_ahead: int = 32) -> Tensor:
    """Return the place ``(b, g)`` of each group in the order of its sample, 0 first; ties by ``noise`` ``(b, g)``.

    Args:
        policy: name.
        step: nothing chosen.
        noise: breaks ties.
        look_ahead: candidates whose effect is computed again after each step, see ``_effects``.
    """
    groups = noise.shape[1]
    if policy in POLICIES and not POLICIES[policy][1]:
        order = noise.argsort(1)  # ties in any order, but the same in any batch
        score = POLICIES[policy][0](step)
        return order.gather(1, (-score).gather(1, order).argsort(dim=1, stable=True)).argsort(1)
    rank = torch.full(noise.shape, groups, device=noise.device)
    effects: Tensor | None = None
    for place in range(groups):
        step = replace(step, chosen=(rank < groups)[:, step.candidates.group])
        if policy in POLICIES:
            score = POLICIES[policy][0](step)
        else:
            effects = _effects(policy, step, effects, rank, look_ahead)
            score = LOOK_AHEAD[policy][1](step, effects)
        value = score + 1e-12 * noise
        rank.scatter_(1, value.masked_fill(rank < groups, -torch.inf).argmax(1, keepdim=True), place)
    return rank


def _effects(policy: str, step: Step, effects: Tensor | None, rank: Tensor, look_ahead: int) -> Tensor:
    """Return the effect ``(k, b)`` of each candidate on the answer.

    At first those of all candidates are computed. Afterwards only those of the groups with the highest scores are, as
    many groups as have ``look_ahead`` candidates (at least one); the others keep the effect that they had, as in lazy
    greedy maximization (Minoux 1978). With few candidates nothing is estimated.
    """
    effect, score = LOOK_AHEAD[policy]
    k, b = len(step.candidates.columns), len(rank)
    table = step.candidates.of_group.to(rank.device)
    if effects is None:
        effects = torch.zeros(k, b, dtype=torch.float64, device=rank.device)
        ids = torch.arange(k, device=rank.device)[:, None].expand(k, b)
    else:
        left = score(step, effects).masked_fill(rank < rank.shape[1], -torch.inf)
        top = left.topk(min(rank.shape[1], max(1, look_ahead // table.shape[1])), dim=1).indices
        ids = table[top].flatten(1).T  # (n, b)
    if not k:
        return effects
    now = step.now()
    effects = effects.clone()
    for part in ids.clamp_min(0).split(max(1, ENTRIES // max(1, b * max(now.shape[1], step.known.shape[1])))):
        effects.scatter_(0, part, effect(now, step.supposing(part)).to(effects))
    return effects


def correct_after(step: Step, rank: Tensor) -> Tensor:
    """Return ``(b, g + 1)`` bool, whether the class is right with the first 0, 1, ... groups of ``rank`` set."""
    steps = torch.arange(rank.shape[1] + 1, device=rank.device)
    masks = (rank[:, step.candidates.group] < steps[:, None, None]) & step.known  # (g + 1, b, m)
    logits = step.decide(masks, step.value.expand_as(masks))
    check_finite("logits with concepts set", logits)
    check_classes("interventions.y", step.y, logits.shape[-1])
    return (logits.argmax(-1) == step.y).T
