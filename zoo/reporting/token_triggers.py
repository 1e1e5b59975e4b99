"""What a unit of a language model fires after, in a few words with their precision and recall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zoo.reporting.glossary import visible

LONGEST = 4  # tokens of the words


@dataclass(frozen=True)
class Card:
    """The words after which a unit fires, of all that were tried those of the highest F1.

    Attributes:
        words: the last tokens before and at the position, as one text.
        precision: share of the positions where it fires that end in these words.
        recall: share of the positions that end in these words where it fires.
        fired: at how many positions it fires.
    """

    words: str
    precision: float
    recall: float
    fired: int

    def __str__(self) -> str:
        share = f"precision {self.precision:.2f}, recall {self.recall:.2f}, {self.fired} times"
        return f"after “{visible(self.words)}” ({share})"


def cards(texts: Sequence[Sequence[str]], where: Tensor, count: int) -> dict[int, Card]:
    """A card for every unit that fires at least once.

    Args:
        texts: the tokens of b texts.
        where: ``(n, 3)`` the places that fire: text, position, unit.
        count: u.
    """
    first = torch.tensor([0, *map(len, texts)]).cumsum(0)
    place, unit = first[where[:, 0]] + where[:, 1], where[:, 2]
    fired = torch.bincount(unit, minlength=count)
    best, found = torch.full((count,), -1.0, dtype=torch.float64), {}
    for n in range(1, LONGEST + 1):
        words, gram = _endings(texts, n)
        total = torch.bincount(gram[gram >= 0], minlength=len(words))
        some = gram[place] >= 0
        pair, hits = (unit[some] * len(words) + gram[place][some]).unique(return_counts=True)
        u, g = pair // len(words), pair % len(words)
        f1 = 2 * hits.double() / (fired[u] + total[g])
        order = torch.from_numpy(np.lexsort((-g.numpy(), f1.numpy(), u.numpy())))  # the best of each unit comes last
        last = order[torch.cat([u[order][1:] != u[order][:-1], torch.ones(min(1, len(u)), dtype=torch.bool)])]
        for i in last[f1[last] > best[u[last]] + 1e-12].tolist():
            own = int(u[i])
            best[own] = f1[i]
            h, all_, mine = float(hits[i]), float(total[g[i]]), int(fired[own])
            found[own] = Card(words[int(g[i])], h / mine, h / all_, mine)
    return found


def _endings(texts: Sequence[Sequence[str]], n: int) -> tuple[list[str], Tensor]:
    """All texts of n tokens, and which of them ends at each position, text by text; -1 before the n-th."""
    known: dict[tuple[str, ...], int] = {}
    ids = [
        known.setdefault(tuple(row[i - n + 1 : i + 1]), len(known)) if i >= n - 1 else -1
        for row in texts
        for i in range(len(row))
    ]
    return ["".join(words) for words in known], torch.tensor(ids)
