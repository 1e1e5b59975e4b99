import cv2
import numpy as np
import pytest
import torch
from oracle import meets, region
from worlds import keypoints, maps

from zoo.explanation import upsample
from zoo.metrics import hits, peak
from zoo.metrics.parts import _peaks
from zoo.metrics.parts._localization import cells, mask_hits

KINDS = ["random", "constant", "levels", "integers", "peaks", "plateau", "mirrored"]


def slow_peak(where, side, dtype=np.float64):
    big = [
        cv2.resize(m.astype(dtype), (side, side), interpolation=cv2.INTER_CUBIC) for m in where.flatten(0, 1).numpy()
    ]
    first = [divmod(int(m.argmax()), side) for m in big]
    return torch.tensor([(x, y) for y, x in first]).unflatten(0, where.shape[:2])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("cells", "side"), [(7, 224), (14, 224), (4, 32), (8, 64), (5, 33), (1, 16), (7, 448)])
def test_peak_is_that_of_cv2_also_on_ties(kind, cells, side):
    where = maps(kind, (5, 4, cells, cells))
    assert torch.equal(peak(where, side), slow_peak(where, side))


def test_published_float32_arithmetic_finds_the_same_peaks_without_ties():
    where = maps("random", (20, 10, 7, 7))
    assert torch.equal(peak(where, 224), slow_peak(where, 224, np.float32))
    assert torch.equal(peak(where, 224), slow_peak_of(upsample(where, 224)))


def slow_peak_of(big):
    first = big.flatten(2).argmax(2)
    return torch.stack([first % big.shape[-1], first // big.shape[-1]], -1)


def test_constant_map_peaks_at_the_first_pixel():
    assert peak(torch.full((1, 1, 7, 7), 0.3), 224).tolist() == [[[0, 0]]]


def test_peak_depends_on_neither_chunks_nor_neighbours_nor_layout(monkeypatch):
    where = maps("levels", (6, 5, 7, 7))
    whole = peak(where, 224)
    monkeypatch.setattr(_peaks, "CHUNK", 1)
    assert torch.equal(peak(where, 224), whole)
    enlarged = where.clone()
    enlarged[1:] *= 1e30
    assert torch.equal(peak(enlarged, 224)[0], whole[0])
    for scale in (1e300, 1e-300):  # rounded, but as cv2 rounds
        odd = where[:1, :2].double() * scale
        assert torch.equal(peak(odd, 224), slow_peak(odd, 224))
    strided = where.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2)
    assert not strided.is_contiguous()
    assert torch.equal(peak(strided, 224), whole)


def test_peak_takes_half_precision_oblong_and_empty():
    where = maps("integers", (3, 2, 7, 7))
    assert torch.equal(peak(where.bfloat16(), 224), peak(where, 224))
    assert peak(torch.zeros(2, 3, 4, 6), (32, 48)).shape == (2, 3, 2)
    assert peak(torch.zeros(0, 3, 7, 7), 224).shape == (0, 3, 2)
    assert peak(torch.zeros(2, 0, 7, 7), 224).shape == (2, 0, 2)


def test_peak_refuses_what_it_cannot_place():
    where = torch.zeros(2, 3, 7, 7)
    where[1, 2, 0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"where\[1, 2\]"):
        peak(where, 224)
    with pytest.raises(ValueError, match="needs"):
        peak(torch.zeros(2, 3, 7), 224)


@pytest.mark.parametrize("side", [224, 32, 64, 33, 448])
def test_hits_agree_with_the_loop(side):
    where = maps("random", (12, 4, 7, 7))
    points, visible = keypoints(12, 6, side)
    result = hits(peak(where, side), points, visible, size=side)
    for image in range(12):
        for unit in range(4):
            box = region(where[image, unit].numpy(), side)
            wanted = [
                bool(v) and meets(p, box) for p, v in zip(points[image].tolist(), visible[image].tolist(), strict=True)
            ]
            assert result[image, unit].tolist() == wanted


@pytest.mark.parametrize(
    ("x", "y", "hit"),
    [(136, 100, True), (137, 100, False), (64, 100, True), (63, 100, False), (136.9, 64.9, True), (63.99, 100, False)],
)
def test_both_ends_of_the_region_are_inside(x, y, hit):
    point, sees = torch.tensor([[[x, y]]], dtype=torch.float64), torch.ones(1, 1, dtype=torch.bool)
    assert hits(torch.tensor([[[100, 100]]]), point, sees, size=224).item() is hit


@pytest.mark.parametrize(("corner", "x", "hit"), [(0, -0.9, True), (0, -1, False), (223, 224, True), (223, 225, False)])
def test_border_of_the_image(corner, x, hit):
    point, sees = torch.tensor([[[x, 100]]], dtype=torch.float64), torch.ones(1, 1, dtype=torch.bool)
    assert hits(torch.tensor([[[corner, 100]]]), point, sees, size=224).item() is hit
    assert not hits(torch.tensor([[[corner, 100]]]), point, ~sees, size=224).item()


def test_missing_keypoint_is_no_hit():
    nowhere = torch.full((1, 1, 2), torch.nan)
    assert not hits(torch.zeros(1, 1, 2).long(), nowhere, torch.ones(1, 1, dtype=torch.bool), size=32).any()


@pytest.mark.parametrize("half", [0, 3, 2.5, (4, 1), 100])
def test_mask_hits_agree_with_a_loop(half):
    g = torch.Generator().manual_seed(0)
    b, k, p, height, width = 4, 5, 3, 11, 17
    masks = torch.rand(b, p, height, width, generator=g) > 0.97
    masks[:, 2] = False  # a part that is not there is never met
    visible = torch.rand(b, p, generator=g) > 0.3
    peaks = torch.stack([torch.randint(0, n, (b, k), generator=g) for n in (width, height)], -1)
    reach = half if isinstance(half, tuple) else (half, half)
    for given in (None, visible):
        result = mask_hits(peaks, masks, given, half=half)
        for i in range(b):
            for j in range(k):
                x, y = peaks[i, j].tolist()
                for part in range(p):
                    expected = any(
                        abs(row - y) <= reach[1] and abs(column - x) <= reach[0]
                        for row, column in masks[i, part].nonzero().tolist()
                    )
                    assert bool(result[i, j, part]) is (expected and (given is None or bool(given[i, part])))
    assert not mask_hits(peaks, masks)[:, :, 2].any()


def test_a_small_mask_is_met_as_a_keypoint_is():
    masks = torch.zeros(1, 1, 224, 224, dtype=torch.bool)
    masks[0, 0, 100, 136] = True
    point, sees = torch.tensor([[[136, 100]]]).double(), torch.ones(1, 1).bool()
    for x in range(90, 190):
        at = torch.tensor([[[x, 100]]])
        assert torch.equal(mask_hits(at, masks, half=36), hits(at, point, sees, size=224))


def test_cells_are_centred():
    assert cells(torch.arange(4)[None], (2, 2), (8, 12)).tolist() == [[[3, 2], [9, 2], [3, 6], [9, 6]]]
    assert torch.equal(cells(torch.tensor([[5]]), (2, 2), 8), cells(torch.tensor([[1]]), (2, 2), 8))
