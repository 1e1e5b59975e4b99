import pytest
import torch
from worlds import Toy, batch, take

from zoo.batch import Batch
from zoo.metrics import BootstrapInterval, Purity, Suite
from zoo.metrics.parts._patches import holds, one_sided, patch
from zoo.metrics.perturbations.noise import random_bits

NAMES = ["left eye", "right eye", "tail", "left wing", "right wing"]
ALL = torch.ones(3, 1).bool()


def test_patches_as_pip_net_places_them():
    assert patch(torch.arange(7), 7).tolist() == [0, 32, 64, 96, 128, 160, 192]
    assert patch(torch.arange(28), 28).tolist() == [min(7 * i, 192) for i in range(27)] + [192]
    result = patch(torch.arange(26), 26).tolist()  # ConvNeXt: half a patch at either end
    assert result == [0, 4, *(4 + 8 * i for i in range(1, 24)), 192]
    assert patch(torch.arange(1), 1).tolist() == [96]


def test_both_edges_of_a_patch_are_inside():
    points = torch.tensor([[[32.0, 64], [64, 96], [31.9, 70], [64.1, 70], [40, 96.5]]]).double()
    result = holds(torch.tensor([[2 * 7 + 1]]), points, torch.ones(1, 5).bool(), grid=(7, 7), size=(224, 224))
    assert result[0, 0].tolist() == [True, True, False, False, False]
    half = holds(torch.tensor([[2 * 7 + 1]]), points / 2, torch.ones(1, 5).bool(), grid=(7, 7), size=(112, 112))
    assert torch.equal(result, half)
    assert not holds(torch.tensor([[15]]), points, torch.zeros(1, 5).bool(), grid=(7, 7), size=(224, 224)).any()


def test_left_and_right_are_one_part():
    assert one_sided(NAMES).tolist() == [0, 0, 1, 2, 2]
    assert one_sided(["top", "left", "right", "bright"]).tolist() == [0, 1, 2, 3]


def feed(score, strength, cells, points, visible, index, used=None):
    n, u = strength.shape
    score.update(
        strength, torch.arange(u).expand(n, u), cells, points, visible, index, grid=(7, 7), size=(224, 224), used=used
    )
    return score


def test_one_unit_by_hand():
    """Its three strongest of four images: the first part in both that show it, the second in one of three."""
    score = Purity(1, 2, top=3)
    on, off = [40.0, 70], [200.0, 200]
    points = torch.tensor([[on, on], [on, off], [off, off], [off, on]]).double()
    visible = torch.tensor([[True, True], [True, True], [False, True], [True, True]])
    feed(score, torch.tensor([[4.0], [3], [2], [1]]), torch.full((4, 1), 15), points, visible, torch.arange(4))
    readouts = score.compute()
    assert float(readouts["purity"]) == 1
    assert int(readouts["unit/part"]) == 0
    assert int(readouts["unit/support"]) == 2
    assert score.protocol == "pipnet2023-purity/top3/sides"


def test_interval_over_units():
    """Two used units of purity 1 and 0.5 and one that is never used: mean 0.75, Var / K = 0.0625, one degree."""
    score = BootstrapInterval(Purity(3, 1, top=2))
    points = torch.tensor([[[40.0, 70]], [[200.0, 200]]]).double()
    cells = torch.tensor([[15, 15, 15], [48, 15, 15]])
    used = torch.tensor([[True, True, False]] * 2)
    strength, visible = torch.ones(2, 3), torch.ones(2, 1).bool()
    score.update(
        strength,
        torch.arange(3).expand(2, 3),
        cells,
        points,
        visible,
        torch.arange(2),
        grid=(7, 7),
        size=(224, 224),
        used=used,
        sample_ids=torch.arange(2),
    )
    readouts = score.compute()
    assert float(readouts["purity"]) == 0.75
    assert readouts["unit/used_purity"].isnan().tolist() == [False, False, True]
    assert score.estimates["purity"].units == pytest.approx(0.0625)
    assert float(readouts["purity low"]) < 0.75 < float(readouts["purity high"]) <= 1


def test_of_equal_rates_the_part_with_more_hits_counts():
    score = Purity(1, 2, top=2)
    on = torch.tensor([[40.0, 70]]).double().expand(2, 2, 2)
    visible = torch.tensor([[False, True], [True, True]])
    feed(score, torch.ones(2, 1), torch.full((2, 1), 15), on, visible, torch.arange(2))
    assert int(score.compute()["unit/part"]) == 1
    assert int(score.compute()["unit/support"]) == 2


