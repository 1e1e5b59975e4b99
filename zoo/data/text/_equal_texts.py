"""Texts that are equal but for case and spaces: numbered, joined with groups, and reported."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

log = logging.getLogger("zoo")


def number_texts(texts: Sequence[str]) -> Tensor:
    """Return the number ``(n,)`` of each text, the same for texts that are equal but for case and spaces.

    Example:
        >>> number_texts(["Fine.", "dull", " fine. "]).tolist()
        [0, 1, 0]
    """
    first: dict[str, int] = {}
    return torch.tensor([first.setdefault(" ".join(t.casefold().split()), len(first)) for t in texts])


def join_groups(same: Tensor, group: Tensor | None) -> Tensor:
    """Return the number ``(n,)`` of the connected components of two partitions ``(n,)``."""
    if group is None:
        return same
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n, a = len(same), int(same.max()) + 1
    rows, columns = same.numpy(), group.numpy() + a
    size = a + int(group.max()) + 1
    graph = coo_matrix((np.ones(n), (rows, columns)), shape=(size, size))
    return torch.from_numpy(connected_components(graph, directed=False)[1][rows].astype(np.int64))


def report_equal_texts(same: Tensor, y: Tensor, parts: Mapping[str, Tensor]) -> None:
    """Log how many texts are equal, and how many of them have different labels or are in several splits.

    Args:
        same: ``(n,)`` of ``number_texts``.
        y: ``(n,)`` labels.
        parts: positions of the texts of each split.
    """
    count = torch.bincount(same)
    if int(count.max()) < 2:
        return
    split_of = torch.full((len(y),), -1)
    for k, ids in enumerate(parts.values()):
        split_of[ids] = k
    log.info(
        "%d texts are equal to another but for case and spaces; %d of them have different labels, %d are in"
        " several of the given splits",
        int(count[count > 1].sum()),
        _with_several(same, y),
        _with_several(same, split_of),
    )


def _with_several(same: Tensor, value: Tensor) -> int:
    """Return how many of the numbered texts have more than one value."""
    pairs = torch.stack([same, value.long()], 1).unique(dim=0)
    return int((torch.bincount(pairs[:, 0]) > 1).sum())
