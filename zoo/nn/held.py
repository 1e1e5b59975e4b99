"""Codes held on or off while a model goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from zoo.nn.codebook import Snapped


class Held:
    """What a book gives with some of its codes held; a ``change`` of ``zoo.nn.books.Books.visit``.

    A code that is on takes the place of the weakest choice of its list; one that is off is left out of the sum.

    Args:
        held: unit id -> on or off.
        names: of all units.
        codes: of each list.
        k: codes that each list chooses.

    Raises:
        ValueError: if more codes of one list are on than it chooses.
    """

    def __init__(self, held: Mapping[int, bool], *, names: Sequence[str], codes: int, k: int) -> None:
        self.codes, self.k = codes, k
        self.lists: dict[int, tuple[list[int], list[int]]] = {}
        for unit, on in held.items():
            self.lists.setdefault(unit // codes, ([], []))[0 if on else 1].append(unit % codes)
        for number, (on, _) in self.lists.items():
            if len(on) > k:
                name = names[number * codes].rpartition(".")[0]
                raise ValueError(f"{len(on)} codes of {name} are to be on; it chooses {k} at a time")

    def __call__(self, first: int, snapped: Snapped, table: Tensor) -> Tensor:
        """Values ``(..., g, e)`` in place of those of ``snapped``, of the book whose first code has id ``first``."""
        mine = {
            g: self.lists[first // self.codes + g] for g in range(len(table)) if first // self.codes + g in self.lists
        }
        value = snapped.value.clone() if mine else snapped.value
        for group, (on, off) in mine.items():
            ids = snapped.ids[..., group, :]
            free, left = torch.ones_like(ids, dtype=torch.bool), torch.ones_like(ids, dtype=torch.bool)
            for code in on:
                free &= ids != code
            for code in off:
                left &= ids != code
            keep = free & (free.cumsum(-1) <= self.k - len(on)) & left
            total = (table[group][ids] * keep[..., None]).sum(-2)
            for code in on:
                total = total + table[group, code]
            value[..., group, :] = total / self.k
        return value
