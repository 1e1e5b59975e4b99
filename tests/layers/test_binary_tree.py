"""The tree as tensors against a naive recursion over nodes."""

import pytest
import torch

from zoo.layers.prototypes.binary_tree import classes_below, forced_by_pruning, mean_of_leaves, reach


def visit(right, v, p, out):
    """The probability of reaching every node and leaf from node ``v`` on, by heap index."""
    out[v] = p
    if v < len(right):
        visit(right, 2 * v + 1, p * (1 - right[v]), out)
        visit(right, 2 * v + 2, p * right[v], out)
    return out


def mean_below(right, leaves, v):
    if v >= len(right):
        return leaves[v - len(right)]
    left, other = (mean_below(right, leaves, child) for child in (2 * v + 1, 2 * v + 2))
    return [(1 - right[v]) * a + right[v] * b for a, b in zip(left, other, strict=True)]


def leaves_below(n, v):
    return [v - n] if v >= n else [leaf for child in (2 * v + 1, 2 * v + 2) for leaf in leaves_below(n, child)]


@pytest.mark.parametrize("height", [1, 2, 5])
def test_against_a_recursion(height):
    torch.manual_seed(height)
    n = 2**height - 1
    right = torch.rand(3, n, dtype=torch.float64)
    right[0, ::2] = right[0, ::2].round()  # forced nodes
    leaves = torch.rand(n + 1, 4, dtype=torch.float64)
    nodes, leaf = reach(right)
    assert leaf.sum(1).tolist() == pytest.approx([1, 1, 1])
    for i in range(3):
        expected = visit(right[i].tolist(), 0, 1.0, {})
        assert torch.cat([nodes[i], leaf[i]]).tolist() == pytest.approx([expected[v] for v in range(2 * n + 1)])
        means = mean_of_leaves(right[i], leaves)
        for v in range(2 * n + 1):
            assert means[v].tolist() == pytest.approx(mean_below(right[i].tolist(), leaves.tolist(), v))
    torch.testing.assert_close(mean_of_leaves(right[1], leaves)[0], leaf[1] @ leaves)
    label = torch.arange(n + 1) % 4
    below = classes_below(label, 5)
    for v in range(n):
        assert set(below[v].nonzero()[:, 0].tolist()) == {int(label[leaf]) for leaf in leaves_below(n, v)}


def test_leading_dimensions_are_kept():
    right = torch.rand(2, 3, 7)
    nodes, leaf = reach(right)
    assert nodes.shape == (2, 3, 7)
    assert leaf.shape == (2, 3, 8)
    torch.testing.assert_close(leaf[1, 2], reach(right[1, 2])[1])


@pytest.mark.parametrize("seed", range(8))
def test_pruning_against_a_recursion(seed):
    """A node sends everything to the child that is left if the other one has only useless leaves."""
    n = 15
    useless = torch.rand(n + 1, generator=torch.Generator().manual_seed(seed)) < 0.7
    cut = [v > 2 and all(bool(useless[leaf]) for leaf in leaves_below(n, v)) for v in range(2 * n + 1)]
    forced = forced_by_pruning(useless)
    for v in range(n):
        left, right = cut[2 * v + 1], cut[2 * v + 2]
        assert int(forced[v]) == (-1 if left == right else int(left))


def test_the_children_of_the_root_stay():
    assert forced_by_pruning(torch.tensor([True] * 4 + [False] * 4))[0] == -1
