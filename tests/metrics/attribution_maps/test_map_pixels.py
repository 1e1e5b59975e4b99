"""Scores that take pixels away: deletion and insertion, infidelity, sensitivity-n; ROAD has a file of its own."""

import math
import pickle

import numpy as np
import pytest
import torch
from rows_maps import _maps, forward
from scipy import stats

from zoo.metrics.attribution_maps import (
    Infidelity,
    MapDeletion,
    Road,
    SensitivityN,
    deletion,
    fill,
    infidelity,
    noise,
    road,
    sensitivity_n,
    squares,
)
from zoo.metrics.perturbations._pixel_changes import blur
from zoo.metrics.perturbations.noise import CHOICE, random_bits

ZERO = torch.tensor([0])


def image(*rows):
    return torch.tensor(rows, dtype=torch.float64)[None, None]


def summed(x):
    """Logits (sum of the pixels, 0)."""
    total = x.double().sum((1, 2, 3))
    return torch.stack([total, torch.zeros_like(total)], 1)


def rows_of(kind, n=6):
    """Rows of random inputs, and the map of a kind."""
    rows = {k: v[:n] for k, v in _maps().items() if k != "mask"}
    return rows | ({} if kind == "random" else {"attribution": rows["attribution"].round()})


# Deletion and insertion.


def test_deletion_of_a_known_image():
    """The logit is ln 3 with the first pixel and 0 without it: probabilities of 3/4 and 1/2."""
    x, attribution = image([math.log(3), 0], [0, 0]), torch.tensor([[[4.0, 3], [2, 1]]])
    result = deletion(summed, x, attribution, ZERO, steps=4)
    assert result["deletion_curve"][0].tolist() == pytest.approx([0.75, 0.5, 0.5, 0.5, 0.5])
    assert float(result["deletion"]) == pytest.approx(0.53125)
    last = deletion(summed, x, -attribution, ZERO, steps=4)
    assert last["deletion_curve"][0].tolist() == pytest.approx([0.75, 0.75, 0.75, 0.75, 0.5])
    assert float(last["deletion"]) == pytest.approx(0.71875)
    filled = deletion(summed, x, attribution, ZERO, steps=4, baseline=math.log(3))
    assert float(filled["deletion_curve"][0, -1]) == pytest.approx(81 / 82)
    flat = deletion(summed, torch.full_like(x, 0.3), attribution, ZERO, steps=2)
    assert flat["insertion_curve"][0].tolist() == pytest.approx([1 / (1 + math.exp(-1.2))] * 3)


@pytest.mark.parametrize(("kind", "steps"), [("random", 5), ("ties", 36), ("ties", 50)])
def test_deletion_and_insertion_agree_with_a_loop(kind, steps):
    rows = rows_of(kind)
    x, attribution, target = rows["x"], rows["attribution"], rows["target"]
    result = deletion(forward, x, attribution, target, steps=steps, baseline=0.2)
    soft = blur(x)
    for i in range(len(x)):
        order = sorted(range(36), key=lambda p, i=i: (-float(attribution[i].flatten()[p]), p))
        curves, at = {"deletion": [], "insertion": []}, []
        for step in range(steps + 1):
            n = math.floor(step * 36 / steps + 0.5)
            gone, come = x[i].clone().flatten(1), soft[i].clone().flatten(1)
            gone[:, order[:n]] = 0.2
            come[:, order[:n]] = x[i].flatten(1)[:, order[:n]]
            for name, one in (("deletion", gone), ("insertion", come)):
                curves[name].append(float(forward(one.reshape(1, 2, 6, 6)).softmax(1)[0, target[i]]))
            at.append(n / 36)
        for name, curve in curves.items():
            assert result[f"{name}_curve"][i].tolist() == pytest.approx(curve)
            assert float(result[name][i]) == pytest.approx(np.trapezoid(curve, at))
    torch.testing.assert_close(result["gap"], result["insertion"] - result["deletion"])


