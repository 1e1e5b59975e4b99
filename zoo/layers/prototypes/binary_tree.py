"""A complete binary tree as tensors in heap order: soft routing from the root to the leaves without recursion.

Node v has the children 2 v + 1 (left) and 2 v + 2 (right). A tree of height h has n = 2^h - 1 inner nodes and 2^h
leaves, which follow the inner nodes in heap order. Every function visits the h levels one after the other.
"""

from __future__ import annotations

import torch
from torch import Tensor


def height_of(nodes: int) -> int:
    """Return the height of a tree with ``nodes`` inner nodes."""
    return (nodes + 1).bit_length() - 1


def reach(right: Tensor) -> tuple[Tensor, Tensor]:
    """Return the probability of reaching each inner node and each leaf.

    Args:
        right: ``(..., n)`` probability of going right at each inner node.

    Returns:
        ``(..., n)`` and ``(..., n + 1)``.

    Example:
        >>> nodes, leaves = reach(torch.tensor([0.25, 0.5, 1.0]))
        >>> nodes.tolist(), leaves.tolist()
        ([1.0, 0.75, 0.25], [0.375, 0.375, 0.0, 0.25])
    """
    level = torch.ones_like(right[..., :1])
    levels = []
    for k in range(height_of(right.shape[-1])):
        levels.append(level)
        p = right[..., 2**k - 1 : 2 ** (k + 1) - 1]
        level = torch.stack([level * (1 - p), level * p], dim=-1).flatten(-2)
    return torch.cat(levels, dim=-1), level


def mean_of_leaves(right: Tensor, leaves: Tensor) -> Tensor:
    """Return the mean of the leaves below each inner node and leaf, weighted by the routing from there on.

    Args:
        right: ``(n,)`` probability of going right at each inner node.
        leaves: ``(n + 1, c)`` values.

    Returns:
        ``(2 n + 1, c)`` in heap order; the first is the mean of the whole tree.

    Example:
        >>> mean_of_leaves(torch.tensor([0.5]), torch.tensor([[2.0], [4.0]])).tolist()
        [[3.0], [2.0], [4.0]]
    """
    levels = [leaves]
    for k in reversed(range(height_of(len(right)))):
        p = right[2**k - 1 : 2 ** (k + 1) - 1, None]
        left, right_child = levels[0].unflatten(0, (-1, 2)).unbind(1)
        levels.insert(0, (1 - p) * left + p * right_child)
    return torch.cat(levels)


def classes_below(leaf_class: Tensor, num_classes: int) -> Tensor:
    """Return ``(n, c)`` bool, the classes of the leaves below each inner node, from those of leaves ``(n + 1,)``."""
    level = torch.nn.functional.one_hot(leaf_class, num_classes).bool()
    levels = []
    while len(level) > 1:
        level = level.unflatten(0, (-1, 2)).any(1)
        levels.insert(0, level)
    return torch.cat(levels)


def forced_by_pruning(useless: Tensor) -> Tensor:
    """Return which way inner nodes send everything once subtrees of useless leaves are cut off.

    A subtree is cut off if all of its leaves are useless; its sibling takes the place of the parent. The two children
    of the root are never cut off.

    Args:
        useless: ``(n + 1,)`` bool, for each leaf.

    Returns:
        ``(n,)`` int64: 0 left, 1 right, -1 where the node still decides.

    Example:
        >>> forced_by_pruning(torch.tensor([True, False, False, False])).tolist()
        [-1, 1, -1]
    """
    levels = [useless]
    while len(levels[0]) > 1:
        levels.insert(0, levels[0].unflatten(0, (-1, 2)).all(1))
    cut = torch.cat(levels)
    cut[:3] = False
    nodes = torch.arange(len(useless) - 1, device=useless.device)
    left, right = cut[2 * nodes + 1], cut[2 * nodes + 2]
    return torch.where(left & ~right, 1, torch.where(right & ~left, 0, -1))
