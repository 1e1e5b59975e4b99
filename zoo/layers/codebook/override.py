"""Codes forced on or off during a forward pass."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from zoo.layers.codebook.bottleneck import Quantized


class CodeOverride:
    """Forces some codes on or off; a ``change`` of ``zoo.layers.codebook.sites.SiteCodebooks.visit``.

    A code that is on is in the sum in addition to the selected ones; one that is off is left out of it, as if its
    strength were set to 1 or 0 at every position of the pass.

    Args:
        states: on or off by unit id.
        codes: of each list.
        k: codes that each list selects.
    """

    def __init__(self, states: Mapping[int, float], *, codes: int, k: int) -> None:
        self.codes = codes
        self.k = k
        self.lists: dict[int, list[tuple[int, float]]] = {}
        for unit, on in states.items():
            self.lists.setdefault(unit // codes, []).append((unit % codes, on))

    def __call__(self, first: int, quantized: Quantized, table: Tensor) -> Tensor:
        """Return values ``(..., g, e)`` of a codebook ``table`` ``(g, c, e)`` whose first code has id ``first``."""
        value = quantized.value.clone()
        for group in range(len(table)):
            forced = self.lists.get(first // self.codes + group)
            if forced:
                ids, on = (table.new_tensor(part) for part in zip(*forced, strict=True))
                selected = (quantized.ids[..., group, :, None] == ids.long()).any(-2)  # (..., n)
                value[..., group, :] += (on - selected.to(on.dtype)) @ table[group, ids.long()] / self.k
        return value
