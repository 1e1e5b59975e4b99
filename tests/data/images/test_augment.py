"""Batched augmentation: image by image against torchvision's functions, and in distribution against its transforms."""

import math

import pytest
import torch
from per_image_augment import augment, transforms
from scipy.stats import ks_2samp
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tv

from zoo.data.images._augment import policy as policies
from zoo.data.images._augment.policy import policy, uniforms

SIZE = 64
POLICIES = ["shift", "flip", "full"]
BILINEAR = v2.InterpolationMode.BILINEAR


def keys(n, epoch=0):
    return [(0, epoch, i) for i in range(n)]


def as_is(pixels):
    return pixels.clone()


def run(name, images, points, ids, size=SIZE):
    transform = policy(name, size)
    draws = transform.draws(ids)
    return transform.images(images, draws, as_is), transform.points(points, draws)


def dot(point, size=SIZE):
    """A bright disc of radius 4 around a continuous coordinate, smooth at its rim."""
    at = torch.arange(size) + 0.5
    far = ((at[None, :] - point[0]) ** 2 + (at[:, None] - point[1]) ** 2).sqrt()
    return ((4.5 - far).clamp(0, 1) * 200).round().to(torch.uint8)[None].repeat(3, 1, 1)


def smooth(n, size=SIZE, channels=3):
    """Random images without detail, on which it hardly matters how often they are interpolated."""
    coarse = torch.randint(20, 236, (n, channels, 5, 5), generator=torch.Generator().manual_seed(0)).float()
    return torch.nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 255).round().to(torch.uint8)


def between(u, low, high):
    return low + float(u) * (high - low)


