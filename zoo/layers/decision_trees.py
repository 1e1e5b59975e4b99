"""Decision trees as tensors: all trees descend together, level by level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

STATE = ("feature", "threshold", "below", "missing_left", "value", "root", "output", "base")
LARGEST = float(np.finfo(np.float64).max)  # in place of an infinite threshold; a checkpoint holds finite numbers only


class DecisionTrees(nn.Module):
    """Sums of T decision trees with N nodes together, on the values of d columns.

    Args:
        outputs: c, the number of sums.

    Attributes:
        feature: ``(N,)`` column that a node compares.
        threshold: ``(N,)`` a value up to which goes left.
        below: ``(N, 2)`` left and right node; a leaf is its own child.
        missing_left: ``(N,)`` whether a missing value goes left.
        value: ``(N,)`` of leaves.
        root: ``(T,)`` first node of each tree.
        output: ``(T,)`` sum that a tree belongs to.
        base: ``(c,)`` start of the sums.

    Example:
        >>> DecisionTrees(2)(torch.zeros(3, 4)).shape
        torch.Size([3, 2])
    """

    feature: Tensor
    threshold: Tensor
    below: Tensor
    missing_left: Tensor
    value: Tensor
    root: Tensor
    output: Tensor
    base: Tensor

    def __init__(self, outputs: int) -> None:
        super().__init__()
        for name, value in _tensors([], np.zeros(outputs)).items():
            self.register_buffer(name, value)

    def set_trees(self, trees: Sequence[tuple[int, np.ndarray]], base: np.ndarray) -> None:
        """Replace all trees.

        Args:
            trees: for each tree the number of its sum, and its nodes as scikit-learn's histogram boosting holds them.
            base: ``(c,)`` start of the sums.
        """
        for name, value in _tensors(trees, base).items():
            setattr(self, name, value.to(self.base.device))

    def resize_for(self, state: Mapping[str, Tensor], prefix: str = "") -> None:
        """Take the sizes of all tensors from a state about to be loaded."""
        for name in STATE:
            if f"{prefix}{name}" in state:
                setattr(self, name, torch.zeros_like(state[f"{prefix}{name}"]))

    def depth(self) -> int:
        """Return the number of decisions from a root to the deepest leaf."""
        steps = 0
        nodes = self.root
        while len(nodes := nodes[self.below[nodes, 0] != nodes]):
            nodes = self.below[nodes].flatten()
            steps += 1
        return steps

    def forward(self, x: Tensor, steps: int | None = None) -> Tensor:
        """Return the sums ``(b, c)`` of rows ``(b, d)``; NaN is a missing value.

        Args:
            x: the rows.
            steps: number of decisions, at least ``depth()``; None to stop where every row is at a leaf.
        """
        x = x.to(self.threshold.dtype)
        node = self.root.expand(x.shape[0], -1)
        while len(self.root) and steps != 0:
            value = x.gather(1, self.feature[node])
            left = (value.isnan() & self.missing_left[node]) | (value <= self.threshold[node])
            following = self.below[node, torch.where(left, 0, 1)]
            if steps is None and torch.equal(following, node):
                break
            node = following
            steps = None if steps is None else steps - 1
        sums = self.base.expand(x.shape[0], -1).clone()
        return sums.index_add_(1, self.output, self.value[node])


def _tensors(trees: Sequence[tuple[int, np.ndarray]], base: np.ndarray) -> dict[str, Tensor]:
    sizes = [len(nodes) for _, nodes in trees]
    start = np.cumsum([0, *sizes])[:-1]
    every = np.arange(sum(sizes))

    def joined(field: str, dtype: type) -> np.ndarray:
        parts = [nodes[field].astype(dtype) for _, nodes in trees]
        return np.concatenate(parts) if parts else np.zeros(0, dtype)

    leaf = joined("is_leaf", bool)
    offset = np.repeat(start, sizes).astype(np.int64)
    children = np.stack([joined("left", np.int64) + offset, joined("right", np.int64) + offset], 1)
    values = {
        "feature": np.where(leaf, 0, joined("feature_idx", np.int64)),
        "threshold": np.clip(joined("num_threshold", np.float64), -LARGEST, LARGEST),
        "below": np.where(leaf[:, None], every[:, None], children),
        "missing_left": joined("missing_go_to_left", bool),
        "value": joined("value", np.float64),
        "root": np.asarray(start, dtype=np.int64),
        "output": np.array([output for output, _ in trees], dtype=np.int64),
        "base": np.array(base, dtype=np.float64),
    }
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in values.items()}
