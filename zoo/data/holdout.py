"""Which samples are held out: the latest, whole groups, or a stratified random share."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from zoo.data.sampler import mix
from zoo.data.split import Split, stratified_holdout


def holdout(split: Split, share: float, *, seed: int) -> Tensor:
    """Return which samples are held out, ``(n,)`` bool: the latest, whole groups, or a random share, by what is known.

    A share of classes is stratified by class; numbers are held out at random, and labels by their combination.

    Args:
        split: n samples.
        share: to be held out, in 0..1.
        seed: random seed; the latest samples do not depend on it.
    """
    if split.time is not None:
        return latest(split.time, share)
    strata = strata_of(split.y)
    if split.group is not None:
        return grouped_holdout(split.group, strata, share, seed=seed)
    return stratified_holdout(strata, share, seed=seed)


def strata_of(y: Tensor) -> Tensor:
    """Return the stratum ``(n,)`` of targets: the class, the combination of labels, or 0 for all numbers."""
    if not y.is_floating_point():
        return y
    if y.ndim == 1:
        return torch.zeros(len(y), dtype=torch.int64)
    return y.nan_to_num(-1).unique(dim=0, return_inverse=True)[1]


def latest(time: Tensor, share: float) -> Tensor:
    """Return the latest share of the samples as ``(n,)`` bool; samples of one time stay together.

    >>> latest(torch.tensor([3.0, 1.0, 2.0, 4.0, 4.0]), 0.2).tolist()
    [False, False, False, True, True]
    """
    count = round(len(time) * share)
    return time >= time.sort(descending=True).values[count - 1] if count else torch.zeros(len(time), dtype=torch.bool)


def grouped_holdout(group: Tensor, y: Tensor, share: float, *, seed: int) -> Tensor:
    """Return whole groups that hold about a share of the samples of each class, as ``(n,)`` bool.

    Groups are taken in a random order, each if that brings the numbers of held out samples of the classes nearer to the
    share; a group that has the last samples of a class left for training stays.

    Args:
        group: ``(n,)`` number of the group of each sample.
        y: ``(n,)`` class.
        share: to be held out, in 0..1.
        seed: of the order.

    >>> group = torch.arange(10) // 2
    >>> held = grouped_holdout(group, torch.zeros(10, dtype=torch.int64), 0.2, seed=0)
    >>> int(held.sum()), len(group[held].unique())
    (2, 1)
    """
    group = group.unique(return_inverse=True)[1]
    count = torch.zeros(int(group.max()) + 1, int(y.max()) + 1, dtype=torch.float64)
    count.index_put_((group, y), torch.ones((), dtype=torch.float64), accumulate=True)
    target = (count.sum(0) * share).numpy()
    left = count.sum(0).numpy()
    taken = np.zeros_like(left)
    held = torch.zeros(len(count), dtype=torch.bool)
    order = torch.randperm(len(count), generator=torch.Generator().manual_seed(mix(seed)))
    for g, own in zip(order.tolist(), count[order].numpy(), strict=True):
        nearer = np.abs(taken + own - target).sum() < np.abs(taken - target).sum()
        if nearer and (left - taken - own)[own > 0].min(initial=np.inf) > 0:
            held[g] = True
            taken += own
    return held[group]
