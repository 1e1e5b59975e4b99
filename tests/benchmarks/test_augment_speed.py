"""Photographs at 224 pixels through the policies, in batches beside one image at a time, on one core.

    pytest -m benchmark -s tests/benchmarks/test_augment_speed.py

Birds of ZOO_DATA where there are any, noise otherwise.
"""

import os
import time

import pytest
import torch
from per_image_augment import augment, transforms
from torchvision.transforms import v2

from zoo.data import create_data
from zoo.data.images._augment.policy import policy
from zoo.data.sampler import mix

SIZE, IMAGES, ROUNDS = 224, 128, 5
LEAST = {"shift": 1.5, "flip": 1.5, "full": 2.0}
MEAN, STD = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


@pytest.fixture(scope="module")
def photographs():
    """Pixels ``(n, 3, s, s)`` uint8 and keypoints ``(n, p, 2)``."""
    if "ZOO_DATA" in os.environ:
        data = create_data("cub200", size=SIZE, limit=IMAGES, augment="none", batch_size=IMAGES)
        if data.is_available:
            split = data.splits["train"]
            return split.decode(), split.points
    g = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (IMAGES, 3, SIZE, SIZE), generator=g, dtype=torch.uint8)
    return pixels, torch.rand(IMAGES, 15, 2, generator=g, dtype=torch.float64) * SIZE


@pytest.mark.benchmark
@pytest.mark.parametrize("name", LEAST)
def test_batches_beside_single_images(name, photographs):
    pixels, points = photographs
    transform = v2.Compose(transforms(name, SIZE))
    batched = policy(name, SIZE)
    keys = [(0, 0, i) for i in range(len(pixels))]

    def single():
        done = [augment(transform, x, p, mix(*key)) for x, p, key in zip(pixels, points, keys, strict=True)]
        x = torch.stack([image for image, _ in done]).float()
        return (x / 255 - MEAN) / STD, torch.stack([p for _, p in done])

    def batch():
        draws = batched.draws(keys)
        x = batched.images(pixels, draws, lambda x: (x / 255).sub_(MEAN).div_(STD))
        return x, batched.points(points, draws)

    seconds = {way: [] for way in (single, batch)}
    for _ in range(ROUNDS):
        for way, times in seconds.items():
            start = time.perf_counter()
            way()
            times.append(time.perf_counter() - start)
    old, new = (len(pixels) / min(times) for times in seconds.values())
    print(f"\n{name}: {old:.0f} images/s one at a time, {new:.0f} in batches ({new / old:.2f}x)")
    assert new >= LEAST[name] * old
