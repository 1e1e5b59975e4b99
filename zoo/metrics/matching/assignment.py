"""Consistency across trainings: do two runs of a method find the same units?

Every unit has a signature: its direction, its strength on a common probe set, or the parts it matches. Units of two
runs are matched one to one so that the summed similarity of their signatures is largest. Chance is not zero: among
enough random vectors some are alike, and the matching finds them. Every result therefore carries two chance values: of
units that have nothing in common, and of units that have no more in common than all units of their runs do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Generator, Tensor

from zoo.metrics.base import expect
from zoo.metrics.parts.consistency import Consistency

PROTOCOL = "zoo-matching-v1"
CLOSE = 0.7  # similarity from which a matched pair counts as the same unit
NONE = float("nan")
Draw = Callable[[Generator], Tensor]  # a random table of similarities


@dataclass(frozen=True)
class Match:
    """Units of a left and a right run, matched one to one.

    Attributes:
        left: ``(m,)`` int64 ids in the left run, ascending; m is the number of units of the smaller run.
        right: ``(m,)`` int64 their partners.
        similarity: ``(m,)`` float64 of each pair, in [-1, 1]; 0 where a signature is constant (a dead unit).
        sizes: units of either run.
        highest: mean, over the units of both runs, of the largest similarity to any unit of the other run.
        chance: the mean similarity that the same matching finds where nothing is alike; NaN if not asked for.
        strict_chance: the same where units have in common what all of their run have, and no more; NaN likewise.
        dead: units of either run whose signature is constant; they match none of the other run.
    """

    left: Tensor
    right: Tensor
    similarity: Tensor
    sizes: tuple[int, int]
    highest: float
    chance: float = NONE
    strict_chance: float = NONE
    dead: tuple[int, int] = (0, 0)

    @property
    def unmatched(self) -> tuple[Tensor, Tensor]:
        """Ids of either run without a partner; at least one of the two is empty."""
        sides = zip(self.sizes, (self.left, self.right), strict=True)
        alone = [torch.ones(n, dtype=torch.bool).index_fill(0, ids, False).nonzero()[:, 0] for n, ids in sides]
        return alone[0], alone[1]

    def summary(self) -> dict[str, float]:
        """Mean ``similarity`` of pairs, both chances, ``highest``, the shares ``close``, ``unmatched`` and ``dead``."""
        return {
            "similarity": float(self.similarity.mean()),
            "chance": self.chance,
            "strict_chance": self.strict_chance,
            "highest": self.highest,
            "close": float((self.similarity >= CLOSE).double().mean()),
            "unmatched": 1 - 2 * len(self.left) / sum(self.sizes),
            "dead": sum(self.dead) / sum(self.sizes),
        }


def match(similarity: Tensor, **known: Any) -> Match:
    """The one-to-one matching of largest summed similarity ``(u, v)``; ``known`` fields of ``Match`` are carried along.

    Raises:
        ValueError: if a run has no units or a similarity is not finite.
    """
    expect_finite("similarity", similarity, None, None)
    if not similarity.numel():
        raise ValueError(f"similarity is {tuple(similarity.shape)}; expected at least one unit in either run")
    table = similarity.detach().double().cpu()
    wide = (table if table.shape[0] <= table.shape[1] else table.T).numpy()
    rows, columns = np.arange(len(wide)), wide.argmax(1)
    if len(np.unique(columns)) < len(columns):  # else every row has its favorite, and nothing can be better
        rows, columns = linear_sum_assignment(wide, maximize=True)
    left, right = map(torch.from_numpy, (rows, columns) if len(wide) == len(table) else (columns, rows))
    order = left.argsort()
    left, right = left[order], right[order]
    highest = float(torch.cat([table.amax(1), table.amax(0)]).mean())
    return Match(left, right, table[left, right], (table.shape[0], table.shape[1]), highest, **known)


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


def average(matches: Iterable[Match]) -> dict[str, float]:
    """``Match.summary`` averaged over matchings, one for each pair of runs."""
    rows = [m.summary() for m in matches]
    return {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}


def expected(draw: Draw, *, seed: int) -> float:
    """Mean matched similarity of random tables ``(u, v)``; the fewer units, the more tables, 20 at most."""
    g, found = torch.Generator().manual_seed(seed), []
    while len(found) < 20 and sum(map(len, found)) < 1000:
        found.append(match(draw(g)).similarity)
    return float(torch.cat(found).mean())


def expect_finite(name: str, found: Tensor, *shape: int | None) -> None:
    """Check shape (see ``expect``) and numbers given by the user."""
    expect(name, found, *shape)
    if not bool(found.isfinite().all()):
        raise ValueError(f"{name} holds a number that is not finite; only finite ones can be compared")


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