def one_by_one(name, image, u):
    """The same random numbers read as arguments of torchvision's functions, one step after the other, in floats."""
    image, order = image.float(), []
    if name == "shift":
        moved = [round(between(v, -0.08 * SIZE, 0.08 * SIZE)) for v in u[1:3]]
        return tv.affine(
            image, between(u[0], -10, 10), moved, between(u[3], 0.9, 1.1), [0.0, 0.0], interpolation=BILINEAR
        )
    if u[0] < 0.5:
        image = tv.horizontal_flip(image)
    if name == "full":
        shear = [between(u[8], -10, 10), 0.0]
        image = tv.affine(image, between(u[7], -15, 15), [0, 0], 1.0, shear, interpolation=BILINEAR, fill=128)
        if u[9] < 0.5:
            bound = int(0.2 * (SIZE // 2)) + 1
            near = [math.floor(float(v) * bound) for v in u[10:18]]
            far = [SIZE - bound + v for v in near]
            ends = [[near[0], near[1]], [far[2], near[3]], [far[4], far[5]], [near[6], far[7]]]
            last = SIZE - 1
            starts = [[0, 0], [last, 0], [last, last], [0, last]]
            image = tv.perspective(image, starts, ends, interpolation=BILINEAR, fill=128)
    else:
        for area, ratio in zip(u[7:17], u[17:27], strict=True):
            area, ratio = between(area, 0.7, 1.0) * SIZE**2, math.exp(between(ratio, math.log(0.85), math.log(1.18)))
            width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if width <= SIZE and height <= SIZE:
                break
        left = math.floor(float(u[27]) * (SIZE - width + 1))
        top = math.floor(float(u[28]) * (SIZE - height + 1))
        image = tv.resized_crop(image, top, left, height, width, [SIZE, SIZE], interpolation=BILINEAR, antialias=True)
    order = u[4:7].argsort().tolist()
    for change in order:
        factor = between(u[1 + change], 0.8, 1.2)
        image = (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation)[change](image / 255, factor) * 255
    return image


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", POLICIES)
def test_images_are_those_of_torchvisions_functions(name, channels):
    images = smooth(60, channels=channels)
    ids = keys(60)
    batched, _ = run(name, images, torch.zeros(60, 1, 2, dtype=torch.float64), ids)
    assert batched.shape == images.shape
    for image, out, u in zip(images, batched, uniforms(ids), strict=True):
        wrong = (out - one_by_one(name, image, u)).abs()
        once = name != "full"  # which interpolates twice there, and mixes the border of the image with the fill twice
        assert float(wrong[:, 16:48, 16:48].max()) < (0.1 if once else 2.5)
        assert float((wrong > 4).float().mean()) < (0.002 if once else 0.1)
        assert float(wrong[wrong <= 4].mean()) < (0.05 if once else 0.5)
    assert float((batched - images).abs().mean()) > 5


@pytest.mark.parametrize("name", [p if p == "full" else pytest.param(p, marks=pytest.mark.slow) for p in POLICIES])
def test_the_distribution_is_that_of_torchvisions_transforms(name):
    """Moved points and statistics of 1500 images: Kolmogorov-Smirnov at 1e-4 each, and means within 1 level."""
    n, size = 1500, 32
    image = smooth(1, size)[0]
    points = torch.tensor([[4.0, 7.0], [25.0, 20.0], [16.0, 16.0]], dtype=torch.float64)
    transform = v2.Compose(transforms(name, size))
    slow = [augment(transform, image, points, seed) for seed in range(n)]
    images, moved = run(name, image.expand(n, -1, -1, -1), points.expand(n, -1, -1), keys(n), size)
    expected_images, expected = torch.stack([s[0] for s in slow]).float(), torch.stack([s[1] for s in slow])
    levels = 1.5 if name in ("flip", "full") else 0.5  # color changes of uint8 images are rounded down, one by one
    pairs = {}
    for p in range(3):
        for axis in range(2):
            pairs[f"point {p} {axis}"] = moved[:, p, axis], expected[:, p, axis]
    for p in range(2):
        pairs[f"distance {p}"] = ((m[:, p] - m[:, 2]).norm(dim=1) for m in (moved, expected))
    for what, (new, old) in pairs.items():
        assert ks_2samp(*(torch.round(v, decimals=3).numpy() for v in (new, old))).pvalue > 1e-4, what
    centers = slice(size // 2 - 4, size // 2 + 4)
    for c in range(3):
        for what, of in (("mean", lambda x: x.mean((1, 2))), ("std", lambda x: x.std((1, 2)))):
            new, old = (of(x[:, c, centers, centers]) for x in (images, expected_images))
            error = (new.var() / n + old.var() / n).sqrt()
            assert abs(float(new.mean() - old.mean())) < levels + 4 * float(error), (what, c)
            assert 0.9 < float(new.std() / old.std()) < 1.1, (what, c)


@pytest.mark.parametrize("name", POLICIES)
def test_a_dot_and_its_keypoint_move_together(name):
    n, moved = 40, 0
    points = torch.rand(n, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 28 + 18
    images, where = run(name, torch.stack([dot(p[0]) for p in points]), points, keys(n))
    empty, _ = run(name, torch.zeros(n, 3, SIZE, SIZE, dtype=torch.uint8), points, keys(n))
    assert where.dtype == torch.float64
    at = torch.arange(SIZE) + 0.5
    for difference, at_end, at_start in zip(
        (images - empty).double().abs().sum(1), where[:, 0], points[:, 0], strict=True
    ):
        if not ((at_end > 6) & (at_end < SIZE - 6)).all():
            continue
        difference = difference * (difference > 0.4 * difference.max())
        center = torch.stack([(difference.sum(0) * at).sum(), (difference.sum(1) * at).sum()]) / difference.sum()
        assert torch.allclose(center, at_end, atol=0.25)
        moved += not torch.allclose(at_end, at_start, atol=1)
    assert moved > 20


@pytest.mark.parametrize("name", POLICIES)
def test_points_leave_the_image_unclamped(name):
    corners = torch.tensor([[0.0, 0.0], [SIZE, 0.0], [0.0, SIZE], [SIZE, SIZE]], dtype=torch.float64)
    _, out = run(name, dot((9, 9)).expand(20, -1, -1, -1), corners.expand(20, -1, -1), keys(20))
    assert (out < 0).any()
    assert (out > SIZE).any()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", POLICIES)
def test_no_sample_depends_on_its_batch(name, channels, monkeypatch):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    size, n = 33, 24
    images = torch.randint(0, 256, (n, channels, size, size), generator=torch.Generator().manual_seed(0)).byte()
    points = torch.rand(n, 4, 2, dtype=torch.float64) * size
    torch.set_rng_state(before)
    whole = run(name, images, points, keys(n), size)
    assert torch.equal(torch.get_rng_state(), before)
    for count in (1, 5, 24):
        for chunk in (1, 5000, 1 << 30):
            monkeypatch.setattr(policies, "CHUNK", chunk)
            parts = [
                run(name, images[i : i + count], points[i : i + count], keys(n)[i : i + count], size)
                for i in range(0, n, count)
            ]
            for each, expected in zip(zip(*parts, strict=True), whole, strict=True):
                assert torch.equal(torch.cat(each), expected), (count, chunk)
    backward = run(name, images.flip(0), points.flip(0), keys(n)[::-1], size)
    assert all(torch.equal(a.flip(0), b) for a, b in zip(backward, whole, strict=True))
    other = run(name, images, points, keys(n, epoch=1), size)
    assert not any((a == b).flatten(1).all(1).any() for a, b in zip(other, whole, strict=True))


def test_unknown_policy():
    with pytest.raises(ValueError, match="augment is 'fulll'; expected one of none, shift, flip, full"):
        policy("fulll", 8)
    assert policy("none", 8) is None
