"""Codes held on or off while a model goes on."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from zoo.layers.codebook.bottleneck import Snapped


class Held:
    """What a book gives with some of its codes held; a ``change`` of ``zoo.layers.codebook.sites.Books.visit``.

    A code that is on is in the sum, besides those that were chosen; one that is off is left out of it. So it is as if
    its strength were set to 1 or 0, at every position that the pass sees.

    Args:
        held: unit id -> on or off.
        codes: of each list.
        k: codes that each list chooses.
    """

    def __init__(self, held: Mapping[int, bool], *, codes: int, k: int) -> None:
        self.codes, self.k = codes, k
        self.lists: dict[int, list[tuple[int, bool]]] = {}
        for unit, on in held.items():
            self.lists.setdefault(unit // codes, []).append((unit % codes, on))

    def __call__(self, first: int, snapped: Snapped, table: Tensor) -> Tensor:
        """Values ``(..., g, e)`` in place of those of ``snapped``, of the book whose first code has id ``first``."""
        value = snapped.value.clone()
        for group in range(len(table)):
            if mine := self.lists.get(first // self.codes + group):
                ids, on = (table.new_tensor(part) for part in zip(*mine, strict=True))
                chosen = (snapped.ids[..., group, :, None] == ids.long()).any(-2)  # (..., n)
                value[..., group, :] += (on - chosen.to(on.dtype)) @ table[group, ids.long()] / self.k
        return value
