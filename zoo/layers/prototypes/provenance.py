"""Where prototypes came from: the training sample, the cell of its map and a hash of its content, in the state."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.capabilities import Sources
from zoo.layers.prototypes.prototype_model import PrototypeModel

SOURCES = ("source_index", "source_row", "source_col", "source_distance", "source_hash")


class Provenance(PrototypeModel):
    """A prototype model that remembers a training sample for each prototype; saved and loaded with the weights.

    A family calls ``build_sources``.

    Attributes:
        source_index: ``(u,)`` training sample of each prototype, -1 before one is recorded.
        source_row: ``(u,)`` row of its patch.
        source_col: ``(u,)`` column of its patch.
        source_distance: ``(u,)`` float64 distance from the patch when it was recorded.
        source_hash: ``(u,)`` content hash of the sample.
    """

    source_index: Tensor
    source_row: Tensor
    source_col: Tensor
    source_distance: Tensor
    source_hash: Tensor

    def build_sources(self, count: int) -> None:
        """Register the buffers of ``count`` prototypes, without sources."""
        for name in SOURCES:
            dtype = torch.float64 if name == "source_distance" else torch.int64
            self.register_buffer(name, torch.full((count,), -1, dtype=dtype))

    @torch.no_grad()
    def record_sources(self, *, index: Tensor, row: Tensor, col: Tensor, distance: Tensor, content: Tensor) -> None:
        """Record sample, row and column of the patch, distance and content hash, each ``(u,)``, of all prototypes."""
        self.source_index.copy_(index)
        self.source_row.copy_(row)
        self.source_col.copy_(col)
        self.source_distance.copy_(distance)
        self.source_hash.copy_(content)

    def sources(self) -> Sources:
        """Return the training sample of each prototype."""
        return Sources(self.source_index, self.source_hash)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``: ``sources`` once recorded."""
        return super().capabilities | frozenset({"sources"} if bool((self.source_index >= 0).any()) else ())
