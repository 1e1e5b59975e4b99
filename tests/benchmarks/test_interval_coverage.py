"""Coverage of 95 % intervals by simulation: pytest -m benchmark -s tests/benchmarks/test_interval_coverage.py.

Accuracy: n images, each right with the true probability. Consistency: 20 units, 10 of each of two classes, and n images
of each class. A unit matches its own part with a rate drawn from a Beta distribution and three other parts with rates
below 0.3; a part is visible in 85 % of the images. The true value is that of all units of the population, so units and
images are both drawn anew in every run. The counts of all replicates are made in one product here, which the first test
compares with `BootstrapInterval`.
"""

import math

import pytest
import torch
from scipy.stats import beta

from zoo.metrics import BootstrapInterval, Consistency
from zoo.metrics.wrappers._estimates import Estimate
from zoo.metrics.wrappers._weighted_sums import poisson

RUNS = 1000
REPLICATES = 200
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
    right = (torch.rand(n, generator=g) < truth).double()
    weight = poisson(torch.arange(n), REPLICATES).double()
    replicates = right @ weight / weight.sum(0)
    return Estimate(right.mean(), replicates, lowest=0, highest=1, count=n).interval()


def unit_rates(units, shape, g):
    """Rates ``(units, PARTS)``; quantiles of uniform numbers, so that the seed of torch decides."""
    rates = 0.3 * torch.rand(units, PARTS, generator=g, dtype=torch.float64)
    uniform = torch.rand(units, generator=g, dtype=torch.float64)
    rates[:, 0] = torch.from_numpy(beta.ppf(uniform.numpy(), *shape))
    return rates


def draw_images(n, shape, g):
    """Hits ``(2, n, 10, PARTS)`` and visible parts ``(2, n, PARTS)`` of both classes."""
    rates = unit_rates(UNITS, shape, g).view(2, 1, UNITS // 2, PARTS)
    part_hits = torch.rand(2, n, UNITS // 2, PARTS, generator=g, dtype=torch.float64) < rates
    visible = torch.rand(2, n, PARTS, generator=g) < 0.85
    return part_hits & visible[:, :, None], visible


def consistency_interval(name, part_hits, visible):
    n = part_hits.shape[1]
    weight = poisson(torch.arange(2 * n), REPLICATES).double().view(2, n, -1)
    weight = torch.cat([torch.ones(2, n, 1, dtype=torch.float64), weight], 2)  # the first column is the score itself
    hit = torch.einsum("cnr,cnup->rcup", weight, part_hits.double())
    shown = torch.einsum("cnr,cnp->rcp", weight, visible.double())[:, :, None]
    best = (hit / shown.clamp_min(1)).amax(3).flatten(1)
    highest = 1 if name == "soft" else 100
    unit = best if name == "soft" else 100 * (best >= TAU).double()
    readouts = unit.mean(1)
    return Estimate(
        readouts[0],
        readouts[1:],
        float(unit[0].var()) / UNITS,
        0,
        highest,
        count=UNITS,
        binary=bool(((unit[0] == 0) | (unit[0] == highest)).all()),
    ).interval()


def test_the_interval_is_that_of_the_wrapper():
    g = torch.Generator().manual_seed(0)
    part_hits, visible = draw_images(15, CASES["consistency", "middle"], g)
    score = BootstrapInterval(Consistency(UNITS, PARTS, tau=TAU), replicates=REPLICATES)
    ids = torch.arange(UNITS).view(2, -1).repeat_interleave(15, 0)
    score.update(part_hits.flatten(0, 1), visible.flatten(0, 1), ids, sample_ids=torch.arange(30))
    readouts = score.compute()
    for name in ("soft", "consistency"):
        ends = [float(readouts[f"{name} {end}"]) for end in ("low", "high")]
        assert consistency_interval(name, part_hits, visible) == pytest.approx(ends)


@pytest.mark.parametrize("truth", [0.5, 0.98])
@pytest.mark.parametrize("n", IMAGES)
def test_accuracy_is_covered(n, truth):
    g = torch.Generator().manual_seed(n)
    ends = [accuracy_interval(n, truth, g) for _ in range(RUNS)]
    assert report("accuracy", n, truth, ends) >= 0.93


@pytest.mark.parametrize(("name", "where"), CASES)
@pytest.mark.parametrize("n", IMAGES)
def test_consistency_is_covered(n, name, where):
    g = torch.Generator().manual_seed(n)
    best = unit_rates(200_000, CASES[name, where], g).amax(1)
    truth = float(best.mean() if name == "soft" else (best >= TAU).double().mean())
    ends = [consistency_interval(name, *draw_images(n, CASES[name, where], g)) for _ in range(RUNS)]
    assert report(name, n, truth, ends, 1.0 if name == "soft" else 100.0) >= 0.93
