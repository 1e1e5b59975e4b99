"""Boxes, heat and cut-outs with known answers."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.explanation import upsample
from zoo.reporting.heatmap import box, crop, data_uri, image, overlay, signed

torch.set_num_threads(1)


def bright(row, column, grid=8):
    evidence = torch.zeros(grid, grid)
    evidence[row, column] = 1
    return evidence


def test_box_of_one_bright_cell_is_around_that_cell():
    x0, y0, x1, y1 = box(bright(2, 5), 64)
    assert (x0 + x1) / 2 == 5 * 8 + 4
    assert (y0 + y1) / 2 == 2 * 8 + 4
    assert 8 <= x1 - x0 <= 24


def test_box_on_its_own_grid_is_the_cell():
    assert box(bright(2, 5), 8, quantile=0.99) == (5, 2, 6, 3)


@pytest.mark.parametrize("seed", range(5))
def test_box_against_a_slow_loop(seed):
    evidence = torch.randn(6, 4, generator=torch.Generator().manual_seed(seed))
    pixels = upsample(evidence.double()[None, None], (30, 20))[0, 0]
    least = np.percentile(pixels.numpy(), 95)
    inside = [(x, y) for y in range(30) for x in range(20) if pixels[y, x] >= least]
    xs, ys = zip(*inside, strict=True)
    assert box(evidence, (30, 20)) == (min(xs), min(ys), max(xs) + 1, max(ys) + 1)


def test_box_of_flat_evidence_is_everything():
    assert box(torch.ones(4, 4), 16) == (0, 0, 16, 16)


def test_crop():
    picture = torch.arange(3 * 6 * 6).reshape(3, 6, 6)
    assert torch.equal(crop(picture, (1, 2, 4, 6)), picture[:, 2:6, 1:4])
    with pytest.raises(ValueError, match="does not lie in a picture of 6 x 6"):
        crop(picture, (0, 0, 7, 3))


def test_overlay_is_hot_at_the_bright_cell_and_untouched_far_away():
    drawn = np.asarray(overlay(torch.zeros(3, 32, 32), bright(2, 5), side=192)).astype(int)
    total = drawn.sum(2)
    y, x = np.unravel_index(total.argmax(), total.shape)
    assert abs(y - 60) <= 12
    assert abs(x - 132) <= 12
    assert total[150:, :50].max() == 0


def test_overlay_of_flat_evidence_is_the_picture():
    picture = torch.rand(3, 100, 100)
    assert np.array_equal(np.asarray(overlay(picture, torch.full((4, 4), 3.0))), np.asarray(image(picture)))


def test_evidence_of_any_sign_and_scale_gives_the_same_heat():
    picture, evidence = torch.rand(3, 32, 32), torch.rand(5, 5)
    one, two = overlay(picture, evidence), overlay(picture, evidence * 40 - 90)
    assert np.abs(np.asarray(one).astype(int) - np.asarray(two)).max() <= 1


def test_tiny_pictures_keep_their_pixels():
    picture = torch.rand(3, 32, 32)
    drawn = image(picture)
    assert drawn.size == (192, 192)
    assert np.array_equal(np.asarray(drawn)[3::6, 3::6], (picture * 255).round().byte().permute(1, 2, 0).numpy())


def test_frame_is_drawn_on_the_box():
    drawn = np.asarray(image(torch.zeros(3, 32, 32), frame=(8, 8, 16, 24)))
    touched = np.argwhere(drawn.any(2))
    assert touched.min(0).tolist() == [48, 48]
    assert touched.max(0).tolist() == [143, 95]
    assert not drawn[60:130, 60:80].any()


def test_a_photograph_with_clear_parts_stays_clear():
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 4), dtype=np.uint8)
    read = Image.open(io.BytesIO(base64.b64decode(data_uri(Image.fromarray(pixels, "RGBA")).split(",")[1])))
    assert np.array_equal(np.asarray(read), pixels)


def test_data_uri_is_small_and_reads_back():
    few = data_uri(Image.new("RGB", (50, 40), (1, 2, 3)))
    many = data_uri(Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)))
    assert few.startswith("data:image/png;base64,")
    assert many.startswith("data:image/jpeg;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(few.split(",")[1]))).getpixel((4, 4)) == (1, 2, 3)


def test_not_a_picture():
    with pytest.raises(ValueError, match=r"a picture is \(1, 8, 8\); expected \(3, height, width\)"):
        image(torch.rand(1, 8, 8))


def test_signed_evidence_has_two_colors_and_none_at_zero():
    drawn = np.asarray(signed(torch.tensor([[1.0, 0.0], [-1.0, 0.5]]), side=64)).astype(int)
    top, zero, low, half = drawn[8, 8], drawn[8, 56], drawn[56, 8], drawn[56, 56]
    assert tuple(top) == (0, 170, 135)
    assert tuple(low) == (235, 110, 20)
    assert tuple(zero) == (255, 255, 255)
    assert (half > top).all()


def test_signed_evidence_is_scaled_by_its_own_largest_value_and_lies_over_the_picture():
    evidence, picture = torch.randn(8, 8), torch.rand(3, 8, 8)
    one, two = (np.asarray(signed(evidence * k, picture, side=64)) for k in (1.0, 1e-4))
    assert (one == two).all()
    assert (np.asarray(signed(torch.zeros(8, 8), picture, side=64)) == np.asarray(image(picture, side=64))).all()
