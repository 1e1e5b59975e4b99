import pytest
import torch
from test_unit_correlation import additive, one, world

from zoo.metrics import InsertionDeletion, Sufficiency
from zoo.metrics.faithfulness._ablation import random_ranks

ZERO = torch.zeros(1, dtype=torch.int64)


def orders(claim, index):
    """Units of each input, largest contribution first, and in its random order, as lists."""
    best = [sorted(range(len(row)), key=lambda k, row=row: (-row[k], k)) for row in claim.tolist()]
    return best, [row.argsort().tolist() for row in random_ranks(index, claim.shape[1])]


def test_two_units_by_hand():
    """Two classes, of which the first rests on unit 0 alone: chance e^2 / (e^2 + 1) with it, one half without."""
    strength, head = torch.ones(1, 2), torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    curves = InsertionDeletion(2, ablation="zero")
    curves.update(torch.tensor([[2.0, 0.0]]), ZERO, None, ZERO, decide=lambda m, v: torch.where(m, v, strength) @ head)
    readouts, p = curves.compute(), 1 / (1 + torch.tensor(-2.0).double().exp())
    torch.testing.assert_close(readouts["curve/insertion"], torch.stack([p * 0 + 0.5, p, p]))
    torch.testing.assert_close(readouts["curve/deletion"], torch.stack([p, p * 0 + 0.5, p * 0 + 0.5]))
    assert float(readouts["insertion"]) == pytest.approx(float(0.25 * 0.5 + 0.75 * p))
    assert float(readouts["gap"]) == pytest.approx(float(0.5 * (p - 0.5)))
    assert abs(float(readouts["random gap"])) == pytest.approx(float(0.5 * (p - 0.5)))  # one of the two orders


@pytest.mark.parametrize("steps", [50, 4])
def test_curves_agree_with_a_loop_over_inputs_and_sizes(steps):
    claim, strength, decide, target, index = world()
    n, u = claim.shape
    value = strength.mean(0)
    sizes = [round(i * u / min(steps, u)) for i in range(min(steps, u) + 1)]
    names = ("deletion", "insertion", "random deletion", "random insertion")
    expected = {name: [] for name in names}
    for k in sizes:
        totals = dict.fromkeys(names, 0.0)
        for kind, order in zip(("", "random "), orders(claim, index), strict=True):
            for i in range(n):
                for name, taken in (("deletion", order[i][:k]), ("insertion", order[i][k:])):
                    totals[kind + name] += float(one(decide, n, u, i, taken, value).softmax(0)[target[i]]) / n
        for name in names:
            expected[name].append(totals[name])
    score = InsertionDeletion(u, steps=steps)
    score.update(claim, target, None, index, decide=decide, value=value)
    result = score.compute()
    for name in names:
        assert result[f"curve/{name}"].tolist() == pytest.approx(expected[name], abs=1e-12)
        y, x = expected[name], [k / u for k in sizes]
        area = sum((x[i + 1] - x[i]) * (y[i] + y[i + 1]) / 2 for i in range(len(x) - 1))
        assert float(result[name]) == pytest.approx(area, abs=1e-12)
    assert float(result["gap"]) == pytest.approx(float(result["insertion"] - result["deletion"]))
    assert score.protocol == "zoo-unit-curves-v1" + ("" if steps == 50 else "/steps4")


def test_an_order_that_says_nothing_has_no_gap():
    _, strength, decide, target, index = world(n=1000)
    claim = torch.rand(1000, 9, generator=torch.Generator().manual_seed(5))
    score = InsertionDeletion(9)
    score.update(claim, target, None, index.repeat(1)[torch.arange(1000)], decide=decide, value=strength.mean(0))
    readouts = score.compute()
    assert abs(float(readouts["gap"])) < 0.03
    assert abs(float(readouts["random gap"])) < 0.03


def test_sufficiency_by_hand():
    """Class 0 needs more than .5 of what units 0, 1, 2 add: .2, .2 and .4."""
    strength = torch.ones(1, 4)
    head = torch.tensor([[0.2, 0], [0.2, 0], [0.4, 0], [0.0, 0]])
    shift = torch.tensor([0.0, 0.5])

    def decide(mask, value):
        return torch.where(mask, value, strength) @ head + shift

    for claim, size in (([2.0, 1.0, 4.0, 0.0], 2), ([2.0, 1.0, 0.5, 3.0], 4), ([2.0, 1.0, 3.0, 4.0], 3)):
        score = Sufficiency(4, ablation="zero")
        score.update(torch.tensor([claim]), ZERO, None, ZERO, decide=decide)
        readouts = score.compute()
        assert float(readouts["units"]) == size
        assert float(readouts["share"]) == size / 4
        assert float(readouts["median"]) == size
        assert float(readouts["none"]) == 0
    score.update(torch.tensor([claim]), ZERO + 1, None, ZERO, decide=decide)  # the answer of no unit at all
    assert float(score.compute()["units"]) == 1.5
    assert float(score.compute()["none"]) == 0.5


def test_sufficiency_agrees_with_a_loop():
    claim, strength, decide, target, index = world()
    n, u = claim.shape
    value, means, sizes = strength.mean(0), [], []
    for order in orders(claim, index):
        sizes = []
        for i in range(n):
            answers = [int(one(decide, n, u, i, order[i][k:], value).argmax()) for k in range(u + 1)]
            sizes.append(answers.index(int(target[i])))
        means.append(sum(sizes) / n)
    score = Sufficiency(u)
    score.update(claim, target, None, index, decide=decide, value=value)
    readouts = score.compute()
    assert float(readouts["units"]) == pytest.approx(means[0])
    assert float(readouts["random"]) == pytest.approx(means[1])


def test_many_units_are_tried_at_growing_numbers():
    score = Sufficiency(2000)
    sizes = score.sizes.tolist()
    assert sizes[:17] == list(range(17))
    assert sizes[-1] == 2000
    assert len(sizes) <= 50
    assert max(b / a for a, b in zip(sizes[16:], sizes[17:], strict=False)) < 1.2
    weight = torch.zeros(2000)
    weight[:100] = 1.0
    decide = additive(torch.ones(1, 2000), weight)
    score = Sufficiency(2000, ablation="zero")
    score.update(
        weight[None],
        ZERO,
        None,
        ZERO,
        decide=lambda m, v: torch.cat([decide(m, v), torch.full((*m.shape[:-1], 1), 99.5)], -1),
    )
    readouts = float(score.compute()["units"])
    assert 100 <= readouts <= 120


@pytest.mark.parametrize(
    ("cls", "how"),
    [(InsertionDeletion, {"steps": 0}), (Sufficiency, {"steps": 5}), (InsertionDeletion, {"ablation": "mad"})],
)
def test_refuses_what_means_nothing(cls, how):
    with pytest.raises(ValueError, match="expected"):
        cls(4, **how)


def test_no_strengths_of_absent_units_are_made_up():
    with pytest.raises(ValueError, match="call fit on the training split"):
        InsertionDeletion(3).update(
            torch.ones(1, 3), ZERO, None, ZERO, decide=additive(torch.ones(1, 3), torch.ones(3))
        )
