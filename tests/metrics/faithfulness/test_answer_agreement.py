import itertools

import pytest
import torch

from zoo.metrics import AnswerAgreement, Redundancy


def test_pairs_by_hand():
    """Three inputs show {0, 1} and are answered 0, 0, 1; two show {2} and are answered alike; one is alone."""
    contribution = torch.tensor(
        [[3.0, 1, 0, 0], [-1.0, 2, 0, 0], [9.0, 9, 0, 0], [0, 0, 1.0, 0], [0, 0, -5.0, 0], [0, 0, 0, 1.0]]
    )
    score = AnswerAgreement(4)
    score.update(contribution, torch.tensor([0, 0, 1, 2, 2, 0]))
    readouts = score.compute()
    assert float(readouts["same"]) == pytest.approx((0.5 + 0.5 + 0 + 1 + 1) / 5)
    assert float(readouts["covered"]) == pytest.approx(5 / 6)
    assert int(readouts["sets"]) == 3
    assert float(readouts["chance"]) == pytest.approx((3 * 2 + 2 * 1) / 30)  # three answered 0, two 2, one 1


def test_only_the_units_shown_are_compared_and_ties_go_to_the_lower_id():
    contribution = torch.tensor([[1.0, 1, 1, 0.5], [2.0, 2, 0.1, 0.05]])
    answer = torch.tensor([0, 0])
    two, three = AnswerAgreement(4, shown=2), AnswerAgreement(4, shown=4)
    two.update(contribution, answer)
    three.update(contribution * torch.tensor([[1.0], [0.0]]), answer)
    assert float(two.compute()["same"]) == 1
    assert two.protocol == "zoo-same-answer-v1/shown2"
    assert bool(three.compute()["same"].isnan())  # no two alike
    assert int(three.compute()["sets"]) == 2


def test_same_answers_agree_with_a_loop():
    g = torch.Generator().manual_seed(0)
    contribution = torch.randn(60, 6, generator=g).round()
    answer = torch.randint(0, 3, (60,), generator=g)
    sets = []
    for row in contribution.tolist():
        best = sorted(range(6), key=lambda k, row=row: (-abs(row[k]), k))[:3]
        sets.append(frozenset(k for k in best if row[k] != 0))
    shares, chances = [], []
    for i in range(60):
        for of, readouts in ((sets, shares), ([0] * 60, chances)):
            others = [j for j in range(60) if j != i and of[j] == of[i]]
            if others:
                readouts.append(sum(int(answer[j] == answer[i]) for j in others) / len(others))
    score = AnswerAgreement(6)
    score.update(contribution, answer)
    readouts = score.compute()
    assert float(readouts["same"]) == pytest.approx(sum(shares) / len(shares))
    assert float(readouts["chance"]) == pytest.approx(sum(chances) / 60)
    assert float(readouts["covered"]) == pytest.approx(len(shares) / 60)
    assert int(readouts["sets"]) == len(set(sets))


def test_duplicates_by_hand():
    g = torch.Generator().manual_seed(0)
    base = torch.randn(50, 3, generator=g)
    columns = [base[:, 0], base[:, 1], base[:, 0], 2 * base[:, 1] + 1, torch.zeros(50), torch.zeros(50), base[:, 2]]
    score = Redundancy(7)
    score.update(torch.stack(columns, 1))
    readouts = score.compute()
    assert readouts["unit/repeats"].tolist() == [-1, -1, 0, 1, -1, -1, -1]
    assert float(readouts["duplicate"]) == pytest.approx(2 / 7)
    assert float(readouts["equal"]) == pytest.approx(1 / 7)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_what_is_equal_does_not_hang_on_the_scale_of_the_logits(scale):
    g = torch.Generator().manual_seed(0)
    one = torch.rand(40, generator=g).double() * 0 + 1  # constant: correlates with nothing
    score = Redundancy(3)
    score.update(scale * torch.stack([one, one * (1 + 1e-7), one * 1.1], 1))
    assert score.compute()["unit/repeats"].tolist() == [-1, 0, -1]


def test_few_inputs_are_no_correlation():
    contribution = torch.zeros(30, 2)
    contribution[:5] = torch.randn(5, 1) * torch.tensor([1.0, 2.0])
    for support, repeats in ((10, -1), (5, 0)):
        score = Redundancy(2, support=support)
        score.update(contribution)
        assert int(score.compute()["unit/repeats"][1]) == repeats


def test_duplicates_agree_with_a_loop():
    g = torch.Generator().manual_seed(2)
    base = torch.randn(80, 4, generator=g, dtype=torch.float64)
    noise = torch.randn(80, 12, generator=g, dtype=torch.float64)
    contribution = base[:, torch.arange(12) % 4] * torch.linspace(1, 2, 12) + noise * torch.tensor(
        [0, 1e-9, 0.02, 0.3] * 3
    )
    expected = [-1] * 12
    for one, two in itertools.combinations(range(12), 2):
        a, b = contribution[:, one], contribution[:, two]
        near = float((a - b).norm()) <= 1e-6 * float((a.square().sum() + b.square().sum()).sqrt())
        if expected[two] < 0 and (near or float(torch.corrcoef(torch.stack([a, b]))[0, 1]) > 0.999):
            expected[two] = one
    score = Redundancy(12)
    for rows in contribution.split(7):
        score.update(rows)
    assert score.compute()["unit/repeats"].tolist() == expected
    assert 0 < sum(e >= 0 for e in expected) < 12


def test_too_many_units_are_not_compared():
    score = Redundancy(9000)
    score.update(torch.zeros(1, 9000))
    assert int(score.compute()["support"]) == 0
    assert bool(score.compute()["duplicate"].isnan())
    assert score.why == "more than 4096 units"


@pytest.mark.parametrize("how", [{"correlation": 2}, {"support": 0}])
def test_refuses_what_means_nothing(how):
    with pytest.raises(ValueError, match="expected"):
        Redundancy(3, **how)
    with pytest.raises(ValueError, match="shown"):
        AnswerAgreement(3, shown=0)


def test_refuses_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="contribution"):
        Redundancy(3).update(torch.zeros(2, 4))
    with pytest.raises(ValueError, match="answer"):
        AnswerAgreement(3).update(torch.zeros(2, 3), torch.zeros(3))
