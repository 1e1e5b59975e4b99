"""Choice of the training sentences that a prototype model compares with, by an exact L1 path and a refit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.layers.text.sparse_path import refit, smallest_within_one_error, sparse_path

LARGEST = 4  # choices that are compared where the best and not the smallest is taken
RIDGES = (1e-2, 1e-3, 1e-4, 1e-5)  # of the refit, the best on the validation split
NEAR = 0.95  # cosine above which two anchors count as nearly equal


@dataclass(frozen=True)
class AnchorChoice:
    """u chosen sentences and the head on them.

    Attributes:
        ids: ``(u,)`` positions among the training sentences, sorted by class.
        mean: ``(u,)`` mean similarity of the training sentences, each anchor's own left out.
        std: ``(u,)`` their standard deviation.
        weight: ``(c, u)`` of standardized similarities.
        bias: ``(c,)``.
        figures: sizes, validation loss and accuracy, residual of the optimality conditions.
    """

    ids: Tensor
    mean: Tensor
    std: Tensor
    weight: Tensor
    bias: Tensor
    figures: dict[str, float]


def choose_candidates(codes: Tensor, y: Tensor, count: int, *, seed: int = 0) -> Tensor:
    """Return the positions of ``count`` different texts, as many of each class as there are, in a random draw.

    Args:
        codes: ``(n, t)`` of the texts.
        y: ``(n,)`` classes.
        count: of candidates.
        seed: of the draw.
    """
    different, group = codes.unique(dim=0, return_inverse=True)
    first = torch.full((len(different),), len(codes)).scatter_reduce(0, group, torch.arange(len(codes)), "amin")
    ids = first.sort().values
    drawn = ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(seed))]
    rank = torch.zeros(len(drawn), dtype=torch.int64)
    for c in y.unique():
        own = y[drawn] == c
        rank[own] = torch.arange(int(own.sum()))
    return drawn[rank.argsort(stable=True)[:count]].sort().values


def standardized(z: Tensor, anchors: Tensor, own: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return standardized similarities ``(n, u)`` float64, means and standard deviations ``(u,)``.

    An anchor's similarity with itself is 1 and would dominate the fit: it is left out of the mean and set to it.

    Args:
        z: ``(n, d)`` of norm 1.
        anchors: ``(u, d)`` of norm 1.
        own: ``(u,)`` row of each anchor in ``z``; -1 for none.
    """
    similarity = z.double() @ anchors.double().T
    rows, columns = own[own >= 0], (own >= 0).nonzero()[:, 0]
    similarity[rows, columns] = torch.nan
    mean = similarity.nanmean(0)
    centered = (similarity - mean).nan_to_num(0.0)
    count = len(z) - (own >= 0).double()
    std = (centered.square().sum(0) / count).sqrt().clamp_min(1e-9)
    return centered / std, mean, std


def choose_anchors(
    codes: Tensor,
    z: Tensor,
    y: Tensor,
    val: tuple[Tensor, Tensor],
    *,
    classes: int,
    max_units: int,
    candidates: int,
    own_class: bool,
    smallest: bool,
    seed: int = 0,
) -> AnchorChoice:
    """Choose anchors on the L1 path and refit the head on them; sizes and ridge are chosen on the validation split.

    Args:
        codes: ``(n, t)`` of the training sentences.
        z: ``(n, d)`` their vectors, of norm 1.
        y: ``(n,)`` their classes.
        val: vectors ``(m, d)`` and classes ``(m,)`` of the validation split.
        classes: c.
        max_units: largest number of anchors.
        candidates: number of training sentences that may be anchors.
        own_class: whether similarity with an anchor may only argue for the anchor's own class and against others.
        smallest: whether the smallest choice within one standard error of the best is taken, or the best.
        seed: of the draw of candidates.
    """
    drawn = choose_candidates(codes, y, candidates, seed=seed)
    scores, mean, std = standardized(z, z[drawn], drawn)
    sign = (2.0 * F.one_hot(y[drawn], classes).T - 1).double() if own_class else None
    path = sparse_path(scores, y, classes=classes, sign=sign, max_units=max_units)
    val_scores = ((val[0].double() @ z[drawn].double().T) - mean) / std
    supports = list({tuple(step.units.tolist()): step for step in path if len(step.units)}.values())
    heads, losses = [], []
    if not smallest:
        supports = supports[-LARGEST:]
    for step in supports:
        allowed = None if sign is None else sign[:, step.units]
        fits = []
        first = (step.weight, step.bias)
        for l2 in RIDGES:  # the strongest first, each from the one before
            fits.append(refit(scores[:, step.units], y, classes=classes, l2=l2, sign=allowed, first=first))
            first = fits[-1][:2]
        each = [F.cross_entropy(val_scores[:, step.units] @ w.T + b, val[1], reduction="none") for w, b, _ in fits]
        best = min(range(len(fits)), key=lambda i: float(each[i].mean()))
        heads.append(fits[best])
        losses.append(each[best])
    table = torch.stack(losses)
    sizes = [len(step.units) for step in supports]
    pick = smallest_within_one_error(table, sizes) if smallest else int(table.mean(1).argmin())
    weight, bias, residual = heads[pick]
    units = supports[pick].units
    kept = (weight != 0).any(0)
    units, weight = units[kept], weight[:, kept]
    order = y[drawn[units]].argsort(stable=True)
    units, weight = units[order], weight[:, order]
    ids = drawn[units]
    cosines = (z[ids] @ z[ids].T).fill_diagonal_(0)
    predicted = (val_scores[:, units] @ weight.T + bias).argmax(1)
    figures = {
        "anchors": float(len(ids)),
        "candidates": float(len(drawn)),
        "validation loss": float(table[pick].mean()),
        "validation accuracy": float((predicted == val[1]).double().mean()),
        "nearly equal anchors": float((cosines > NEAR).any(1).sum()),
        "path residual": max(step.residual for step in path),
        "kkt residual": residual,
    }
    return AnchorChoice(ids, mean[units], std[units], weight, bias, figures)
