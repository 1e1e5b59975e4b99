"""Selection of the prototypes that pruning keeps (Chen et al., This Looks Like That, NeurIPS 2019, supplement)."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor


def prototypes_to_keep(scores: Tensor, y: Tensor, owner: Tensor, *, k: int, least: int) -> Tensor:
    """Return which prototypes have at least ``least`` images of their own class among their ``k`` nearest.

    If that is none, all are kept, with a warning; a class that loses all prototypes gives a warning too.

    Args:
        scores: ``(n, u)`` similarity of each training image to each prototype.
        y: ``(n,)`` classes.
        owner: ``(u,)`` class of each prototype.
        k: nearest images.
        least: smallest number of them of the prototype's class.

    Returns:
        ``(u,)`` bool.

    Raises:
        ValueError: if ``least`` is not between 1 and ``k``.

    Example:
        >>> scores = torch.tensor([[3.0, 3.0], [2.0, 2.0], [1.0, 1.0]])
        >>> prototypes_to_keep(scores, torch.tensor([0, 0, 0]), torch.tensor([0, 0]), k=2, least=2).tolist()
        [True, True]
    """
    if not 1 <= least <= k:
        raise ValueError(f"prune: least is {least} and k is {k}; expected 1 <= least <= k")
    nearest = scores.topk(min(k, len(scores)), dim=0).indices  # (k, u)
    keep = (y[nearest] == owner).sum(0) >= least
    if not bool(keep.any()):
        message = f"no prototype has {least} images of its own class among its {k} nearest: none is pruned"
        warnings.warn(message, stacklevel=3)
        keep = torch.ones_like(keep)
    without = sorted(set(owner.tolist()) - set(owner[keep].tolist()))
    if without:
        warnings.warn(f"pruning leaves no prototype for class {without}", stacklevel=3)
    return keep
