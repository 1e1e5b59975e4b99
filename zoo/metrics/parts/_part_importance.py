"""Importance of the parts of a scene, from the boxes of units and the masks of parts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.metrics._correlation import spearman
from zoo.metrics.base import expect
from zoo.metrics.perturbations.attack import box

NEGLIGIBLE = 0.05  # share of a logit: a part that takes less away does not matter
THRESHOLDS = tuple(torch.linspace(0.01, 0.5, 80, dtype=torch.float64).tolist())


def part_shares(where: Tensor, masks: Tensor) -> Tensor:
    """Share ``(b, k, p)`` of the box around the strongest 5 % of each map that shows each part.

    Args:
        where: ``(b, k, h, w)`` evidence of each unit.
        masks: ``(b, p, height, width)`` bool.

    Raises:
        ValueError: if a shape does not fit.
    """
    expect("where", where, None, None, None, None)
    expect("masks", masks, len(where), None, None, None)
    size = (masks.shape[-2], masks.shape[-1])
    top, bottom, left, right = box(where.flatten(0, 1), size).unflatten(0, where.shape[:2]).unbind(-1)
    table = torch.zeros(*masks.shape[:2], size[0] + 1, size[1] + 1, dtype=torch.int64, device=masks.device)
    table[..., 1:, 1:] = masks.long().cumsum(-1).cumsum(-2)
    row = torch.arange(len(masks), device=masks.device)[:, None]
    inside = table[row, :, bottom + 1, right + 1] - table[row, :, top, right + 1] - table[row, :, bottom + 1, left]
    area = (bottom + 1 - top) * (right + 1 - left)
    return (inside + table[row, :, top, left]).double() / area[..., None]


def important_parts(importance: Tensor, total: Tensor, thresholds: Sequence[float] = THRESHOLDS) -> Tensor:
    """Parts ``(b, t, p)`` whose importance ``(b, p)`` is above each share of a ``total`` ``(b,)``."""
    share = torch.tensor(thresholds, dtype=torch.float64, device=importance.device)
    return importance.double()[:, None] > total.double()[:, None, None] * share[:, None]


def contrast_classes(same: Tensor) -> Tensor:
    """For each class, two others that share different parts with it: as many each, as many as possible.

    Args:
        same: ``(c, c, p)`` bool, whether two classes have the same variant of a part.

    Returns:
        ``(c, 2)`` int64, the first such pair; -1 where there is none.
    """
    c, number = len(same), same.sum(2)
    overlap = torch.einsum("cap,cbp->cab", same.double(), same.double()) > 0
    fits = (number[:, :, None] == number[:, None]) & (number[:, :, None] > 0) & ~overlap
    worth = (number[:, :, None] * fits).triu(1) * ~torch.eye(c, dtype=torch.bool, device=same.device)[:, :, None]
    largest, pair = worth.flatten(1).max(1)
    return torch.where((largest > 0)[:, None], torch.stack([pair // c, pair % c], 1), -1)


Answers = tuple[Tensor, Tensor, Tensor]  # important parts (b, t, p), classes with them alone and without them (b, t)


def effects(
    named: Answers, random: Answers | None, answer: Tensor, importance: Tensor, logit: Tensor, without: Tensor
) -> dict[str, Tensor]:
    """What each input adds to the sums of ``PartInterventions``, by name; see there for the arguments.

    Args:
        named: important parts, and the classes predicted with them alone and without them.
        random: the same of shuffled importances; None without chance levels.
        answer: ``(b,)`` predicted class.
        importance: ``(b, p)`` of the parts.
        logit: ``(b,)`` of the class explained.
        without: ``(b, p)`` the same logit with each part removed.
    """
    whole = logit.double()[:, None]
    drop = whole - without.double()
    irrelevant = (drop.abs() < NEGLIGIBLE * whole.abs()) | (drop < 0)
    order = spearman(importance.double(), drop)
    rows = {"with_irrelevant": irrelevant.any(1), "sums": _checks(*named, answer, irrelevant)}
    if random is not None:
        rows |= {"random": _checks(*random, answer, irrelevant), "shuffled": torch.ones_like(answer)}
    return rows | {"order": order.nan_to_num(), "ordered": order.isfinite(), "samples": torch.ones_like(answer)}


def contrasts(logits: Tensor, importance: Tensor) -> dict[str, Tensor]:
    """Inputs ``(b,)`` on which two classes can be compared, and how many of the two comparisons are right.

    Args:
        logits: ``(b, 3, 2)`` of the classes a and b: of the whole scene, with A removed, with B removed.
        importance: ``(b, 2, 2)`` of A and of B for the classes a and b.
    """
    change = logits[:, 1:].double() - logits[:, :1].double()  # (b, what is removed, class)
    fair = (change[:, 0, 0] < change[:, 1, 0]) & (change[:, 1, 1] < change[:, 0, 1])
    first, second = importance.unbind(1)
    right = (first[:, 0] > first[:, 1]).long() + (second[:, 1] > second[:, 0]).long()
    return {"compared": fair, "sensitive": right * fair}


def _checks(important: Tensor, kept: Tensor, cut: Tensor, answer: Tensor, irrelevant: Tensor) -> Tensor:
    """Preservation, deletion, distractibility ``(b, 3, t)`` of each input; 0 for the last without irrelevant parts."""
    taken = (important & irrelevant[:, None]).sum(2).double() / irrelevant.sum(1).clamp_min(1)[:, None]
    ignored = (1 - taken) * irrelevant.any(1)[:, None]
    return torch.stack([(kept == answer[:, None]).double(), (cut != answer[:, None]).double(), ignored], 1)