def test_blur_agrees_with_a_loop():
    x = rows_of("random", 2)["x"]
    weight = [math.exp(-((i - 5) ** 2) / 50) for i in range(11)]
    total = sum(weight) ** 2
    for row, column in ((0, 0), (3, 2), (5, 5)):
        value = sum(
            wy * wx * x[:, :, min(5, max(0, row + i - 5)), min(5, max(0, column + j - 5))]
            for i, wy in enumerate(weight)
            for j, wx in enumerate(weight)
        )
        torch.testing.assert_close(blur(x)[:, :, row, column], value / total)


def test_chance_is_a_random_order_and_a_good_map_is_better():
    x = torch.rand(200, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).square() * 0.2
    target = torch.zeros(200, dtype=torch.int64)
    good, score = MapDeletion(steps=12), MapDeletion(steps=12)
    good.update(summed, x, x[:, 0], target)
    score.update(summed, x, torch.rand(200, 6, 6, generator=torch.Generator().manual_seed(1)), target)
    good, readouts = good.compute(), score.compute()
    assert float(readouts["deletion"]) == pytest.approx(float(readouts["random_deletion"]), abs=0.005)
    assert float(readouts["insertion"]) == pytest.approx(float(readouts["random_insertion"]), abs=0.005)
    assert good["deletion"] < good["random_deletion"] - 0.03
    assert good["insertion"] > good["random_insertion"] + 0.03
    alone = MapDeletion(chance=False, steps=3)
    alone.update(summed, x, x[:, 0], target)
    assert set(alone.compute()) == {
        "deletion",
        "insertion",
        "gap",
        "undefined",
        "support",
        "curve/deletion_curve",
        "curve/insertion_curve",
    }


# Infidelity and sensitivity-n.


def test_infidelity_of_a_known_change():
    """The change takes the first pixel (1): the map foretells 3, the logit loses 1."""
    x, attribution = image([1, 5], [0, 0]), torch.tensor([[[3.0, 8], [0, 0]]])

    def change(x, ids, draw):
        return torch.cat([torch.zeros_like(x[..., :1, :1]), x.flatten(2)[..., None, 1:]], 3).reshape(x.shape)

    result = infidelity(summed, x, attribution, ZERO, change=change, draws=2)
    assert {k: float(v) for k, v in result.items()} == pytest.approx(
        {"infidelity": 4, "scaled": 0, "zero": 1, "unexplained": 0}
    )
    flat = infidelity(summed, x, torch.zeros(1, 2, 2), ZERO, change=change, draws=1)
    assert {k: float(v) for k, v in flat.items()} == {"infidelity": 1, "scaled": 1, "zero": 1, "unexplained": 1}
    same = infidelity(summed, x, attribution, ZERO, change=lambda x, *_: x, draws=1)
    assert float(same["infidelity"]) == 0
    assert same["unexplained"].isnan().all()


@pytest.mark.parametrize("kind", ["squares", "noise"])
def test_the_gradient_of_a_linear_model_has_no_infidelity_and_a_random_map_explains_nothing(kind):
    g = torch.Generator().manual_seed(0)
    weight, x = torch.randn(1, 1, 8, 8, dtype=torch.float64, generator=g), torch.randn(30, 1, 8, 8, generator=g)

    def linear(x):
        return torch.stack([(x * weight).sum((1, 2, 3)), torch.zeros(len(x))], 1)

    target, score = torch.zeros(30, dtype=torch.int64), Infidelity(change=kind)
    score.update(linear, x, weight[:, 0].expand(30, 8, 8), target)
    readouts = score.compute()
    assert float(readouts["infidelity"]) == pytest.approx(0, abs=1e-12)
    assert float(readouts["unexplained"]) == pytest.approx(0, abs=1e-12)
    worse = Infidelity(change=kind)
    worse.update(linear, x, torch.randn(30, 8, 8, generator=g), target)
    assert float(worse.compute()["unexplained"]) > 0.8
    twice = infidelity(linear, x, 2 * weight[:, 0].expand(30, 8, 8), target)
    torch.testing.assert_close(twice["infidelity"], twice["zero"])  # (2 I w - I w)^2
    assert float(twice["scaled"].max()) < 1e-12


