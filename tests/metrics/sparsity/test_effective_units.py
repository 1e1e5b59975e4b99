import math

import pytest
import torch

from zoo.metrics import DeadUnits, EffectiveUnits, Redundancy


def test_gini_and_entropy_by_hand():
    score = EffectiveUnits(4)
    score.update(torch.tensor([[1.0, -1, 1, -1], [0.0, 0, 5, 0]]))
    readouts = score.compute()
    assert float(readouts["gini"]) == pytest.approx((0 + 3 / 4) / 2)  # all alike, and one alone of four
    assert float(readouts["entropy"]) == pytest.approx(math.log(4) / 2)
    assert float(readouts["effective_units"]) == pytest.approx((4 + 1) / 2)
    assert float(readouts["dead"]) == 0
    assert readouts["unit/used"].tolist() == [1, 1, 2, 1]
    assert readouts["unit/mass"].tolist() == pytest.approx([1 / 8, 1 / 8, 5 / 8, 1 / 8])


def test_read_outs_agree_with_a_loop_from_the_formulas():
    g = torch.Generator().manual_seed(0)
    rows = torch.randn(40, 9, generator=g, dtype=torch.float64) * (torch.rand(40, 9, generator=g) > 0.4)
    rows[:, 4], rows[7] = 0, 0
    gini, entropy = [], []
    for row in rows.abs().tolist():
        if not (total := sum(row)):
            continue
        pairs = sum(abs(a - b) for a in row for b in row)
        gini.append(pairs / (2 * len(row) * total))
        entropy.append(-sum(x / total * math.log(x / total) for x in row if x))
    score = EffectiveUnits(9)
    for chunk in rows.split(7):
        score.update(chunk)
    readouts = score.compute()
    assert float(readouts["gini"]) == pytest.approx(sum(gini) / len(gini))
    assert float(readouts["entropy"]) == pytest.approx(sum(entropy) / len(entropy))
    assert float(readouts["dead"]) == pytest.approx(1 / 9)
    assert score.protocol == "zoo-size-v1"


@pytest.mark.parametrize("scale", [1e80, 1.0, 1e-30, 1e-130, 1e-200])
def test_redundancy_of_tiny_contributions(scale):
    """Two units alike, two unlike, at any scale; their plain squares would vanish below 1e-162."""
    g = torch.Generator().manual_seed(0)
    contribution = torch.randn(50, 4, generator=g, dtype=torch.float64)
    contribution[:, 3] = contribution[:, 1]
    score = Redundancy(4)
    score.update(contribution * scale)
    values = score.compute()
    assert values["unit/repeats"].tolist() == [-1, -1, -1, 1]
    assert float(values["duplicate"]) == 0.25
    assert score.protocol == "zoo-duplicates-v2"


def test_shares_are_no_activity():
    with pytest.raises(ValueError, match="dead_units.fired of input 1 holds 0.3; expected booleans, or 0 and 1"):
        DeadUnits(2).update(torch.tensor([[0.0, 1.0], [0.3, 1.0]]))
