"""Perturbations of images: against slow loops and Pillow, mapping keypoints to where the pixels went."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from worlds import Toy, batch, take

from zoo.metrics import Noise, Suite
from zoo.metrics.perturbations import perturbation_list
from zoo.metrics.perturbations.geometry import Flip, Rotate, Shift
from zoo.metrics.perturbations.image_changes import Blur, Jpeg
from zoo.metrics.perturbations.perturbation_list import perturbation

ALL = [Noise(), Blur(), Blur(2.3), Jpeg(), Jpeg(30, (0.5,), (0.5,)), Shift(), Shift(9), Flip(), Rotate(), Rotate(180.0)]


@pytest.mark.parametrize("change", ALL, ids=lambda change: change.label)
def test_depends_on_sample_and_draw_alone_and_changes_nothing_given(change):
    samples, draw = batch(7), 3
    kept = [x.clone() for x in (samples.x, samples.points, samples.visible)]
    whole = change(samples, draw)
    for old, now in zip(kept, (samples.x, samples.points, samples.visible), strict=True):
        assert torch.equal(old, now)
    rows = torch.tensor([5, 0, 3])
    part = change(take(samples, rows), draw)
    for name in ("x", "points", "visible", "index", "y"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[rows]), name
    enlarged = replace(samples, x=samples.x * torch.tensor([1.0] + [100.0] * 6)[:, None, None, None])
    assert torch.equal(change(enlarged, draw).x[0], whole.x[0])
    assert not torch.equal(whole.x, samples.x)
    other = change(samples, draw + 1)
    assert torch.equal(other.x, whole.x) is not change.random
    assert change(replace(samples, x=samples.x.bfloat16()), 0).x.dtype == torch.bfloat16
    assert len(change(take(samples, slice(0)), 0).x) == 0


@pytest.mark.parametrize("change", [Blur(), Jpeg(), Shift(), Flip(), Rotate()], ids=lambda change: change.label)
def test_what_is_no_image_is_refused(change):
    assert change.unfit(torch.zeros(2, 3, 8, 8)) == ""
    assert "changes images" in change.unfit(torch.zeros(2, 5))
    assert "changes images" in change.unfit(torch.zeros(2, 5).long())


def test_blur_is_a_loop_over_pixels():
    x, sigma = torch.randn(1, 1, 6, 5, dtype=torch.float64), 0.8
    weight = np.exp(-(np.arange(-3, 4) ** 2) / (2 * sigma**2))
    kernel = np.outer(weight, weight) / weight.sum() ** 2
    wanted = np.zeros((6, 5))
    for i in range(6):
        for j in range(5):
            for a in range(7):
                for b in range(7):
                    row, column = min(max(i + a - 3, 0), 5), min(max(j + b - 3, 0), 4)
                    wanted[i, j] += kernel[a, b] * float(x[0, 0, row, column])
    result = Blur(sigma).inputs(x, torch.zeros(1).long(), 0)[0, 0]
    assert result.numpy() == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_pillow_s(channels):
    g = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (2, channels, 16, 24), generator=g)
    change = Jpeg(40, (0.4,) * channels, (0.3,) * channels)
    x = (pixels.float() / 255 - 0.4) / 0.3
    result = change.inputs(x, torch.arange(2), 0)
    for image, now in zip(pixels, result, strict=True):
        array = image.permute(1, 2, 0).byte().numpy()
        file = io.BytesIO()
        Image.fromarray(array if channels == 3 else array[..., 0]).save(file, "JPEG", quality=40)
        wanted = np.asarray(Image.open(file)).reshape(16, 24, channels)
        back = (now * 0.3 + 0.4) * 255
        assert back.permute(1, 2, 0).numpy() == pytest.approx(wanted.astype(float), abs=1e-3)
    assert "jpeg of 2 channels" in change.unfit(torch.zeros(1, 2, 8, 8))
    assert "jpeg of 1 channels, with 3" in Jpeg().unfit(torch.zeros(1, 1, 8, 8))


def spots(size=(20, 30)):
    """Images that are dark but for one pixel, with a keypoint at its centre, far enough inside."""
    g = torch.Generator().manual_seed(2)
    y, x = (torch.randint(7, n - 7, (12,), generator=g) for n in size)
    image = torch.zeros(12, 1, *size)
    image[torch.arange(12), 0, y, x] = 1
    points = torch.stack([x, y], 1)[:, None].double() + 0.5
    whole = batch(12)
    return replace(whole, x=image, points=points, visible=torch.ones(12, 1).bool())


@pytest.mark.parametrize("change", [Shift(5), Flip(), Rotate(20.0)], ids=lambda change: change.label)
def test_keypoints_go_where_the_pixels_go(change):
    samples = spots()
    size = samples.x.shape[-2:]
    for draw in range(3 if change.random else 1):
        new = change(samples, draw)
        light = new.x[:, 0]
        at = torch.arange(size[1]) + 0.5, torch.arange(size[0]) + 0.5
        centre = (
            torch.stack([(light.sum(1) * at[0]).sum(1), (light.sum(2) * at[1]).sum(1)], 1) / light.sum((1, 2))[:, None]
        )
        near = 1e-5 if not isinstance(change, Rotate) else 0.3
        assert (centre - new.points[:, 0]).abs().max() < near
        assert bool(new.visible.all())
        assert torch.equal(change.place(samples.points, samples.index, draw, tuple(size)), new.points)


def test_shift_is_a_loop_with_a_replicated_border():
    samples, change = batch(6), Shift(7)
    new = change(samples, 1)
    by = (change.place(torch.zeros(6, 1, 2), samples.index, 1, (32, 32)))[:, 0].long()
    assert by.abs().max() <= 7
    for sample in range(6):
        dx, dy = by[sample].tolist()
        for y, x in ((0, 0), (31, 31), (4, 20), (31, 0)):
            old = samples.x[sample, :, min(max(y - dy, 0), 31), min(max(x - dx, 0), 31)]
            assert torch.equal(new.x[sample, :, y, x], old)
    many = change.place(torch.zeros(5000, 1, 2), torch.arange(5000), 0, (32, 32))[:, 0]
    counts = torch.bincount((many[:, 0] + 7).long(), minlength=15)
    assert counts.min() > 250
    assert counts.max() < 420
    assert abs(float(torch.corrcoef(many.T)[0, 1])) < 0.05


def test_rotation_by_a_quarter_is_exact():
    """Angles are a share, -1 to 1, of the largest; a sample with a large share is turned by exactly 90 degrees."""
    samples, middle = spots((21, 21)), torch.full((12, 1, 2), 10.5)
    right = middle + torch.tensor([1.0, 0.0])
    tip = Rotate(1.0).place(right, samples.index, 0, (21, 21))[:, 0] - 10.5
    share = torch.atan2(tip[:, 1], tip[:, 0]).rad2deg()
    row = int(share.abs().argmax())
    assert 0.5 < abs(float(share[row])) <= 1
    new = Rotate(90 / abs(float(share[row])))(take(samples, slice(row, row + 1)), 0)
    turned = torch.rot90(samples.x[row], -1 if share[row] > 0 else 1, (-2, -1))
    assert (new.x[0] - turned).abs().max() < 1e-4


def test_mirrored_parts_take_each_other_s_names():
    samples = batch(4, p=5)
    plain, renamed = Flip()(samples, 0), Flip((1, 0, 2, 4, 3))(samples, 0)
    assert torch.equal(plain.points[..., 0], 32 - samples.points[..., 0])
    assert torch.equal(renamed.points[:, 0], plain.points[:, 1])
    assert torch.equal(renamed.visible[:, 3], plain.visible[:, 4])
    inside = ((samples.points >= 0) & (samples.points < 32)).all(-1)
    assert not bool((plain.visible & ~inside).any())
    with pytest.raises(ValueError, match="parts names 3 parts; the data have 5"):
        Flip((1, 0, 2))(samples, 0)


def test_keypoints_that_leave_are_not_visible():
    samples = batch(9)
    samples = replace(samples, points=torch.zeros_like(samples.points) + 1.5, visible=torch.ones(9, 5).bool())
    new = Shift(6)(samples, 0)
    inside = ((new.points >= 0) & (new.points < 32)).all(-1)
    assert torch.equal(new.visible, inside)
    assert 0 < int(inside.sum()) < inside.numel()


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        ("flip", Flip()),
        ({"name": "shift", "pixels": 8}, Shift(8)),
        ({"name": "jpeg", "mean": [0.5], "std": [0.5]}, Jpeg(50, (0.5,), (0.5,))),
        ({"name": "noise", "clip": None}, Noise(clip=None)),
    ],
)
def test_perturbations_by_name(requested, expected):
    assert perturbation(requested) == expected
    assert hash(perturbation(requested)) == hash(expected)


def test_labels_name_what_is_not_default():
    assert [c.label for c in (Shift(), Shift(8), Noise(clip=None), Flip())] == [
        "shift",
        "shift/pixels8",
        "noise/clipNone",
        "flip",
    ]
    one, two = (Jpeg(50, (0.5,), (s,)).label for s in (0.5, 0.25))
    assert one != two
    assert perturbation_list.label(spots) == "spots"


@pytest.mark.parametrize(
    ("requested", "words"),
    [
        ("flp", "did you mean flip"),
        ({"name": "shift", "pixel": 3}, "'shift' has no 'pixel'; it takes pixels"),
        ({"name": "shift", "pixels": 0}, "'shift': pixels is 0"),
        ({"name": "rotate", "degrees": 200}, "degrees is 200"),
        ({"name": "blur", "sigma": "a"}, "sigma is 'a'"),
        ({"name": "jpeg", "quality": 101}, "quality is 101"),
        ({"name": "jpeg", "mean": [0.5]}, "expected as many"),
        ({"name": "jpeg", "std": [0, 0, 0]}, "std above 0"),
        ({"name": "flip", "parts": [0, 0]}, "parts is"),
        ({"name": "flip", "parts": 3}, "'flip'"),
        (3, "perturbation is 3"),
        (None, "perturbation is None"),
    ],
    ids=str,
)
def test_says_what_is_wrong(requested, words):
    with pytest.raises(ValueError, match=words):
        perturbation(requested)


def test_a_suite_says_where_a_perturbation_does_not_apply():
    scores = [
        {"score": "stability", "name": "gray", "perturbation": "jpeg"},
        {"score": "explanation_stability", "name": "typos", "perturbation": {"name": "typo", "vocabulary": 9}},
        {
            "score": "explanation_stability",
            "name": "grey",
            "perturbation": {"name": "jpeg", "mean": [0, 0], "std": [1, 1]},
        },
    ]
    suite = Suite(scores, Toy().units, list("abcde"))
    suite.update(Toy(), batch())
    results = suite.compute()
    assert results["gray"].value is not None
    assert results["typos"].note == "n/a: typo changes tokens, and inputs are none"
    assert results["grey"].note.startswith("n/a: jpeg of 3 channels, with 2")