@pytest.mark.parametrize("change", [squares(0.4, 0.7), noise(0.3)], ids=["squares", "noise"])
def test_infidelity_agrees_with_a_loop(change):
    rows, draws = rows_of("random"), 5
    x, attribution, target, ids = rows["x"], rows["attribution"], rows["target"], rows["ids"]
    result = infidelity(forward, x, attribution, target, change=change, draws=draws, ids=ids)
    full = infidelity(forward, x, attribution[:, None].expand_as(x), target, change=change, draws=draws, ids=ids)
    for i in range(len(x)):
        pairs = []
        for draw in range(draws):
            other = change(x[i : i + 1], ids[i : i + 1], draw)
            lost = forward(x[i : i + 1])[0, target[i]] - forward(other)[0, target[i]]
            foretold = sum(float(((x[i, c] - other[0, c]) * attribution[i]).sum()) for c in range(2))
            pairs.append((foretold, float(lost)))
        known = {"infidelity": np.mean([(a - d) ** 2 for a, d in pairs]), "zero": np.mean([d * d for _, d in pairs])}
        best = sum(a * d for a, d in pairs) / (sum(a * a for a, _ in pairs) or 1)  # 0 for an empty map
        known["scaled"] = np.mean([(best * a - d) ** 2 for a, d in pairs])
        known["unexplained"] = known["scaled"] / known["zero"]
        assert {k: float(v[i]) for k, v in result.items()} == pytest.approx(known)
    for name, value in result.items():
        torch.testing.assert_close(full[name], value)


def test_squares_are_whole_and_go_everywhere():
    x = torch.ones(500, 2, 8, 9)
    gone = squares(0.25, -1.0)(x, torch.arange(500), 0) == -1
    assert torch.equal(gone[:, 0], gone[:, 1])
    assert gone[:, 0].flatten(1).sum(1).eq(2 * 2).all()
    rows, columns = gone[:, 0].any(2).int().argmax(1), gone[:, 0].any(1).int().argmax(1)
    assert set(rows.tolist()) == set(range(7))
    assert set(columns.tolist()) == set(range(8))


