"""One-to-one matching of units, and the similarity that it finds by chance."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from zoo.metrics.base import expect

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

    Example:
        >>> pairs = match(torch.tensor([[0.2, 1.0], [0.9, 0.3]]))
        >>> pairs.right.tolist(), round(pairs.summary()["similarity"], 4)
        ([1, 0], 0.95)
    """
    expect_finite("similarity", similarity, None, None)
    if not similarity.numel():
        raise ValueError(f"similarity is {tuple(similarity.shape)}; expected at least one unit in either run")
    table = similarity.detach().double().cpu()
    wide = (table if table.shape[0] <= table.shape[1] else table.T).numpy()
    rows, columns = np.arange(len(wide)), wide.argmax(1)
    if len(np.unique(columns)) < len(columns):  # else every row has its favorite, and nothing can be better
        from scipy.optimize import linear_sum_assignment

        rows, columns = linear_sum_assignment(wide, maximize=True)
    left, right = map(torch.from_numpy, (rows, columns) if len(wide) == len(table) else (columns, rows))
    order = left.argsort()
    left, right = left[order], right[order]
    highest = float(torch.cat([table.amax(1), table.amax(0)]).mean())
    return Match(left, right, table[left, right], (table.shape[0], table.shape[1]), highest, **known)


def average(matches: Iterable[Match]) -> dict[str, float]:
    """``Match.summary`` averaged over matchings, one for each pair of runs."""
    rows = [m.summary() for m in matches]
    return {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}


def expected(draw: Draw, *, seed: int) -> float:
    """Mean matched similarity of random tables ``(u, v)``; the fewer units, the more tables, 20 at most."""
    g, similarities = torch.Generator().manual_seed(seed), []
    while len(similarities) < 20 and sum(map(len, similarities)) < 1000:
        similarities.append(match(draw(g)).similarity)
    return float(torch.cat(similarities).mean())


def expect_finite(name: str, values: Tensor, *shape: int | None) -> None:
    """Check shape (see ``expect``) and numbers given by the user."""
    expect(name, values, *shape)
    if not bool(values.isfinite().all()):
        raise ValueError(f"{name} holds a number that is not finite; only finite ones can be compared")
