"""Imputation of missing pixels, and ROAD."""

import numpy as np
import pytest
import torch
from rows_maps import _maps, forward

from zoo.metrics.attribution_maps import Road, _impute, fill, road

ZERO = torch.tensor([0])


def image(*rows):
    return torch.tensor(rows, dtype=torch.float64)[None, None]


def first(x):
    """Class 0 where the first pixel is above a half."""
    corner = x.double()[:, 0, 0, 0] - 0.5
    return torch.stack([corner, -corner], 1)


def solved(x, missing):
    """The missing pixels of (h, w) by a dense system, from the definition."""
    h, w = x.shape
    holes = [tuple(p) for p in np.argwhere(missing)]
    a, b = np.zeros((len(holes), len(holes))), np.zeros(len(holes))
    for i, (r, c) in enumerate(holes):
        for dr in (-1, 0, 1):
            for dc in (-1, 0, 1):
                y, z = r + dr, c + dc
                if (dr, dc) == (0, 0) or not (0 <= y < h and 0 <= z < w):
                    continue
                weight = 1 / 6 if 0 in (dr, dc) else 1 / 12
                a[i, i] += weight
                if missing[y, z]:
                    a[i, holes.index((y, z))] -= weight
                else:
                    b[i] += weight * x[y, z]
    out = x.copy()
    if holes:
        out[tuple(np.array(holes).T)] = np.linalg.solve(a, b)
    return out


def test_known_pixels_fill_their_neighbours():
    gap = torch.tensor([[False, True, False]])[None]
    assert fill(image([0, 9, 1]), gap)[0, 0, 0].tolist() == pytest.approx([0, 0.5, 1])
    x = torch.zeros(1, 1, 3, 3)
    x[0, 0, 0, 0], x[0, 0, 0, 1], x[0, 0, 1, 1] = 1, 1, 7
    centre = torch.zeros(1, 3, 3).bool()
    centre[0, 1, 1] = True
    assert float(fill(x, centre)[0, 0, 1, 1]) == pytest.approx(1 / 12 + 1 / 6)
    corner = torch.zeros(1, 3, 3).bool()
    corner[0, 0, 0] = True  # two beside, one across: (1/6 + 7/12) / (1/6 + 1/6 + 1/12)
    assert float(fill(x, corner)[0, 0, 0, 0]) == pytest.approx((1 / 6 + 7 / 12) / (5 / 12))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, "one left", "block"])
def test_imputation_agrees_with_a_dense_solution(share):
    g = torch.Generator().manual_seed(3)
    x = torch.randn(3, 2, 11, 14, generator=g)
    missing = torch.rand(3, 11, 14, generator=g) < (0.99 if isinstance(share, str) else share)
    if share == "one left":
        missing[:] = True
    if share == "block":
        missing[:] = False
        missing[:, 1:9, 2:] = True
    missing[:, 4, 0] = False
    kept, result = x.clone(), fill(x, missing)
    for i in range(3):
        for c in range(2):
            expected = solved(x[i, c].double().numpy(), missing[i].numpy())
            np.testing.assert_allclose(result[i, c], expected, atol=2e-5)
    assert torch.equal(result[~missing[:, None].expand_as(x)], x[~missing[:, None].expand_as(x)])
    assert torch.equal(x, kept)
    torch.testing.assert_close(fill(x[:1], missing[:1]), result[:1], rtol=0, atol=1e-6)


def test_imputation_of_one_image_does_not_feel_another_and_knows_no_scale():
    g = torch.Generator().manual_seed(3)
    x, missing = torch.randn(4, 1, 9, 9, generator=g), torch.rand(4, 9, 9, generator=g) < 0.7
    quiet = fill(x, missing)
    for scale in (1e-6, 1e6):
        enlarged = fill(torch.cat([x[:1], x[1:] * scale]), missing)
        assert torch.equal(enlarged[:1], quiet[:1])
        torch.testing.assert_close(enlarged[1:] / scale, quiet[1:], rtol=0, atol=1e-5)


def test_an_image_that_is_solved_costs_nothing_while_another_is_not(monkeypatch):
    g = torch.Generator().manual_seed(3)
    x, missing = torch.randn(8, 3, 64, 64, generator=g), torch.zeros(8, 64, 64, dtype=torch.bool)
    missing[:7, 5, 5], missing[7] = True, torch.rand(64, 64, generator=g) < 0.99
    around, planes = _impute._around, []
    monkeypatch.setattr(_impute, "_around", lambda u: planes.append(u.shape[:-2].numel()) or around(u))
    hard = fill(x[7:], missing[7:])
    alone = sum(planes)
    planes.clear()
    together = fill(x, missing)
    assert torch.equal(together[7:], hard)
    assert torch.equal(together[:1], fill(x[:1], missing[:1]))
    assert alone > 200
    assert sum(planes) < alone + 7 * 3 * 2 * _impute.CHECK