@pytest.mark.parametrize("sign", [1, -1])
def test_sensitivity_n_of_a_linear_model_is_that_of_its_map(sign):
    x = torch.randn(5, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    score = SensitivityN(subsets=20, shares=(0.1, 0.5, 1.0))
    score.update(summed, x, sign * x[:, 0], torch.zeros(5, dtype=torch.int64))
    readouts = score.compute()
    assert float(readouts["sensitivity_n"]) == pytest.approx(sign)
    assert readouts["curve/correlation_curve"][:2].tolist() == pytest.approx([sign] * 2)
    assert readouts["curve/correlation_curve"][2].isnan()  # all pixels: one set alone
    other = torch.randn(5, 6, 6, generator=torch.Generator().manual_seed(1))
    chance = sensitivity_n(summed, x, other, torch.zeros(5, dtype=torch.int64))
    assert float(chance.mean()) == pytest.approx(0, abs=0.2)


def test_sensitivity_n_agrees_with_a_loop():
    rows, subsets = rows_of("random", 3), 7
    x, attribution, target, ids = rows["x"], rows["attribution"], rows["target"], rows["ids"]
    result = sensitivity_n(forward, x, attribution, target, shares=(0.1, 0.5), subsets=subsets, baseline=0.3, ids=ids)
    for i in range(3):
        for column, n in enumerate((4, 18)):
            sums, drops = [], []
            for draw in range(subsets):
                bits = random_bits(ids[i], draw=CHOICE + 5 + column * subsets + draw, count=36).tolist()
                gone = sorted(range(36), key=bits.__getitem__)[:n]
                other = x[i].clone().flatten(1)
                other[:, gone] = 0.3
                sums.append(float(attribution[i].flatten()[gone].sum()))
                drops.append(float((forward(x[i : i + 1]) - forward(other.reshape(1, 2, 6, 6)))[0, target[i]]))
            assert float(result[i, column]) == pytest.approx(stats.pearsonr(sums, drops)[0])


# All of them.

ASK = {"deletion": deletion, "road": road, "infidelity": infidelity, "sensitivity_n": sensitivity_n}


@pytest.mark.parametrize("name", ASK)
def test_a_module_is_asked_in_eval_mode_and_left_as_it_was(name):
    net = torch.nn.Sequential(
        torch.nn.BatchNorm2d(2), torch.nn.Dropout(0.5), torch.nn.Flatten(), torch.nn.Linear(72, 3)
    )
    net[1].eval()
    kept = {k: v.clone() for k, v in net.state_dict().items()}
    rows = rows_of("random")
    how = {"x": rows["x"].float(), "attribution": rows["attribution"], "target": rows["target"]}
    one, two = ASK[name](net, **how), ASK[name](net, **how)
    for key, value in one.items() if isinstance(one, dict) else [(name, one)]:
        torch.testing.assert_close(value, two[key] if isinstance(two, dict) else two, rtol=0, atol=0, equal_nan=True)
    assert [m.training for m in net] == [True, False, True, True]
    assert net.training
    assert all(torch.equal(v, kept[k]) for k, v in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("name", ASK)
def test_half_precision_and_frozen_arguments(name):
    rows = rows_of("random")
    rows = rows | {"x": rows["x"].bfloat16(), "attribution": rows["attribution"].bfloat16()}
    kept = {k: v.clone() for k, v in rows.items()}
    result = ASK[name](forward, **rows)
    same = ASK[name](forward, **rows | {"x": rows["x"].double()})
    for key, value in result.items() if isinstance(result, dict) else [(name, result)]:
        other = same[key] if isinstance(same, dict) else same
        torch.testing.assert_close(value, other, rtol=0.1, atol=0.4 if "curve" in key else 0.05, equal_nan=True)
    assert all(torch.equal(v, kept[k]) for k, v in rows.items())


@pytest.mark.parametrize("name", ASK)
def test_what_is_wrong_is_named(name):
    rows, ask = rows_of("random"), ASK[name]
    with pytest.raises(ValueError, match=r"target is \(2,\); expected \(6\)"):
        ask(forward, **rows | {"target": rows["target"][:2]})
    with pytest.raises(ValueError, match=r"target holds 3 to 3; forward\(x\) has classes 0 to 2"):
        ask(forward, **rows | {"target": torch.full((6,), 3)})
    with pytest.raises(ValueError, match=r"forward\(x\) is \("):
        ask(lambda x: forward(x)[:, 0], **rows)
    with pytest.raises(ValueError, match=r"attribution is \(6, 5, 6\); expected \(6, 6, 6\)"):
        ask(forward, **rows | {"attribution": rows["attribution"][:, 1:]})
    with pytest.raises(ValueError, match=r"ids is \(1,\)"):
        ask(forward, **rows | {"ids": rows["ids"][:1]})


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: MapDeletion(steps=0), "steps is 0"),
        (lambda: Road(percentages=(0,)), "percentages is"),
        (lambda: Road(percentages=()), "percentages is"),
        (lambda: Road(percentages=(100,)), "percentages is"),
        (lambda: Infidelity(change="blur"), "change is 'blur'"),
        (lambda: Infidelity(size=0), "size is 0"),
        (lambda: Infidelity(draws=0), "draws is 0"),
        (lambda: SensitivityN(shares=()), "shares is empty"),
        (lambda: SensitivityN(shares=(2,)), "shares is 2"),
        (lambda: SensitivityN(share=0), "share is 0"),
        (lambda: fill(torch.zeros(1, 1, 2, 2), torch.ones(1, 2, 2).bool()), r"missing\[0\] leaves no pixel"),
        (lambda: fill(torch.zeros(1, 1, 2, 2), torch.ones(1, 2).bool()), r"missing is \(1, 2\)"),
    ],
)
def test_arguments_that_mean_nothing(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_arguments_that_depart_show_in_the_id():
    assert Road(percentages=(5, 50), noise=0.1).protocol == "rong2022-v1/noise0.1/percentages5-50"
    assert MapDeletion(steps=9).protocol == "petsiuk2018-v1/steps9"
    assert Infidelity(change="noise", size=0.1).protocol == "yeh2019-infidelity-v1/changenoise/size0.1"
    assert SensitivityN(shares=(0.5,)).protocol == "ancona2018-v1/shares0.5"
    for score in (Road(), MapDeletion(), Infidelity(), SensitivityN()):
        assert "/" not in score.protocol
        assert type(pickle.loads(pickle.dumps(score))) is type(score)
