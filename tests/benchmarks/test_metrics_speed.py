"""Scores against the plain loop: pytest -m benchmark -s tests/benchmarks/test_metrics_speed.py."""

import os
import time

import cv2
import pytest
import torch

from zoo.metrics import BootstrapInterval, ChanceAdjusted, Consistency, gaussian_noise, hits, peak

UNITS, OWN, IMAGES, PARTS, SIDE, CELLS = 2000, 10, 5800, 15, 224, 7


def plain(where, points, visible):
    """One image, one prototype and one part at a time."""
    part_hits = torch.zeros(len(where), where.shape[1], PARTS, dtype=torch.bool)
    points, visible = points.tolist(), visible.tolist()
    for image, maps in enumerate(where.numpy()):
        for unit, activation in enumerate(maps):
            y, x = divmod(int(cv2.resize(activation, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).argmax()), SIDE)
            for part, (px, py) in enumerate(points[image]):
                inside = max(0, x - 36) <= int(px) <= min(SIDE, x + 36) and max(0, y - 36) <= int(py) <= min(
                    SIDE, y + 36
                )
                part_hits[image, unit, part] = visible[image][part] and inside
    return part_hits


@pytest.mark.benchmark
def test_consistency_of_2000_prototypes_on_5800_images():
    g = torch.Generator().manual_seed(0)
    where = torch.rand(IMAGES, OWN, CELLS, CELLS, generator=g)
    points = torch.rand(IMAGES, PARTS, 2, generator=g, dtype=torch.float64) * SIDE
    visible = torch.rand(IMAGES, PARTS, generator=g) > 0.2
    ids = torch.arange(IMAGES)[:, None] % (UNITS // OWN) * OWN + torch.arange(OWN)
    threads = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    score, start = Consistency(UNITS, PARTS), time.perf_counter()
    for rows in torch.arange(IMAGES).split(64):
        part_hits = hits(peak(where[rows], SIDE), points[rows], visible[rows], size=SIDE)
        score.update(part_hits, visible[rows], ids[rows])
    readouts = float(score.compute()["consistency"])
    fast = time.perf_counter() - start
    images, start = 300, time.perf_counter()
    slow_met = plain(where[:images], points[:images], visible[:images])
    slow = (time.perf_counter() - start) * IMAGES / images
    assert torch.equal(hits(peak(where[:images], SIDE), points[:images], visible[:images], size=SIDE), slow_met)
    torch.set_num_threads(threads)
    print(
        f"\nconsistency {readouts:.2f}: zoo {fast:.1f} s, plain loop {slow:.1f} s (from {images}): {slow / fast:.1f} x"
    )
    assert fast < 120


@pytest.mark.benchmark
@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_interval_and_chance_of_2000_prototypes_on_5800_images():
    """200 replicates against 200 scores fed sample by sample, and 99 permutations, of places that are known."""
    g = torch.Generator().manual_seed(0)
    places = torch.randint(0, SIDE, (IMAGES, OWN, 2), generator=g)
    points = torch.rand(IMAGES, PARTS, 2, generator=g, dtype=torch.float64) * SIDE
    visible = torch.rand(IMAGES, PARTS, generator=g) > 0.2
    ids = torch.arange(IMAGES)[:, None] % (UNITS // OWN) * OWN + torch.arange(OWN)
    part_hits = hits(places, points, visible, size=SIDE)
    threads = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    score, start = BootstrapInterval(Consistency(UNITS, PARTS)), time.perf_counter()
    for rows in torch.arange(IMAGES).split(64):
        score.update(part_hits[rows], visible[rows], ids[rows], sample_ids=rows)
    score.compute()
    fast = time.perf_counter() - start
    images, plain, start = 100, Consistency(UNITS, PARTS), time.perf_counter()
    for row in torch.arange(images).split(1):
        plain.update(part_hits[row], visible[row], ids[row])
    slow = (time.perf_counter() - start) * IMAGES / images * 200
    chance, start = ChanceAdjusted(Consistency(UNITS, PARTS)), time.perf_counter()
    chance.update(places, points, visible, ids, sample_ids=torch.arange(IMAGES), size=(SIDE, SIDE))
    chance.compute()
    null = time.perf_counter() - start
    torch.set_num_threads(threads)
    print(f"\ninterval: zoo {fast:.1f} s, 200 scores of single samples {slow:.0f} s; 99 permutations {null:.1f} s")
    assert fast < 60
    assert null < 120


@pytest.mark.benchmark
def test_noise_of_64_images():
    x, ids = torch.zeros(64, 3, SIDE, SIDE), torch.arange(64)
    start = time.perf_counter()
    gaussian_noise(x, ids, draw=0, clip=0.25)
    fast = time.perf_counter() - start
    start = time.perf_counter()
    torch.stack([torch.randn(3, SIDE, SIDE, generator=torch.Generator().manual_seed(i)) for i in range(64)])
    slow = time.perf_counter() - start
    print(f"\nnoise for 64 images: zoo {fast:.2f} s, one generator per sample {slow:.2f} s: {slow / fast:.1f} x")
    assert fast < 10