def world(n=30, u=6, seed=0):
    g = torch.Generator().manual_seed(seed)
    strength = torch.randint(0, 8, (n, u), generator=g).float()  # many ties
    cells = torch.randint(0, 49, (n, u), generator=g)
    points = torch.rand(n, 5, 2, generator=g, dtype=torch.float64) * 224
    return strength, cells, points, torch.rand(n, 5, generator=g) > 0.3, torch.randperm(100, generator=g)[:n]


def oracle(strength, cells, points, visible, index, used, top):
    """Purity of each unit, image by image, as the text of the definition has it."""
    group, out = one_sided(NAMES).tolist(), []
    for k in range(strength.shape[1]):
        best = sorted(range(len(strength)), key=lambda i, k=k: (-float(strength[i, k]), int(index[i])))[:top]
        rates = []
        for part in range(max(group) + 1):
            present = []
            for i in best:
                sides = [p for p in range(5) if group[p] == part and visible[i, p]]
                y, x = 32 * (int(cells[i, k]) // 7), 32 * (int(cells[i, k]) % 7)
                inside = [x <= points[i, p, 0] <= x + 32 and y <= points[i, p, 1] <= y + 32 for p in sides]
                present += [any(inside)] if sides else []
            rates.append(sum(present) / len(present) if present else 0)
        out.append(max(rates))
    kept = [p for p, on in zip(out, used.any(0).tolist(), strict=True) if on]
    return out, sum(kept) / len(kept)


@pytest.mark.parametrize("size", [1, 7, 30])
def test_agrees_with_a_loop_under_any_batching(size):
    arguments = world()
    used = torch.rand(30, 6, generator=torch.Generator().manual_seed(3)) > 0.5
    used[:, 2] = False
    expected, mean = oracle(*arguments, used, 5)
    score = Purity(6, 5, part_names=NAMES, top=5)
    for rows in torch.randperm(30, generator=torch.Generator().manual_seed(size)).split(size):
        feed(score, *(t[rows] for t in arguments), used[rows])
    readouts = score.compute()
    assert readouts["unit/purity"].tolist() == pytest.approx(expected)
    assert float(readouts["purity"]) == pytest.approx(mean)
    assert float(readouts["unused"]) == pytest.approx(1 / 6)
    assert score.protocol == "pipnet2023-purity/top5"
    strength, _, points, visible, index = arguments
    random = (random_bits(index, draw=0, count=6) & 0x7FFFFFFFFFFFFFFF) % 49
    chance, _ = oracle(strength, random, points, visible, index, used, 5)
    assert float(readouts["random"]) == pytest.approx(sum(c for k, c in enumerate(chance) if k != 2) / 5)


@pytest.mark.parametrize("size", [1, 5, 13])
def test_a_suite_asks_for_the_maps_of_the_strongest_only_and_finds_the_same(size):
    model, samples = Toy().eval(), batch(b=13)
    with torch.no_grad():
        explanation = model.explain(samples.x, target=samples.y, shown=torch.arange(6).expand(13, 6))
    grid, whole = tuple(explanation.where.shape[-2:]), Purity(6, 5, top=3)
    whole.update(
        explanation.strength,
        explanation.shown,
        explanation.where.flatten(2).argmax(2),
        samples.points,
        samples.visible,
        samples.index,
        grid=grid,
        size=(32, 32),
        used=explanation.contribution != 0,
    )
    suite = Suite([{"score": "purity", "top": 3}], model.units, list("abcde"))
    for rows in torch.randperm(13, generator=torch.Generator().manual_seed(size)).split(size):
        suite.update(model, take(samples, rows))
    result = suite.compute()["purity"]
    assert result.value == pytest.approx(float(whole.compute()["purity"]))
    assert torch.equal(result.per_unit["purity"], whole.compute()["unit/purity"])
    assert result.support == 13


def test_without_parts_or_places_there_is_no_purity():
    suite = Suite([{"score": "purity"}], Toy().units)
    bare = batch()
    suite.update(Toy(), Batch(bare.x, bare.y, bare.index))
    assert suite.compute()["purity"].note[:4] == "n/a:"
    assert suite.compute()["purity"].note == "n/a: the data have no part annotations"
    suite = Suite([{"score": "purity"}], Toy(place=False).units, list("abcde"))
    suite.update(Toy(place=False), batch())
    assert suite.compute()["purity"].note == "n/a: the units have no place in an image"


def test_refuses_what_means_nothing():
    with pytest.raises(ValueError, match="part_names has 3 names; expected 2"):
        Purity(2, 2, part_names=["a", "b", "c"])
    with pytest.raises(ValueError, match="top"):
        Purity(2, 2, top=0)
    with pytest.raises(ValueError, match="visible"):
        feed(Purity(1, 2), torch.ones(3, 1), torch.zeros(3, 1).long(), torch.zeros(3, 2, 2), ALL, torch.arange(3))
