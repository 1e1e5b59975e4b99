"""The text after which a unit of a language model is active, with its precision and recall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zoo.reporting.glossary import visible

LONGEST = 4  # tokens of a text


@dataclass(frozen=True)
class Trigger:
    """The text after which a unit is active: of all that were tried, that of the highest F1.

    Attributes:
        words: the last tokens before and at the position, as one text.
        precision: share of the positions where the unit is active that end in this text.
        recall: share of the positions that end in this text where the unit is active.
        active: number of positions where the unit is active.
    """

    words: str
    precision: float
    recall: float
    active: int

    def __str__(self) -> str:
        share = f"precision {self.precision:.2f}, recall {self.recall:.2f}, {self.active} times"
        return f"after “{visible(self.words)}” ({share})"


def token_triggers(texts: Sequence[Sequence[str]], where: Tensor, count: int) -> dict[int, Trigger]:
    """Return the trigger of every unit that is active at least once.

    Args:
        texts: the tokens of b texts.
        where: ``(n, 3)`` the places where units are active: text, position, unit.
        count: u.

    Example:
        >>> str(token_triggers([["a", "b", "a"]], torch.tensor([[0, 1, 0]]), 1)[0])
        'after “b” (precision 1.00, recall 1.00, 1 times)'
    """
    first = torch.tensor([0, *map(len, texts)]).cumsum(0)
    place = first[where[:, 0]] + where[:, 1]
    unit = where[:, 2]
    active = torch.bincount(unit, minlength=count)
    best = torch.full((count,), -1.0, dtype=torch.float64)
    triggers: dict[int, Trigger] = {}
    for n in range(1, LONGEST + 1):
        words, gram = _endings(texts, n)
        total = torch.bincount(gram[gram >= 0], minlength=len(words))
        long_enough = gram[place] >= 0
        pair, hits = (unit[long_enough] * len(words) + gram[place][long_enough]).unique(return_counts=True)
        u = pair // len(words)
        g = pair % len(words)
        f1 = 2 * hits.double() / (active[u] + total[g])
        order = torch.from_numpy(np.lexsort((-g.numpy(), f1.numpy(), u.numpy())))  # the best of each unit comes last
        last = order[torch.cat([u[order][1:] != u[order][:-1], torch.ones(min(1, len(u)), dtype=torch.bool)])]
        for i in last[f1[last] > best[u[last]] + 1e-12].tolist():
            own, ending = int(u[i]), int(g[i])
            best[own] = f1[i]
            both, times = float(hits[i]), int(active[own])
            triggers[own] = Trigger(words[ending], both / times, both / float(total[ending]), times)
    return triggers


def _endings(texts: Sequence[Sequence[str]], n: int) -> tuple[list[str], Tensor]:
    """Return all texts of n tokens, and which of them ends at each position, text by text; -1 before the n-th."""
    known: dict[tuple[str, ...], int] = {}
    ids = [
        known.setdefault(tuple(row[i - n + 1 : i + 1]), len(known)) if i >= n - 1 else -1
        for row in texts
        for i in range(len(row))
    ]
    return ["".join(words) for words in known], torch.tensor(ids)
