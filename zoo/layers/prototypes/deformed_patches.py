"""Patches whose parts move: features sampled around each cell at positions that depend on the image, in plain torch.

Donnelly et al., Deformable ProtoPNet: An Interpretable Image Classifier Using Deformable Prototypes, CVPR 2022.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HIDDEN = 128  # channels of the hidden layer that predicts the offsets


class DeformedPatches(nn.Module):
    """Stack the features of ``parts`` x ``parts`` positions around every cell, each moved by a predicted offset.

    Feature vectors are made non-negative and scaled to length 1; between cells their squares are interpolated, so that
    the length stays 1. Positions outside the map are moved to its border. All stacks have length 1.

    Args:
        dim: width d of the features.
        parts: side of the square of parts, m of them in all.
        dilation: distance of neighboring parts before they move, in cells.

    Example:
        >>> DeformedPatches(4, parts=2)(torch.rand(1, 4, 3, 3)).norm(dim=1).round(decimals=4).unique().tolist()
        [1.0]
    """

    def __init__(self, dim: int, *, parts: int, dilation: int = 2) -> None:
        super().__init__()
        self.parts = parts**2
        self.hidden = nn.Conv2d(dim, HIDDEN, 3, padding=1)
        self.offset = nn.Conv2d(HIDDEN, 2 * self.parts, 3, padding=1)
        nn.init.zeros_(self.offset.weight)
        assert self.offset.bias is not None
        nn.init.zeros_(self.offset.bias)
        side = dilation * (torch.arange(parts) - (parts - 1) / 2)
        rows, columns = torch.meshgrid(side, side, indexing="ij")
        self.register_buffer("rest", torch.stack([columns.flatten(), rows.flatten()], 1), persistent=False)

    rest: Tensor

    def offsets(self, z: Tensor) -> Tensor:
        """Return the move (x, y) of each part at every cell, in cells, ``(b, m, 2, h, w)``, of features ``z``."""
        return self.offset(F.relu(self.hidden(z))).unflatten(1, (self.parts, 2))

    def forward(self, z: Tensor, offsets: Tensor | None = None) -> Tensor:
        """Return stacks ``(b, d m, h, w)`` of features ``(b, d, h, w)``; offsets are predicted unless given."""
        height, width = z.shape[2:]
        moves = self.offsets(z) if offsets is None else offsets
        square = F.normalize(F.relu(z), dim=1, eps=1e-6).square()
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        cells = torch.stack([x, y]).to(z)  # (2, h, w)
        places = cells + self.rest.to(z)[:, :, None, None] + moves  # (b, m, 2, h, w)
        scale = torch.tensor([width, height]).to(z)[:, None, None]
        grid = ((2 * places + 1) / scale - 1).movedim(2, -1).flatten(1, 2)  # (b, m h, w, 2)
        sampled = F.grid_sample(square, grid, padding_mode="border", align_corners=False)
        stacks = (sampled.clamp_min(1e-12) / self.parts).sqrt().unflatten(2, (self.parts, height))
        return stacks.flatten(1, 2)
