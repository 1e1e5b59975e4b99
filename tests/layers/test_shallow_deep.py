import math

import pytest
import torch
import torch.nn.functional as F

from zoo.layers.prototypes.prototype_losses import absolute_orthogonality
from zoo.layers.prototypes.shallow_deep import shallow_deep_alignment
from zoo.layers.prototypes.similarity import MeanDirection, distances


def cosine(a, b):
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


def test_alignment_against_loops():
    """Two by three cells, each of which stands for 2 x 2 shallow cells of 5 channels."""
    torch.manual_seed(0)
    deep, shallow = torch.randn(2, 3, 2, 3), torch.randn(2, 5, 4, 6)
    cells = torch.tensor([[0, 5], [3, -1]])
    total = []
    for n in range(2):
        z = {3 * i + j: deep[n, :, i, j].tolist() for i in range(2) for j in range(3)}
        s = {
            3 * i + j: shallow[n, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].flatten().tolist()
            for i in range(2)
            for j in range(3)
        }
        for c in [c for c in cells[n].tolist() if c >= 0]:
            rows = [max(0.0, abs(cosine(z[c], z[k]) - cosine(s[c], s[k])) - 0.1) for k in range(6)]
            total.append(sum(rows) / 6)
    assert float(shallow_deep_alignment(deep, shallow, cells)) == pytest.approx(sum(total) / 3, rel=1e-5)
    assert float(shallow_deep_alignment(deep, shallow, cells, margin=2.0)) == 0


def test_only_the_deep_features_have_a_gradient():
    deep, shallow = torch.randn(1, 3, 2, 2, requires_grad=True), torch.randn(1, 3, 4, 4, requires_grad=True)
    shallow_deep_alignment(deep, shallow, torch.tensor([[1]])).backward()
    assert bool(deep.grad.abs().sum() > 0)
    assert shallow.grad is None


def test_grids_that_do_not_fit():
    with pytest.raises(ValueError, match=r"\(5, 4\) cells; expected a multiple of 2 x 2"):
        shallow_deep_alignment(torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 5, 4), torch.tensor([[0]]))


def test_absolute_orthogonality_against_loops():
    torch.manual_seed(0)
    p, owner = torch.randn(5, 3, 1, 1), torch.tensor([0, 0, 0, 1, 1])
    total = 0.0
    for a in range(5):
        for b in range(5):
            if owner[a] == owner[b]:
                total += abs(cosine(p[a].flatten().tolist(), p[b].flatten().tolist()) - float(a == b))
    assert float(absolute_orthogonality(p, owner)) == pytest.approx(total, rel=1e-4)


def test_averaged_directions_average_the_map():
    """The projection on averaged directions is the mean of the cosine map, border replicated."""
    torch.manual_seed(0)
    z, p = torch.randn(2, 4, 5, 6), torch.randn(3, 4, 1, 1)
    cosines = 1 - distances(z, p, "cosine")
    expected = F.avg_pool2d(F.pad(cosines, [1] * 4, mode="replicate"), 3, stride=1)
    torch.testing.assert_close(-distances(MeanDirection(3)(z), p, "projection"), expected, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="average is 2; expected an odd number"):
        MeanDirection(2)
