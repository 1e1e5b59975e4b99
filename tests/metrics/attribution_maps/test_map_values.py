"""Scores that read a map alone: complexity, localisation, correlations."""

import math

import pytest
import torch
from scipy import stats
from worlds import keypoints

from zoo.metrics import hits
from zoo.metrics._correlation import pearson
from zoo.metrics.attribution_maps import MapComplexity, MapLocalization, entropy, gini, mass, pointing, rank, spearman
from zoo.metrics.attribution_maps.map_localization import around

BOTH = (gini, entropy)
THREE = (mass, rank, pointing)


def maps(b=40, side=7, seed=0, levels=None):
    x = torch.randn(b, side, side, generator=torch.Generator().manual_seed(seed))
    return x if levels is None else (x * levels).round()


def test_complexity_of_known_maps():
    found = torch.tensor([[[0.0, 0.0], [0.0, -2.0]], [[3.0, 3.0], [-3.0, 3.0]], [[0.0, 0.0], [1.0, 3.0]]])
    # Of 1 and 3 among four: (1 * 1 + 3 * 3) / (4 * 4).
    assert gini(found).tolist() == pytest.approx([0.75, 0, 0.625])
    known = [0, math.log(4), -0.25 * math.log(0.25) - 0.75 * math.log(0.75)]
    assert entropy(found).tolist() == pytest.approx(known)
    score = MapComplexity()
    score.update(torch.cat([found, torch.zeros(1, 2, 2)]))
    told = {k: float(v) for k, v in score.compute().items()}
    assert told == pytest.approx(
        {
            "gini": 1.375 / 3,
            "entropy": sum(known) / 3,
            "spread": sum(known) / 3 / math.log(4),
            "undefined": 0.25,
            "support": 4,
        }
    )


def test_complexity_agrees_with_a_loop():
    found = maps()
    for i, one in enumerate(found.double()):
        w = sorted(one.abs().flatten().tolist())
        n, total = len(w), sum(w)
        lorenz = 1 - 2 * sum(v / total * (n - k + 0.5) / n for k, v in enumerate(w, 1))
        assert float(gini(found)[i]) == pytest.approx(lorenz, rel=1e-6)
        assert float(entropy(found)[i]) == pytest.approx(-sum(v / total * math.log(v / total) for v in w), rel=1e-6)


@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e-3, 7, 1e30])
def test_the_scale_of_a_map_does_not_matter_nor_that_of_another(scale):
    found, mask = maps().double(), maps(seed=1) > 0.5
    loud = torch.cat([found[:1], found[1:] * scale])
    for read in BOTH:
        assert torch.equal(read(found)[:1], read(loud)[:1])
        torch.testing.assert_close(read(found), read(found * scale), rtol=1e-9, atol=0)
    for read in THREE:
        assert torch.equal(read(found, mask)[:1], read(loud, mask)[:1])
        torch.testing.assert_close(read(found, mask), read(found * scale, mask), rtol=1e-9, atol=0)


def test_localisation_of_known_maps():
    found = torch.tensor([[4.0, -2.0], [1.0, 3.0]]).expand(4, 2, 2)
    mask = torch.tensor([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, 1], [1, 1]], [[0, 0], [0, 0]]]).bool()
    nan = math.nan
    assert mass(found, mask).tolist() == pytest.approx([7 / 8, 1 / 8, 4 / 8, nan], nan_ok=True)
    assert rank(found, mask).tolist() == pytest.approx([1, 0, 2 / 3, nan], nan_ok=True)
    assert pointing(found, mask).tolist() == pytest.approx([1, 0, 0, nan], nan_ok=True)
    score = MapLocalization()
    score.update(found, mask)
    told = {k: float(v) for k, v in score.compute().items()}
    assert told == pytest.approx(
        {"mass": 1.5 / 3, "rank": 5 / 9, "pointing": 1 / 3, "area": 1.75 / 3, "undefined": 0.25, "support": 4}
    )


