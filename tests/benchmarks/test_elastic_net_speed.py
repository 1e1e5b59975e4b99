"""An elastic-net path at the size of a real head: 50 000 samples, 500 scores, 100 classes.

pytest -m benchmark -s tests/benchmarks/test_elastic_net_speed.py
"""

import time

import pytest
import torch

from zoo.solvers.elastic_net import ElasticNet

N, U, C, POINTS, SMALLEST = 50_000, 500, 100, 6, 0.05
TOLERANCE = 1e-5  # KKT residual
MINUTES = 10


@pytest.mark.benchmark
def test_a_path_at_full_size():
    g = torch.Generator().manual_seed(0)
    y = torch.randint(C, (N,), generator=g)
    mixing = torch.randn(60, U, generator=g)
    hidden = 0.6 * torch.randn(C, 60, generator=g)[y] + torch.randn(N, 60, generator=g)
    scores = 0.5 * hidden @ mixing + 3 * torch.randn(N, U, generator=g)
    net = ElasticNet((scores - scores.mean(0)) / scores.std(0), y, tolerance=0.8 * TOLERANCE)
    began = time.perf_counter()
    points = net.path(count=POINTS, smallest=SMALLEST)
    seconds = time.perf_counter() - began
    for point in points:
        print(
            f"lambda {point.penalty:.5f}  non-zeros per class {point.nonzeros_per_class:.1f}  KKT {point.residual:.1e}"
        )
    print(f"{POINTS} points in {seconds:.0f} s on {torch.get_num_threads()} threads")
    assert max(point.residual for point in points) < TOLERANCE
    assert seconds < 60 * MINUTES
