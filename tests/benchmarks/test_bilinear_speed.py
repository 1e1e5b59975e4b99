"""Reading a bilinear model off its weights: all classes at once against a loop over classes, interleaved.

LAPACK takes one matrix at a time, so few large classes gain nothing on a CPU; many small ones do.
"""

import time

import pytest
import torch
from torch import nn

from zoo.nn.bilinear import Bilinear, forms, spectrum

ROUNDS = 5
CASES = [(10, 256, 0.7), (10, 512, 0.7), (200, 64, 1.1), (1000, 32, 1.3)]  # and the least speed-up


def one_by_one(layer, head):
    """Per class: the three-way einsum that defines the interaction matrix, then its eigenvectors."""
    left, right = layer.weight.double().chunk(2)
    out = []
    for row in head.weight.double():
        q = torch.einsum("m,mi,mj->ij", row, left, right)
        out.append(torch.linalg.eigh((q + q.T) / 2))
    return out


@pytest.mark.benchmark
@torch.no_grad()
@pytest.mark.parametrize(
    ("classes", "width", "least"), [(10, 256, 0.7), (10, 512, 0.7), (200, 64, 1.1), (1000, 32, 1.3)]
)
def test_decomposition_of_all_classes(classes, width, least):
    torch.manual_seed(0)
    layer, head = Bilinear(width, width), nn.Linear(width, classes, bias=False)
    ways = {"together": lambda: spectrum(forms(layer, head.weight)), "loop": lambda: one_by_one(layer, head)}
    found = {name: way() for name, way in ways.items()}  # warm, and the same
    for c, (values, _) in enumerate(found["loop"]):
        torch.testing.assert_close(found["together"].values[c].sort().values, values, rtol=1e-8, atol=1e-8)
    seconds = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    best = {name: min(s) for name, s in seconds.items()}
    print(f"{classes} classes of width {width}: " + ", ".join(f"{k} {1000 * v:.0f} ms" for k, v in best.items()))
    assert best["loop"] > least * best["together"]
