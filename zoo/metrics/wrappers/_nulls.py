"""Nulls of part scores: locations and activity without the dependence that the score measures."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.metrics.perturbations.noise import random_bits

STREAM = 6 << 32  # draw numbers of nulls, apart from those of perturbations
POSITIVE = 2**62 - 1


def places_under(
    null: str, places: Tensor, ids: Tensor, gate: Tensor, index: Tensor, draw: int, size: Tensor
) -> Tensor:
    """Places ``(b, k, 2)`` of units under one draw of a random null.

    Args:
        null: ``permute``, ``shift``, ``uniform`` or ``random_units``; see ``ChanceAdjusted``.
        places: ``(b, k, 2)`` int64 (x, y) pixels; left as they are.
        ids: ``(b, k)`` int64 unit in each column.
        gate: ``(b, k)`` bool, whether it makes a claim.
        index: ``(b,)`` int64 identity of each sample.
        draw: number of the draw.
        size: ``(b, 2)`` (height, width) of the input, in pixels.
    """
    own, rest = _random(index, draw, 2 * places.shape[1])
    side = size.flip(1)[:, None]
    if null == "uniform":
        return rest.unflatten(1, (-1, 2)) % side
    if null == "shift":
        return (places + rest[:, None, :2] % side) % side
    row, column = gate.nonzero(as_tuple=True)
    source = exchanged(ids[row, column], own[row]) if null == "permute" else exchanged(row, rest[row, column])
    new = places.clone()
    new[row, column] = places[row[source], column[source]]
    return new


def active_under(null: str, active: Tensor, index: Tensor, sequence: Tensor, draw: int) -> Tensor:
    """Activity ``(b, u)`` of units under one draw of a random null.

    Args:
        null: ``permute``, ``shift`` or ``random_units``; see ``ChanceAdjusted``.
        active: ``(b, u)`` bool; left as it is.
        index: ``(b,)`` int64 identity of each sample.
        sequence: ``(b,)`` int64 sequence that each sample belongs to; a shift stays inside it.
        draw: number of the draw.
    """
    own, rest = _random(index, draw, active.shape[1])
    if null == "permute":
        return active[own.argsort()]
    if null == "shift":
        return active[shifted(sequence, own)]
    return active.gather(1, rest.argsort(1))


def _random(index: Tensor, draw: int, count: int) -> tuple[Tensor, Tensor]:
    """Numbers ``(b,)`` and ``(b, count)``, not negative, that depend on sample and draw alone."""
    bits = random_bits(index, draw=draw + STREAM, count=count + 1) & POSITIVE
    return bits[:, 0], bits[:, 1:]


def exchanged(groups: Tensor, keys: Tensor) -> Tensor:
    """A random exchange inside groups.

    Args:
        groups: ``(n,)`` int64 group of each thing.
        keys: ``(n,)`` int64 random numbers; equal ones in two groups exchange both alike.

    Returns:
        ``(n,)`` for each thing, the one whose place it takes.

    Example:
        >>> source = exchanged(torch.tensor([0, 1, 0]), torch.tensor([5, 1, 2]))
        >>> source.tolist()  # the things of group 0 change places, that of group 1 stays
        [2, 1, 0]
    """
    order = keys.argsort(stable=True)
    order = order[groups[order].argsort(stable=True)]
    return torch.empty_like(order).scatter_(0, groups.argsort(stable=True), order)


def shifted(groups: Tensor, keys: Tensor) -> Tensor:
    """A cyclic shift of each group by one random step, at least 1.

    Args:
        groups: ``(n,)`` int64 group of each thing; the things of a group are in order.
        keys: ``(n,)`` int64 random numbers, not negative; that of the first thing decides the step of its group.

    Returns:
        ``(n,)`` for each thing, the one whose place it takes.

    Example:
        >>> shifted(torch.tensor([0, 0, 0, 1, 1]), torch.zeros(5).long()).tolist()
        [2, 0, 1, 4, 3]
    """
    order = groups.argsort(stable=True)
    _, group, size = groups[order].unique(return_inverse=True, return_counts=True)
    start = size.cumsum(0) - size
    step = 1 + keys[order[start]] % (size - 1).clamp_min(1)
    position = torch.arange(len(groups), device=groups.device) - start[group]
    source = order[start[group] + (position - step[group]) % size[group]]
    return torch.empty_like(order).scatter_(0, order, source)
