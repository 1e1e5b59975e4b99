"""Consistency across trainings: do two runs of a method find the same units?

Every unit has a signature: its direction, its strength on a common probe set, or the parts it matches. Units of two
runs are matched one to one so that the summed similarity of their signatures is largest. Chance is not zero: among
enough random vectors some are alike, and the matching finds them. Every result therefore carries two chance values: of
units that have nothing in common, and of units that have no more in common than all units of their runs do.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from zoo.metrics.matching._match import PROTOCOL, Draw, Match, average, expect_finite, expected, match
from zoo.metrics.parts.consistency import Consistency

__all__ = ["PROTOCOL", "Match", "average", "directions", "match", "parts", "profile"]


def directions(left: Tensor, right: Tensor, *, signed: bool = True, seed: int = 0) -> Match:
    """Match by cosine: decoder rows, prototypes, codes (PW-MCC). Runs must share the space that these live in.

    Chance is the same matching of random rows of the same shapes. For the strict chance the right run has random rows
    with the mean and the covariance of its own.

    Args:
        left: ``(u, d)`` one row for each unit.
        right: ``(v, d)``
        signed: whether a row and its opposite are different units; else the absolute cosine counts.
        seed: of the random rows.

    Raises:
        ValueError: if widths differ or a number is not finite.

    Example:
        >>> pairs = directions(torch.eye(2), torch.eye(2).flip(0))
        >>> pairs.right.tolist(), round(pairs.summary()["similarity"], 4)
        ([1, 0], 1.0)
    """
    a, b = _unit("left", left), _unit("right", right, len(left.T))
    alive = b.any(1)
    mean = b[alive].mean(0) if signed and bool(alive.any()) else torch.zeros_like(b[0])

    def cosine(one: Tensor, other: Tensor) -> Tensor:
        table = _unit("", one) @ _unit("", other).T
        return table if signed else table.abs()

    def free(g: Generator) -> Tensor:
        return cosine(_normal(a.shape, g), _normal(b.shape, g))

    def alike(g: Generator) -> Tensor:
        count = int(alive.sum())
        drawn = mean + _normal((count, count), g) @ (b[alive] - mean) / max(1, count - signed) ** 0.5
        return cosine(a, b.masked_scatter(alive[:, None], drawn))

    return match(cosine(a, b), **_context(a, b, free, alike, seed))


def parts(left: Tensor, right: Tensor, *, seed: int = 0) -> Match:
    """Match by the cosine of part profiles ``(u, p)`` and ``(v, p)``, see ``profile``; comparable across families.

    Chance is the same matching after the rates of each unit on the right are shuffled over the parts. For the strict
    chance the rates at each part are shuffled over the units instead, so that parts remain as popular as they are.

    Raises:
        ValueError: if the numbers of parts differ or a rate is not finite.
    """
    a, b = _unit("left", left), _unit("right", right, len(left.T))
    alive = b.any(1)

    def free(g: Generator) -> Tensor:
        return a @ b.gather(1, torch.rand(b.shape, generator=g).argsort(1)).T

    def alike(g: Generator) -> Tensor:
        drawn = b[alive].gather(0, torch.rand(b[alive].shape, generator=g).argsort(0))
        return a @ _unit("", b.masked_scatter(alive[:, None], drawn)).T

    return match(a @ b.T, **_context(a, b, free, alike, seed))


def profile(score: Consistency) -> Tensor:
    """Rates ``(u, p)`` float64 of what a consistency score has counted: r = H / n, 0 where n is 0."""
    return score.hit.double() / score.shown.clamp_min(1)


def _context(a: Tensor, b: Tensor, free: Draw, alike: Draw, seed: int) -> dict[str, Any]:
    """What ``match`` carries along."""
    chances = {"chance": expected(free, seed=seed), "strict_chance": expected(alike, seed=seed)}
    return {**chances, "dead": (int((~a.any(1)).sum()), int((~b.any(1)).sum()))}


def _normal(shape: tuple[int, ...], g: Generator) -> Tensor:
    return torch.randn(shape, generator=g, dtype=torch.float64)


def _unit(name: str, rows: Tensor, width: int | None = None) -> Tensor:
    """Rows ``(u, d)`` float64 of length 1; rows of zeros stay."""
    expect_finite(name, rows, None, width)
    rows = rows.detach().double().cpu()
    return torch.nn.functional.normalize(rows / rows.abs().amax(1, keepdim=True).clamp_min(1e-300), dim=1)
