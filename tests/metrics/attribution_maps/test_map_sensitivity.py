"""How far a map moves with the input."""

import math

import pytest
import torch
from rows_maps import WEIGHT, _maps, attribute, forward

from zoo.metrics.attribution_maps import MapSensitivity, nearby, robustness
from zoo.metrics.attribution_maps._base import ROWS

W = torch.tensor([3.0, 1.0], dtype=torch.float64).reshape(1, 1, 2)


def weighted(x, target):
    return (x * W)[:, 0]


def test_known_changes():
    """e(x) = (3, 2); the neighbours are x + (.1, 0) and x + (.2, 0), so e moves by .3 and .6."""
    x = torch.tensor([[[[1.0, 2.0]]]], dtype=torch.float64)
    step = torch.tensor([[[[0.1, 0.0]]]], dtype=torch.float64)

    def logits(x):
        return torch.stack([weighted(x, None).sum((1, 2)), torch.zeros(len(x))], 1)

    def move(x, ids, *, draw, radius):
        return x + (draw + 1) * step

    result = robustness(weighted, x, torch.tensor([0]), forward=logits, draws=2, move=move)
    assert {k: float(v) for k, v in result.items()} == pytest.approx(
        {
            "max_sensitivity": 0.6,
            "avg_sensitivity": 0.45,
            "relative_max": 0.6 / 13**0.5,
            "relative_avg": 0.45 / 13**0.5,
            "lipschitz": 3,
            "input_stability": 1,  # (.3 / 3) / (.1 / 1)
            "output_stability": 1 / 3,  # (.3 / 3) / .3
        }
    )
    still = robustness(weighted, x, torch.tensor([0]), draws=2, move=lambda x, ids, draw, radius: x)
    assert float(still["max_sensitivity"]) == 0
    assert still["lipschitz"].isnan().all()
    assert still["input_stability"].isnan().all()


def test_neighbours_of_another_class_count_for_the_relative_stabilities_alone():
    x = torch.tensor([[[[1.0, 2.0]]]], dtype=torch.float64)

    def flips(x):
        return torch.stack([1.05 - x[:, 0, 0, 0], torch.zeros(len(x))], 1)

    def move(x, ids, *, draw, radius):
        return x + torch.tensor([0.01, 0.2])[draw]

    result = robustness(weighted, x, torch.tensor([0]), forward=flips, draws=2, move=move)
    near = robustness(weighted, x, torch.tensor([0]), forward=flips, draws=1, move=move)
    for name in ("input_stability", "output_stability"):
        assert torch.equal(result[name], near[name])
    assert float(result["max_sensitivity"]) == pytest.approx(0.2 * 10**0.5)
    gone = robustness(weighted, x, torch.tensor([0]), forward=flips, draws=1, move=lambda x, *_, **__: x + 1)
    assert gone["input_stability"].isnan().all()


def test_agrees_with_a_loop():
    rows, draws, radius = _maps(), 4, 0.2
    x, target, ids = rows["x"], rows["target"], rows["ids"]
    result = robustness(attribute, x, target, forward=forward, draws=draws, radius=radius, ids=ids)
    for i in range(len(x)):
        one, cls = x[i : i + 1], target[i : i + 1]
        e, h = attribute(one, cls).flatten(), forward(one)[0]
        moved, slope, inward, outward = [], [], [math.nan], [math.nan]
        for draw in range(draws):
            other = nearby(one, ids[i : i + 1], draw=draw, radius=radius)
            change = attribute(other, cls).flatten() - e
            moved.append(float(change.norm()))
            slope.append(moved[-1] / float((other - one).norm()))
            if forward(other)[0].argmax() == h.argmax():
                relative = float((change / e.abs().clamp_min(1e-6)).norm())
                inward.append(relative / float(((other - one) / one.abs().clamp_min(1e-6)).norm()))
                outward.append(relative / float((forward(other)[0] - h).norm()))
        known = {
            "max_sensitivity": max(moved),
            "avg_sensitivity": sum(moved) / draws,
            "relative_max": max(moved) / float(e.norm()),
            "relative_avg": sum(moved) / draws / float(e.norm()),
            "lipschitz": max(slope),
            "input_stability": max(inward[1:], default=math.nan),
            "output_stability": max(outward[1:], default=math.nan),
        }
        assert {k: float(v[i]) for k, v in result.items()} == pytest.approx(known, rel=1e-9, nan_ok=True)


