"""Shallow-deep feature alignment: deep features keep the spatial similarities of shallow ones.

Huang et al., Evaluation and Improvement of Interpretability for Self-Explainable Part-Prototype Networks, ICCV 2023.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MARGIN = 0.1  # difference of cosines without a penalty


def shallow_deep_alignment(deep: Tensor, shallow: Tensor, cells: Tensor, *, margin: float = MARGIN) -> Tensor:
    """Return how far similarities between cells differ in deep and shallow features, beyond a margin.

    For each cell listed, its cosine similarities to all cells are compared; the shallow features are folded onto the
    deep grid (space to depth) and have no gradient.

    Args:
        deep: ``(b, d, h, w)``.
        shallow: ``(b, e, h s, w s)``, s a whole number.
        cells: ``(b, k)`` numbers of cells of the deep grid, row by row; -1 pads.
        margin: absolute difference without a penalty.

    Returns:
        The mean over cells listed and all cells, a scalar; 0 if none is listed.

    Raises:
        ValueError: if the shallow grid is no multiple of the deep one.

    Example:
        >>> z = torch.rand(1, 4, 2, 2)
        >>> float(shallow_deep_alignment(z, z, torch.tensor([[0, 3, -1]])))
        0.0
    """
    height, width = deep.shape[2:]
    scale = shallow.shape[2] // height
    if shallow.shape[2:] != (height * scale, width * scale) or scale < 1:
        raise ValueError(
            f"the shallow features are {tuple(shallow.shape[2:])} cells; expected a multiple of {height} x {width}"
        )
    ids = cells.clamp_min(0)
    with torch.autocast(deep.device.type, enabled=False):
        folded = F.pixel_unshuffle(shallow.detach(), scale)
        difference = (_rows(deep.float(), ids) - _rows(folded.float(), ids)).abs()
    penalty = F.relu(difference - margin).mean(2) * (cells >= 0)
    return penalty.sum() / (cells >= 0).sum().clamp_min(1)


def _rows(z: Tensor, cells: Tensor) -> Tensor:
    """Cosine similarities ``(b, k, h w)`` of ``cells`` ``(b, k)`` to all cells of ``z`` ``(b, d, h, w)``."""
    unit = F.normalize(z.flatten(2), dim=1)
    picked = unit.gather(2, cells[:, None].expand(-1, unit.shape[1], -1))
    return torch.einsum("bdk,bdn->bkn", picked, unit)
