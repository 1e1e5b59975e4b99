"""Coverage of 95 % intervals by simulation: pytest -m benchmark -s tests/benchmarks/test_interval_coverage.py.

Accuracy: n images, each right with the true probability. Consistency: 20 units, 10 of each of two classes, and n images
of each class. A unit matches its own part with a rate drawn from a Beta distribution and three other parts with rates
below 0.3; a part is visible in 85 % of the images. The true value is that of all units of the population, so units and
images are both drawn anew in every run.
"""

import math

import pytest
import torch
from scipy.stats import beta

from zoo.metrics import Accuracy, BootstrapInterval, Consistency

RUNS = 400
UNITS = 20
PARTS = 4
TAU = 0.8
IMAGES = (15, 50, 200)
MIDDLE_SHARE = math.log(0.5) / math.log(TAU)  # Beta(a, 1): half of the units are at or above TAU
HIGH_SHARE = math.log(0.02) / math.log(TAU)  # 98 % of them
CASES = {
    ("soft", "middle"): (2.0, 2.0),
    ("soft", "0.98"): (49.0, 1.0),
    ("consistency", "middle"): (MIDDLE_SHARE, 1.0),
    ("consistency", "0.98"): (HIGH_SHARE, 1.0),
}

pytestmark = [pytest.mark.benchmark, pytest.mark.filterwarnings("ignore:The ``compute`` method")]


def report(name, n, truth, ends, scale=1.0):
    """Print a row of the table, and return the coverage."""
    low, high = (torch.tensor(end, dtype=torch.float64) / scale for end in zip(*ends, strict=True))
    covered = float(((low <= truth) & (truth <= high)).double().mean())
    below, above = float((truth < low).double().mean()), float((truth > high).double().mean())
    width = float((high - low).mean())
    print(
        f"\n| {name} | {truth:.3f} | {n} | {100 * covered:.1f} | {100 * below:.1f} | {100 * above:.1f} | {width:.3f} |"
    )
    return covered


def accuracy_interval(n, truth, g):
    score = BootstrapInterval(Accuracy())
    right = torch.rand(n, generator=g) < truth
    logits = torch.stack([right, ~right], 1).double()
    score.update(logits, torch.zeros(n, dtype=torch.int64), sample_ids=torch.arange(n))
    found = score.compute()
    return float(found["accuracy low"]), float(found["accuracy high"])


def unit_rates(units, shape, g):
    """Rates ``(units, PARTS)``; quantiles of uniform numbers, so that the seed of torch decides."""
    rates = 0.3 * torch.rand(units, PARTS, generator=g, dtype=torch.float64)
    uniform = torch.rand(units, generator=g, dtype=torch.float64)
    rates[:, 0] = torch.from_numpy(beta.ppf(uniform.numpy(), *shape))
    return rates


def consistency_interval(name, n, shape, g):
    rates = unit_rates(UNITS, shape, g).view(2, UNITS // 2, PARTS).repeat_interleave(n, 0)
    met = torch.rand(rates.shape, generator=g, dtype=torch.float64) < rates
    visible = torch.rand(2 * n, PARTS, generator=g) < 0.85
    ids = torch.arange(UNITS).view(2, -1).repeat_interleave(n, 0)
    score = BootstrapInterval(Consistency(UNITS, PARTS, tau=TAU))
    score.update(met, visible, ids, sample_ids=torch.arange(2 * n))
    found = score.compute()
    return float(found[f"{name} low"]), float(found[f"{name} high"])


@pytest.mark.parametrize("truth", [0.5, 0.98])
@pytest.mark.parametrize("n", IMAGES)
def test_accuracy_is_covered(n, truth):
    g = torch.Generator().manual_seed(n)
    ends = [accuracy_interval(n, truth, g) for _ in range(2 * RUNS)]
    assert report("accuracy", n, truth, ends) >= 0.93


@pytest.mark.parametrize(("name", "where"), CASES)
@pytest.mark.parametrize("n", IMAGES)
def test_consistency_is_covered(n, name, where):
    g = torch.Generator().manual_seed(n)
    best = unit_rates(200_000, CASES[name, where], g).amax(1)
    truth = float(best.mean() if name == "soft" else (best >= TAU).double().mean())
    ends = [consistency_interval(name, n, CASES[name, where], g) for _ in range(RUNS)]
    assert report(name, n, truth, ends, 1.0 if name == "soft" else 100.0) >= 0.93
