"""Units of two runs matched: pytest -m benchmark -s tests/benchmarks/test_matching_speed.py."""

import time

import numpy as np
import pytest
import torch

from zoo.metrics.matching.activations import Activations
from zoo.metrics.matching.assignment import directions, match

UNITS, WIDTH, SAMPLES, BATCH = 2000, 128, 5800, 64


def seconds(work, times=3):
    """Best of a few."""
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best, result


def runs(noise, seed=0):
    """Rows of one run, and the same rows in another order with noise; no relation at all where noise is infinite."""
    g = torch.Generator().manual_seed(seed)
    a, b = torch.nn.functional.normalize(torch.randn(2, UNITS, WIDTH, generator=g, dtype=torch.float64), dim=2)
    if noise < float("inf"):
        b = torch.nn.functional.normalize(a[torch.randperm(UNITS, generator=g)] + noise * b, dim=1)
    return a, b


@pytest.mark.benchmark
@pytest.mark.parametrize("noise", [0.5, 2.0, float("inf")], ids=["alike", "hardly alike", "random"])
def test_2000_by_2000(noise):
    a, b = runs(noise)
    fast, result = seconds(lambda: match(a @ b.T))
    whole, _ = seconds(lambda: directions(a, b), times=1)
    print(f"\n{UNITS} x {UNITS}, noise {noise}: matched {fast:.2f} s, with chance {whole:.2f} s; {result.summary()}")
    assert fast < 1


@pytest.mark.benchmark
def test_2000_units_on_5800_samples():
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, SAMPLES, UNITS, generator=g)
    ids = torch.arange(SAMPLES)
    score = Activations([UNITS, UNITS], chance=False)
    start = time.perf_counter()
    for rows in ids.split(BATCH):
        score.update([x[rows], y[rows]], ids[rows])
    streamed = time.perf_counter() - start
    fast, _ = seconds(score.matches, times=1)
    start = time.perf_counter()
    full = np.corrcoef(x.double().numpy().T, y.double().numpy().T)[:UNITS, UNITS:]
    plain = time.perf_counter() - start
    np.testing.assert_allclose(score.similarity(0, 1).numpy(), full, atol=1e-9)
    print(f"\n{SAMPLES} samples: sums {streamed:.1f} s, correlations and matching {fast:.2f} s; numpy {plain:.1f} s")
    assert streamed + fast < 120
