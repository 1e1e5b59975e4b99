"""Order in which concept groups are set, and the accuracy after each step."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from zoo.concept_schema import ConceptSchema
from zoo.metrics._value_checks import check_classes, check_finite
from zoo.metrics.concepts._policies import POLICIES, Step
from zoo.metrics.perturbations.noise import random_bits


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


def rank_groups(policy: str, step: Step, noise: Tensor) -> Tensor:
    """Return the place ``(b, g)`` of each group in the order of its sample, 0 first; ties by ``noise`` ``(b, g)``."""
    score, repeated = POLICIES[policy]
    groups = noise.shape[1]
    if not repeated:
        order = noise.argsort(1)  # ties in any order, but the same in any batch
        return order.gather(1, (-score(step)).gather(1, order).argsort(dim=1, stable=True)).argsort(1)
    rank = torch.full(noise.shape, groups, device=noise.device)
    for place in range(groups):
        step = replace(step, chosen=(rank < groups)[:, step.candidates.group])
        value = score(step) + 1e-12 * noise
        rank.scatter_(1, value.masked_fill(rank < groups, -torch.inf).argmax(1, keepdim=True), place)
    return rank


def correct_after(step: Step, rank: Tensor) -> Tensor:
    """Return ``(b, g + 1)`` bool, whether the class is right with the first 0, 1, ... groups of ``rank`` set."""
    steps = torch.arange(rank.shape[1] + 1, device=rank.device)
    masks = (rank[:, step.candidates.group] < steps[:, None, None]) & step.known  # (g + 1, b, m)
    logits = step.decide(masks, step.value.expand_as(masks))
    check_finite("logits with concepts set", logits)
    check_classes("interventions.y", step.y, logits.shape[-1])
    return (logits.argmax(-1) == step.y).T
