"""Counts of board properties against the naive product, side by side: `pytest -m benchmark tests/benchmarks -s`."""

import time

import pytest
import torch

from zoo.metrics.positions._properties import product

pytestmark = pytest.mark.benchmark
SEQUENCES, PLACES, SQUARES, PIECES, STEPS = 10, 60, 64, 13, 10


def best(function, times=3):
    results = []
    for _ in range(times):
        start = time.perf_counter()
        out = function()
        results.append(time.perf_counter() - start)
    return min(results), out


def test_counts():
    g = torch.Generator().manual_seed(0)
    on = torch.rand(STEPS, 64, SEQUENCES * PLACES, generator=g) < 0.1
    codes = torch.randint(PIECES, (SEQUENCES * PLACES, SQUARES), generator=g)
    board = torch.nn.functional.one_hot(codes, PIECES).flatten(1).to(torch.int8)

    def naive():  # every unit and threshold with every property at every position, then summed
        rows = board.float()
        return torch.stack(
            [(chunk.float()[:, :, None] * rows).sum(1) for chunk in on.flatten(0, 1).split(8)], 0
        ).flatten(0, 1)

    def fast():
        return product(on.flatten(0, 1), board)

    def single():
        return on.flatten(0, 1).float() @ board.float()

    slow, wanted = best(naive, 1)
    quick, result = best(fast)
    float32, _ = best(single)
    assert torch.equal(result.float(), wanted)
    name = f"64 units x {STEPS} thresholds, {SEQUENCES} games"
    print(f"\n{name}: naive {slow * 1e3:.0f} ms, one product in float32 {float32 * 1e3:.1f} ms ({slow / float32:.0f}x)")
    print(f"in 8 bits {quick * 1e3:.1f} ms ({slow / quick:.0f}x)")
    assert slow / quick > 30
