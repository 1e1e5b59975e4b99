import math

import pytest
import torch

from zoo.metrics import EffectiveUnits


def test_gini_and_entropy_by_hand():
    score = EffectiveUnits(4)
    score.update(torch.tensor([[1.0, -1, 1, -1], [0.0, 0, 5, 0]]))
    found = score.compute()
    assert float(found["gini"]) == pytest.approx((0 + 3 / 4) / 2)  # all alike, and one alone of four
    assert float(found["entropy"]) == pytest.approx(math.log(4) / 2)
    assert float(found["effective_units"]) == pytest.approx((4 + 1) / 2)
    assert float(found["dead"]) == 0
    assert found["unit/used"].tolist() == [1, 1, 2, 1]
    assert found["unit/mass"].tolist() == pytest.approx([1 / 8, 1 / 8, 5 / 8, 1 / 8])


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
    for some in rows.split(7):
        score.update(some)
    found = score.compute()
    assert float(found["gini"]) == pytest.approx(sum(gini) / len(gini))
    assert float(found["entropy"]) == pytest.approx(sum(entropy) / len(entropy))
    assert float(found["dead"]) == pytest.approx(1 / 9)
    assert score.protocol == "zoo-size-v1"