def test_a_map_that_says_nothing_gets_what_chance_gives():
    mask = torch.tensor([[[1, 0], [0, 0]], [[1, 1], [0, 1]]]).bool()
    for read in THREE:
        assert read(torch.ones(2, 2, 2), mask).tolist() == [0.25, 0.75]
        random = read(maps(4000, 2, levels=2), mask[1:].expand(4000, 2, 2))
        assert float(random.nanmean()) == pytest.approx(0.75, abs=0.03)
    assert mass(-torch.ones(1, 2, 2), mask[:1]).isnan().all()
    assert mass(torch.zeros(1, 2, 2), mask[:1]).isnan().all()


@pytest.mark.parametrize("levels", [None, 1.5])
def test_localisation_agrees_with_a_loop(levels):
    found, mask = maps(levels=levels), maps(seed=1) > 0.3
    mask[3] = False
    for i in range(len(found)):
        value, truth = found[i].flatten().tolist(), mask[i].flatten().tolist()
        if not any(truth):
            assert all(bool(read(found, mask)[i].isnan()) for read in THREE)
            continue
        k = sum(truth)
        total = sum(v for v in value if v > 0)
        inside = sum(v for v, t in zip(value, truth, strict=True) if v > 0 and t)
        assert float(mass(found, mask)[i]) == pytest.approx(inside / total, rel=1e-6)
        top = [t for v, t in zip(value, truth, strict=True) if v == max(value)]
        assert float(pointing(found, mask)[i]) == pytest.approx(sum(top) / len(top))
        level = sorted(value, reverse=True)[k - 1]
        sure = [t for v, t in zip(value, truth, strict=True) if v > level]
        even = [t for v, t in zip(value, truth, strict=True) if v == level]
        expected = (sum(sure) + (k - len(sure)) * sum(even) / len(even)) / k
        assert float(rank(found, mask)[i]) == pytest.approx(expected)


@pytest.mark.parametrize("size", [(32, 32), (20, 33)])
def test_the_region_of_a_keypoint_is_the_peaks_that_meet_it(size):
    points, visible = keypoints(4, 5, 32)
    rows, columns = torch.meshgrid(*(torch.arange(n) for n in size), indexing="ij")
    peaks = torch.stack([columns, rows], -1).reshape(1, -1, 2).expand(4, -1, 2)
    met = hits(peaks, points, visible, size=size).transpose(1, 2).unflatten(2, size)
    assert torch.equal(around(points, visible, size), met)


def test_correlations_agree_with_scipy():
    a, b = maps(9, 5, levels=2).flatten(1).double(), maps(9, 5, seed=1).flatten(1).double()
    for i in range(9):
        assert float(spearman(a, b)[i]) == pytest.approx(float(stats.spearmanr(a[i], b[i])[0]))
        assert float(pearson(a, b)[i]) == pytest.approx(float(stats.pearsonr(a[i], b[i])[0]))
    assert pearson(torch.full((1, 5), 1e8).double() + 1e-3, b[:1, :5]).isnan().all()
    assert spearman(torch.ones(1, 5), b[:1, :5].float()).isnan().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int64])
def test_maps_of_any_type(dtype):
    found, mask = maps(levels=3).to(dtype), maps(seed=1) > 0.3
    for read, rest in (*((r, ()) for r in BOTH), *((r, (mask,)) for r in THREE)):
        kept = found.clone()
        torch.testing.assert_close(read(found, *rest), read(found.double(), *rest), rtol=1e-6, atol=1e-9)
        assert torch.equal(found, kept)


def test_what_is_wrong_is_named():
    good, mask = torch.ones(2, 3, 3), torch.ones(2, 3, 3).bool()
    bad = good.clone()
    bad[1, 0, 0] = math.nan
    for read, rest in (*((r, ()) for r in BOTH), *((r, (mask,)) for r in THREE)):
        with pytest.raises(ValueError, match=r"attribution\[1\] has a value that is not finite"):
            read(bad, *rest)
        with pytest.raises(ValueError, match=r"attribution is \(2, 1, 3, 3\); give one value a pixel"):
            read(good[:, None], *rest)
    with pytest.raises(ValueError, match=r"mask is \(2, 3\); expected \(2, 3, 3\)"):
        mass(good, mask[..., 0])
