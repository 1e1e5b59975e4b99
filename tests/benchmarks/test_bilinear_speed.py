"""Reading a bilinear model off its weights: all classes at once against a loop over classes, interleaved.

LAPACK takes one matrix after the other, so square forms gain nothing from a batch on a CPU but the calls. What is saved
is saved by the span of the factors, which all classes share: 784 pixels behind an embedding of width 256 are forms of
256 coordinates, and 64 products of 784 pixels are forms of 128.
"""

import time

import pytest
import torch
from torch import nn

from zoo.layers.bilinear.bilinear import Bilinear, forms, spectrum

ROUNDS = 5
CASES = {  # classes, products, inputs of the layer, pixels that are embedded first; and the least speed-up
    "mnist in pixels": (10, 256, 256, 784, 1.5),
    "64 products of pixels": (10, 64, 784, None, 1.5),
    "mnist embedded": (10, 256, 256, None, 0.8),
    "twice as wide": (10, 512, 512, None, 0.8),
    "many small classes": (1000, 32, 32, None, 1.0),
}


def one_by_one(layer, head, embed):
    """Per class: the three-way einsum that defines the interaction matrix, its eigenvectors, the largest first."""
    legs = layer.weight.double() if embed is None else layer.weight.double() @ embed.double()
    left, right = legs.chunk(2)
    out = []
    for row in head.weight.double():
        q = torch.einsum("m,mi,mj->ij", row, left, right)
        values, vectors = torch.linalg.eigh((q + q.T) / 2)
        order = values.abs().argsort(descending=True)
        out.append((values[order], vectors[:, order]))
    return out


@pytest.mark.benchmark
@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_decomposition_of_all_classes(case):
    classes, products, inputs, pixels, least = CASES[case]
    torch.manual_seed(0)
    layer, head = Bilinear(inputs, products), nn.Linear(products, classes, bias=False)
    embed = None if pixels is None else nn.Linear(pixels, inputs, bias=False).weight
    ways = {
        "together": lambda: spectrum(forms(layer, head.weight, embed=embed)),
        "loop": lambda: one_by_one(layer, head, embed),
    }
    result = {name: way() for name, way in ways.items()}  # warm, and the same
    for c, (values, vectors) in enumerate(result["loop"]):
        torch.testing.assert_close(result["together"].values[c], values, rtol=1e-8, atol=1e-10)
        first = (result["together"].vectors[c, 0] @ vectors[:, 0]).abs()
        assert float(first) == pytest.approx(1, abs=1e-6)
    seconds = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    best = {name: min(s) for name, s in seconds.items()}
    gain = best["loop"] / best["together"]
    print(f"{case}: " + ", ".join(f"{k} {1000 * v:.0f} ms" for k, v in best.items()) + f", {gain:.2f}x")
    assert gain > least
