"""Scores that read a map alone: complexity, localisation, correlations."""

import math

import pytest
import torch
from scipy import stats
from worlds import keypoints

from zoo.metrics import hits
from zoo.metrics._correlation import pearson
from zoo.metrics.attribution_maps import MapComplexity, MapLocalization, entropy, gini, mass, pointing, rank, spearman
from zoo.metrics.parts._localization import around

BOTH = (gini, entropy)
THREE = (mass, rank, pointing)


def maps(b=40, side=7, seed=0, levels=None):
    x = torch.randn(b, side, side, generator=torch.Generator().manual_seed(seed))
    return x if levels is None else (x * levels).round()


def test_complexity_of_known_maps():
    attribution = torch.tensor([[[0.0, 0.0], [0.0, -2.0]], [[3.0, 3.0], [-3.0, 3.0]], [[0.0, 0.0], [1.0, 3.0]]])
    # Of 1 and 3 among four: (1 * 1 + 3 * 3) / (4 * 4).
    assert gini(attribution).tolist() == pytest.approx([0.75, 0, 0.625])
    known = [0, math.log(4), -0.25 * math.log(0.25) - 0.75 * math.log(0.75)]
    assert entropy(attribution).tolist() == pytest.approx(known)
    score = MapComplexity()
    score.update(torch.cat([attribution, torch.zeros(1, 2, 2)]))
    readouts = {k: float(v) for k, v in score.compute().items()}
    assert readouts == pytest.approx(
        {
            "gini": 1.375 / 3,
            "entropy": sum(known) / 3,
            "spread": sum(known) / 3 / math.log(4),
            "undefined": 0.25,
            "support": 4,
        }
    )


def test_complexity_agrees_with_a_loop():
    attribution = maps()
    for i, one in enumerate(attribution.double()):
        w = sorted(one.abs().flatten().tolist())
        n, total = len(w), sum(w)
        lorenz = 1 - 2 * sum(v / total * (n - k + 0.5) / n for k, v in enumerate(w, 1))
        assert float(gini(attribution)[i]) == pytest.approx(lorenz, rel=1e-6)
        assert float(entropy(attribution)[i]) == pytest.approx(
            -sum(v / total * math.log(v / total) for v in w), rel=1e-6
        )


@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e-3, 7, 1e30])
def test_the_scale_of_a_map_does_not_matter_nor_that_of_another(scale):
    attribution, mask = maps().double(), maps(seed=1) > 0.5
    enlarged = torch.cat([attribution[:1], attribution[1:] * scale])
    for read in BOTH:
        assert torch.equal(read(attribution)[:1], read(enlarged)[:1])
        torch.testing.assert_close(read(attribution), read(attribution * scale), rtol=1e-9, atol=0)
    for read in THREE:
        assert torch.equal(read(attribution, mask)[:1], read(enlarged, mask)[:1])
        torch.testing.assert_close(read(attribution, mask), read(attribution * scale, mask), rtol=1e-9, atol=0)


def test_localisation_of_known_maps():
    attribution = torch.tensor([[4.0, -2.0], [1.0, 3.0]]).expand(4, 2, 2)
    mask = torch.tensor([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, 1], [1, 1]], [[0, 0], [0, 0]]]).bool()
    nan = math.nan
    assert mass(attribution, mask).tolist() == pytest.approx([7 / 8, 1 / 8, 4 / 8, nan], nan_ok=True)
    assert rank(attribution, mask).tolist() == pytest.approx([1, 0, 2 / 3, nan], nan_ok=True)
    assert pointing(attribution, mask).tolist() == pytest.approx([1, 0, 0, nan], nan_ok=True)
    score = MapLocalization()
    score.update(attribution, mask)
    readouts = {k: float(v) for k, v in score.compute().items()}
    assert readouts == pytest.approx(
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
    attribution, mask = maps(levels=levels), maps(seed=1) > 0.3
    mask[3] = False
    for i in range(len(attribution)):
        value, truth = attribution[i].flatten().tolist(), mask[i].flatten().tolist()
        if not any(truth):
            assert all(bool(read(attribution, mask)[i].isnan()) for read in THREE)
            continue
        k = sum(truth)
        total = sum(v for v in value if v > 0)
        inside = sum(v for v, t in zip(value, truth, strict=True) if v > 0 and t)
        assert float(mass(attribution, mask)[i]) == pytest.approx(inside / total, rel=1e-6)
        top = [t for v, t in zip(value, truth, strict=True) if v == max(value)]
        assert float(pointing(attribution, mask)[i]) == pytest.approx(sum(top) / len(top))
        level = sorted(value, reverse=True)[k - 1]
        sure = [t for v, t in zip(value, truth, strict=True) if v > level]
        even = [t for v, t in zip(value, truth, strict=True) if v == level]
        expected = (sum(sure) + (k - len(sure)) * sum(even) / len(even)) / k
        assert float(rank(attribution, mask)[i]) == pytest.approx(expected)


@pytest.mark.parametrize("size", [(32, 32), (20, 33)])
def test_the_region_of_a_keypoint_is_the_peaks_that_meet_it(size):
    points, visible = keypoints(4, 5, 32)
    rows, columns = torch.meshgrid(*(torch.arange(n) for n in size), indexing="ij")
    peaks = torch.stack([columns, rows], -1).reshape(1, -1, 2).expand(4, -1, 2)
    part_hits = hits(peaks, points, visible, size=size).transpose(1, 2).unflatten(2, size)
    assert torch.equal(around(points, visible, size), part_hits)


def test_correlations_agree_with_scipy():
    a, b = maps(9, 5, levels=2).flatten(1).double(), maps(9, 5, seed=1).flatten(1).double()
    for i in range(9):
        assert float(spearman(a, b)[i]) == pytest.approx(float(stats.spearmanr(a[i], b[i])[0]))
        assert float(pearson(a, b)[i]) == pytest.approx(float(stats.pearsonr(a[i], b[i])[0]))
    assert pearson(torch.full((1, 5), 1e8).double() + 1e-3, b[:1, :5]).isnan().all()
    assert spearman(torch.ones(1, 5), b[:1, :5].float()).isnan().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int64])
def test_maps_of_any_type(dtype):
    attribution, mask = maps(levels=3).to(dtype), maps(seed=1) > 0.3
    for read, rest in (*((r, ()) for r in BOTH), *((r, (mask,)) for r in THREE)):
        kept = attribution.clone()
        torch.testing.assert_close(read(attribution, *rest), read(attribution.double(), *rest), rtol=1e-6, atol=1e-9)
        assert torch.equal(attribution, kept)


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