def test_neighbours_fill_the_box_and_depend_on_id_and_draw_alone():
    x, ids = torch.zeros(3, 2, 50, 51), torch.tensor([5, 6, 5])
    near = nearby(x, ids, draw=1, radius=0.5)
    assert float(near.abs().max()) <= 0.5
    assert float(near.mean()) == pytest.approx(0, abs=0.01)
    assert float(near.var()) == pytest.approx(0.25 / 3, abs=0.003)
    assert torch.equal(near[0], near[2])
    assert not torch.equal(near[0], near[1])
    assert torch.equal(near[1:2], nearby(x[1:2], ids[1:2], draw=1, radius=0.5))
    assert not torch.equal(near, nearby(x, ids, draw=2, radius=0.5))


def test_many_neighbours_go_in_one_call_and_gradients_are_allowed():
    rows, sizes = _maps(), []

    def gradient(x, target):
        sizes.append(len(x))
        x = x.clone().requires_grad_()
        return torch.autograd.grad(forward(x).gather(1, target[:, None]).sum(), x)[0].sum(1)

    with torch.no_grad():
        result = robustness(gradient, rows["x"], rows["target"], draws=6)
    assert max(sizes) <= ROWS
    assert sum(sizes) == 7 * len(rows["x"])
    assert len(sizes) == 4
    assert not any(v.requires_grad for v in result.values())


def test_a_map_that_does_not_move_and_one_that_is_empty():
    rows = _maps()
    still = robustness(lambda x, y: torch.ones(len(x), 6, 6), rows["x"], rows["target"], forward=forward)
    for name in ("max_sensitivity", "avg_sensitivity", "relative_max", "lipschitz"):
        assert still[name].eq(0).all()
    empty = robustness(lambda x, y: torch.zeros(len(x), 6, 6), rows["x"], rows["target"])
    assert empty["relative_max"].isnan().all()
    assert empty["max_sensitivity"].eq(0).all()


def test_arguments_count():
    rows = _maps()

    def read(**how):
        score = MapSensitivity(**how)
        score.update(attribute, rows["x"], rows["target"], forward)
        return score.compute()

    wide, narrow = read(radius=0.2, draws=3), read(radius=0.1, draws=3)
    for name in ("max_sensitivity", "avg_sensitivity"):  # the map is linear in the input
        assert float(wide[name]) == pytest.approx(2 * float(narrow[name]))
    assert float(wide["lipschitz"]) == pytest.approx(float(narrow["lipschitz"]))
    assert float(read(draws=6)["max_sensitivity"]) > float(read(draws=3)["max_sensitivity"])
    assert MapSensitivity().protocol == "zoo-map-sensitivity-v1"
    assert MapSensitivity(radius=0.2, draws=3).protocol == "zoo-map-sensitivity-v1/radius0.2/draws3"


def test_half_precision_inputs():
    rows = _maps()
    x = rows["x"].bfloat16()
    result = robustness(attribute, x, rows["target"], forward=forward, ids=rows["ids"])
    same = robustness(attribute, x.double(), rows["target"], forward=forward, ids=rows["ids"])
    torch.testing.assert_close(result["avg_sensitivity"], same["avg_sensitivity"], rtol=0.05, atol=0)
    assert x.equal(rows["x"].bfloat16())


@pytest.mark.parametrize("radius", [0, -1, True, "a", math.inf, math.nan])
def test_a_radius_that_means_nothing(radius):
    with pytest.raises(ValueError, match="radius is"):
        MapSensitivity(radius=radius)


def test_what_is_wrong_is_named():
    rows = _maps()
    x, target = rows["x"], rows["target"]
    with pytest.raises(ValueError, match="draws is 0"):
        robustness(attribute, x, target, draws=0)
    with pytest.raises(ValueError, match=r"target is \(2,\); expected \(24\)"):
        robustness(attribute, x, target[:2])
    with pytest.raises(ValueError, match=r"target is torch.float32"):
        robustness(attribute, x, target.float())
    with pytest.raises(ValueError, match=r"target holds 0 to 3; forward\(x\) has classes 0 to 2"):
        robustness(lambda x, y: x[:, 0], x, torch.arange(24) % 4, forward=forward)
    with pytest.raises(ValueError, match=r"attribution is \(24, 5, 6\)"):
        robustness(lambda x, y: x[:, 0, 1:], x, target)
    assert WEIGHT.shape == (3, 72)
