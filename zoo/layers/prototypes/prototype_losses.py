"""Loss terms of prototype networks.

Chen et al., This Looks Like That, NeurIPS 2019, eq. (2) and (5); orthogonality after Wang et al., Interpretable Image
Recognition by Constructing Transparent Embedding Space, ICCV 2021; its absolute form after Huang et al., ICCV 2023.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cluster(distance: Tensor, own: Tensor) -> Tensor:
    """Return the mean distance of the nearest own-class prototype.

    Args:
        distance: ``(b, u)`` of the nearest patch to each prototype.
        own: ``(b, u)`` bool, whether a prototype belongs to the class of the sample.

    Example:
        >>> float(cluster(torch.tensor([[1.0, 3.0]]), torch.tensor([[False, True]])))
        3.0
    """
    return distance.masked_fill(~own, torch.inf).amin(1).nan_to_num(posinf=0.0).mean()


def separation(distance: Tensor, own: Tensor) -> Tensor:
    """Return the mean distance of the nearest prototype of another class; arguments as in ``cluster``."""
    return cluster(distance, ~own)


def orthogonality(prototypes: Tensor, owner: Tensor) -> Tensor:
    """Return the mean squared cosine between prototypes ``(u, d, i, j)`` of one class, ``owner`` ``(u,)``."""
    p = F.normalize(prototypes.flatten(1), dim=1)
    same = (owner[:, None] == owner).fill_diagonal_(False)
    return ((p @ p.T).square() * same).sum() / same.sum().clamp_min(1)


def absolute_orthogonality(prototypes: Tensor, owner: Tensor) -> Tensor:
    """Return the sum of absolute entries of P P^T - I over classes, P the prototypes of a class scaled to length 1.

    Args:
        prototypes: ``(u, d, i, j)``.
        owner: ``(u,)`` class of each.

    Example:
        >>> float(absolute_orthogonality(torch.ones(2, 4, 1, 1), torch.tensor([0, 0])))
        2.0
    """
    p = F.normalize(prototypes.flatten(1), dim=1)
    same = owner[:, None] == owner
    return ((p @ p.T - torch.eye(len(p)).to(p)).abs() * same).sum()