@pytest.mark.parametrize("mean", [1000.0, -1e5])
def test_a_large_mean_costs_no_accuracy(mean):
    """Float32 of pixels around 1000 is exact to 6e-5; the solution is no worse than that."""
    g = torch.Generator().manual_seed(3)
    x = torch.randn(2, 1, 16, 16, generator=g) + mean
    missing = torch.rand(2, 16, 16, generator=g) < 0.8
    result = fill(x, missing)
    for i in range(2):
        expected = solved(x[i, 0].double().numpy(), missing[i].numpy())
        np.testing.assert_allclose(result[i, 0], expected, atol=1.01 * float(np.spacing(np.float32(abs(mean)))))
    assert torch.equal(result[~missing[:, None]], x[~missing[:, None]])


def test_the_noise_of_imputation_is_on_what_was_filled():
    x, missing = torch.zeros(2, 3, 40, 40), torch.rand(2, 40, 40, generator=torch.Generator().manual_seed(0)) < 0.5
    missing[:, 0, 0] = False
    result = _impute.impute(x, missing, noise=0.3, ids=torch.tensor([1, 2]))
    holes = missing[:, None].expand_as(x)
    assert result[~holes].eq(0).all()
    assert float(result[holes].std()) == pytest.approx(0.3, abs=0.01)
    assert not torch.equal(result[0, 0], result[0, 1])
    assert _impute.impute(x.bfloat16(), missing).dtype == torch.bfloat16
    assert _impute.impute(x, missing, noise=0).eq(0).all()


def test_road_of_a_known_image():
    x, attribution = image([1, 0], [0, 0]), torch.tensor([[[4.0, 3], [2, 1]]])
    score = Road(percentages=(25, 50), noise=0)
    score.update(first, x, attribution, ZERO)
    readouts = score.compute()
    # Most relevant first: the pixel that decides is imputed from zeros at once. Least relevant first: never.
    assert {k: float(readouts[k]) for k in ("road", "morf", "lerf")} == {"road": 1, "morf": 0, "lerf": 1}
    assert readouts["curve/morf_curve"].tolist() == [0, 0]
    assert readouts["curve/lerf_curve"].tolist() == [1, 1]
    against = Road(percentages=(25, 50), noise=0)
    against.update(first, x, -attribution, ZERO)
    assert float(against.compute()["road"]) == -1


def test_road_of_a_constant_map_is_undefined():
    """The second map orders no pixel: only the first counts, and by itself the second is not applicable."""
    x = image([1, 0], [0, 0]).repeat(2, 1, 1, 1)
    maps = torch.tensor([[[4.0, 3], [2, 1]], [[0.0, 0], [0, 0]]])
    score, alone = Road(percentages=(25, 50), noise=0), Road(percentages=(25, 50), noise=0)
    score.update(first, x, maps, torch.tensor([0, 0]))
    readouts = score.compute()
    assert {k: float(readouts[k]) for k in ("road", "morf", "lerf")} == {"road": 1, "morf": 0, "lerf": 1}
    assert float(readouts["undefined"]) == 0.5
    assert int(readouts["support"]) == 2
    assert not readouts["curve/random_curve"].isnan().any()  # random pixels need no map
    alone.update(first, x[1:], maps[1:], ZERO)
    assert torch.isnan(alone.compute()["road"])
    assert float(alone.compute()["undefined"]) == 1


def test_road_agrees_with_a_loop():
    rows = {k: v[:6] for k, v in _maps().items()}
    x, attribution, target = rows["x"], rows["attribution"].round(), rows["target"]
    result = road(forward, x, attribution, target, percentages=(10, 50, 90), noise=0)
    for i in range(len(x)):
        order = sorted(range(36), key=lambda p, i=i: (-float(attribution[i].flatten()[p]), p))
        for column, n in enumerate((3, 18, 32)):
            for name, gone in (("morf", order[:n]), ("lerf", order[36 - n :])):
                missing = np.zeros(36, dtype=bool)
                missing[gone] = True
                full = np.stack([solved(plane.numpy(), missing.reshape(6, 6)) for plane in x[i]])
                right = float(forward(torch.from_numpy(full)[None]).argmax() == target[i])
                value = float(result[f"{name}_curve"][i, column])
                assert np.isnan(value) if len(attribution[i].unique()) == 1 else value == right


def test_road_is_zero_by_chance():
    g = torch.Generator().manual_seed(0)
    x = torch.rand(400, 1, 6, 6, dtype=torch.float64, generator=g)
    target = first(x).argmax(1)
    score, good = Road(percentages=(30, 60)), Road(percentages=(30, 60))
    score.update(first, x, torch.rand(400, 6, 6, generator=g), target)
    corner = torch.zeros(400, 6, 6)
    corner[:, 0, 0] = 1
    good.update(first, x, corner, target)
    readouts = score.compute()
    assert float(readouts["road"]) == pytest.approx(0, abs=0.06)
    assert float(readouts["random"]) == pytest.approx(float(readouts["morf"]), abs=0.06)
    assert float(good.compute()["road"]) > 0.2
