import pytest
import torch
from test_unit_correlation import one, world

from zoo.metrics import InherentInterpretability

ZERO = torch.zeros(1, dtype=torch.int64)


def test_four_units_by_hand():
    """Ten inputs of one unit each; the ranks say when it is dropped: at .5 half the answers are lost."""
    strength = torch.eye(4)[[0, 1, 2, 3]]
    y = torch.zeros(4, dtype=torch.int64)

    def decide(mask, value):  # class 0 as long as an input's own unit is there
        left = torch.where(mask, value, strength).sum(-1)
        return torch.stack([left, torch.full_like(left, 0.5)], -1)

    claim = torch.tensor([[4.0, 3, 2, 1]]).repeat(4, 1)  # the same order for all: unit 3 goes first
    score = InherentInterpretability(4, ablation="zero", ratios=[0.0, 0.25, 0.5, 1.0])
    score.update(claim, y, y, decide=decide)
    readouts = score.compute()
    assert readouts["curve/retained"].tolist() == [1, 0.75, 0.5, 0]
    raw = 0.25 * 0.875 + 0.25 * 0.625 + 0.5 * 0.25
    assert float(readouts["raw"]) == pytest.approx(raw)
    assert float(readouts["iis"]) == pytest.approx(raw)  # the range is 1
    assert float(readouts["accuracy"]) == 1
    assert float(readouts["none"]) == 0
    half = InherentInterpretability(4, ablation="zero", ratios=[0.0, 0.5])
    half.update(claim, y, y, decide=decide)
    assert float(half.compute()["raw"]) == pytest.approx(0.375)
    assert float(half.compute()["iis"]) == pytest.approx(0.75)
    assert half.protocol == "zoo-retention-v1/ablationzero/ratios0-0.5"


def test_what_counts_is_being_right_not_staying_the_same():
    """The answer is wrong with all units and right without them: more is retained than there was."""
    strength = torch.ones(2, 1)

    def decide(mask, value):
        left = torch.where(mask, value, strength).sum(-1)
        return torch.stack([left, torch.full_like(left, 0.5)], -1)

    score = InherentInterpretability(1, ablation="zero", ratios=[0.0, 1.0])
    score.update(torch.ones(2, 1), torch.zeros(2).long(), torch.tensor([0, 1]), decide=decide)
    readouts = score.compute()
    assert float(readouts["accuracy"]) == 0.5
    assert readouts["curve/retained"].tolist() == [1, 1]
    assert float(readouts["none"]) == 1


def test_agrees_with_a_loop():
    claim, strength, decide, target, _ = world()
    n, u = claim.shape
    y = torch.where(torch.arange(n) % 4 == 0, (target + 1) % 4, target)
    value, retained = strength.mean(0), []
    full = float((target == y).double().mean())
    for ratio in [i / 10 for i in range(10)]:
        kept, right = -(-round((10 - 10 * ratio) * u) // 10), 0
        for i in range(n):
            order = sorted(range(u), key=lambda k, i=i: (-float(claim[i, k]), k))
            right += int(one(decide, n, u, i, order[kept:], value).argmax()) == int(y[i])
        retained.append(right / n / full)
    score = InherentInterpretability(u)
    score.update(claim, target, y, decide=decide, value=value)
    readouts = score.compute()
    assert readouts["curve/retained"].tolist() == pytest.approx(retained)
    area = sum(0.1 * (a + b) / 2 for a, b in zip(retained, retained[1:], strict=False))
    assert float(readouts["raw"]) == pytest.approx(area)
    assert float(readouts["iis"]) == pytest.approx(area / 0.9)
    assert score.protocol == "zoo-retention-v1"


@pytest.mark.parametrize("ratios", [[0.5], [0.5, 0.2], [0.1, 0.1], [0.0, 1.5], [-0.1, 0.5]])
def test_refuses_ratios_that_mean_nothing(ratios):
    with pytest.raises(ValueError, match="ratios"):
        InherentInterpretability(4, ratios=ratios)


def test_refuses_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"y is \(2,\)"):
        InherentInterpretability(4, ablation="zero").update(
            torch.ones(1, 4), ZERO, torch.zeros(2).long(), decide=lambda m, v: v
        )
