"""Nulls of part scores: locations and claims without the dependence that the score measures."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.metrics.perturbations.noise import random_bits

STREAM = 6 << 32  # of the generator: unlike any draw of a perturbation
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
    whose = dealt(ids[row, column], own[row]) if null == "permute" else dealt(row, rest[row, column])
    new = places.clone()
    new[row, column] = places[row[whose], column[whose]]
    return new


def fires_under(null: str, fires: Tensor, index: Tensor, draw: int) -> Tensor:
    """Claims ``(b, u)`` of units under one draw of a random null; arguments as for ``places_under``."""
    own, rest = _random(index, draw, fires.shape[1])
    if null == "permute":
        return fires[own.argsort()]
    if null == "shift":
        return fires.roll(1 + int(own[0]) % max(1, len(fires) - 1), 0)
    return fires.gather(1, rest.argsort(1))


def _random(index: Tensor, draw: int, count: int) -> tuple[Tensor, Tensor]:
    """Numbers ``(b,)`` and ``(b, count)``, not negative, that depend on sample and draw alone."""
    bits = random_bits(index, draw=draw + STREAM, count=count + 1) & POSITIVE
    return bits[:, 0], bits[:, 1:]


def dealt(groups: Tensor, keys: Tensor) -> Tensor:
    """A random exchange inside groups.

    Args:
        groups: ``(n,)`` int64 group of each thing.
        keys: ``(n,)`` int64 random numbers; equal ones in two groups exchange both alike.

    Returns:
        ``(n,)`` for each thing, the one whose place it takes.
    """
    order = keys.argsort(stable=True)
    order = order[groups[order].argsort(stable=True)]
    return torch.empty_like(order).scatter_(0, groups.argsort(stable=True), order)
