"""Concept accuracy against a loop over samples and concepts."""

import math

import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score

from zoo.concept_schema import Concept, ConceptSchema
from zoo.metrics.concepts._probability_quality import probability_quality
from zoo.metrics.concepts.concept_accuracy import ConceptAccuracy

SCHEMA = ConceptSchema(
    (
        Concept("a"),
        Concept("w: x", "categorical", "w"),
        Concept("b"),
        Concept("w: y", "categorical", "w"),
        Concept("w: z", "categorical", "w"),
        Concept("size", "continuous"),
    )
)
GROUP = [1, 3, 4]


def world(n=60):
    g = torch.Generator().manual_seed(0)
    truth = (torch.rand(n, 6, generator=g) < 0.4).double()
    truth[:, GROUP] = torch.eye(3, dtype=torch.double)[torch.randint(3, (n,), generator=g)]
    truth[torch.rand(n, generator=g) < 0.2, 0] = torch.nan
    truth[(torch.rand(n, generator=g) < 0.2).nonzero(), GROUP] = torch.nan
    return torch.rand(n, 6, generator=g, dtype=torch.double), truth


def by_hand(strength, truth, low, high):
    n, right, known, exact = len(truth), {"a": 0, "b": 0, "w": 0}, {"a": 0, "b": 0, "w": 0}, 0
    for s, t in zip(strength.tolist(), truth.tolist(), strict=True):
        good = []
        for name, column in (("a", 0), ("b", 2)):
            if not math.isnan(t[column]):
                predicted = abs(s[column] - high) <= abs(s[column] - low)
                good.append((name, predicted == (t[column] == 1)))
        if not math.isnan(t[1]):
            best = max(GROUP, key=lambda c: s[c])
            good.append(("w", t[best] == 1))
        for name, ok in good:
            right[name] += ok
            known[name] += 1
        exact += all(ok for _, ok in good)
    return sum(right[k] / known[k] for k in right) / 3, exact / n


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.3, 0.5)])
@pytest.mark.parametrize("size", [1, 7, 60])
def test_equals_the_loop(low, high, size):
    strength, truth = world()
    score = ConceptAccuracy(SCHEMA)
    for s, t in zip(strength.split(size), truth.split(size), strict=True):
        score.update(((s - low) / (high - low)).clamp(0, 1), t)
    accuracy, exact = by_hand(strength.clamp(low, high), truth, low, high)
    readouts = score.compute()
    assert float(readouts["concept_accuracy"]) == pytest.approx(accuracy)
    assert float(readouts["exact_match"]) == pytest.approx(exact)
    assert math.isnan(readouts["unit/accuracy"][5])
    assert len({float(readouts["unit/accuracy"][c]) for c in GROUP}) == 1


def test_majority_by_hand():
    nan = torch.nan
    truth = torch.tensor([[1, 1, 0, 0, 0, 9.0], [1, 1, 0, 0, 0, 9], [0, 0, 0, 1, 0, 9], [nan, nan, 1, nan, nan, 9]])
    score = ConceptAccuracy(SCHEMA)
    score.update(torch.rand(4, 6), truth)
    assert float(score.compute()["majority"]) == pytest.approx((2 / 3 + 3 / 4 + 2 / 3) / 3)


def test_a_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"predicted is \(4, 5\); expected \(any, 6\)"):
        ConceptAccuracy(SCHEMA).update(torch.rand(4, 5), torch.rand(4, 5))


def test_quality_equals_scikit_learn_and_formulas():
    strength, truth = world()
    truth[:, 2] = 1.0  # never false: it cannot be ranked
    score = ConceptAccuracy(SCHEMA)
    for s, t in zip(strength.split(7), truth.split(7), strict=True):
        score.update(s, t)
    readouts = score.compute()
    decided = SCHEMA.decided(strength)
    columns = [c for c in (0, 1, 3, 4)]
    known = [~truth[:, c].isnan() for c in columns]
    area = [roc_auc_score(truth[k, c], strength[k, c]) for c, k in zip(columns, known, strict=True)]
    f1 = [f1_score(truth[k, c], decided[k, c]) for c, k in zip(columns, known, strict=True)]
    assert float(readouts["one-sided"]) == 1
    assert float(readouts["auroc"]) == pytest.approx(sum(area) / 4)
    assert float(readouts["f1"]) == pytest.approx(sum(f1) / 4)
    pairs = [
        (p, t)
        for c, k in zip(columns, known, strict=True)
        for p, t in zip(strength[k, c].tolist(), truth[k, c].tolist(), strict=True)
    ]
    assert float(readouts["brier"]) == pytest.approx(sum((p - t) ** 2 for p, t in pairs) / len(pairs))
    gap = 0.0
    for b in range(15):
        inside = [(p, t) for p, t in pairs if b / 15 < p <= (b + 1) / 15]
        if inside:
            mean = [sum(x) / len(inside) for x in zip(*inside, strict=True)]
            gap += len(inside) / len(pairs) * abs(mean[0] - mean[1])
    assert float(readouts["ece"]) == pytest.approx(gap, abs=1e-6)


def test_auroc_is_of_strengths_and_not_of_decisions():
    """A perfectly ranked concept whose strengths are all below a half scores 1; the published code says 0.5."""
    schema, truth = ConceptSchema((Concept("a"),)), torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    score = ConceptAccuracy(schema)
    score.update(torch.tensor([[0.1], [0.2], [0.3], [0.4]]), truth)
    assert float(score.compute()["auroc"]) == 1


def test_a_tie_decides_one_value():
    """Of three equally likely values the first is predicted, as by argmax; the published code predicts all."""
    schema = ConceptSchema(tuple(Concept(f"w: {v}", "categorical", "w") for v in "xyz"))
    assert schema.decided(torch.tensor([[0.3, 0.3, 0.3], [0.1, 0.4, 0.4]])).tolist() == [[1, 0, 0], [0, 1, 0]]
    score = ConceptAccuracy(schema)
    score.update(torch.full((3, 3), 1 / 3), torch.eye(3))
    assert float(score.compute()["concept_accuracy"]) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("predicted", "truth", "words"),
    [
        (3.0, 1.0, "concept_accuracy.predicted of input 1 holds 3; expected 0 to 1; are these logits"),
        (math.nan, 1.0, "concept_accuracy.predicted of input 1 holds nan"),
        (0.5, 2.0, "concept_accuracy.truth of input 1 holds 2; expected 0 to 1, or NaN where unknown"),
    ],
)
def test_numbers_out_of_range_are_named(predicted, truth, words):
    strengths, labels = world(3)
    strengths[1, 0], labels[1, 0] = predicted, truth
    with pytest.raises(ValueError, match=words):
        ConceptAccuracy(SCHEMA).update(strengths, labels)


def test_concepts_that_are_guessed_are_named():
    """One concept is read perfectly, the other at random: that one is the worst, and no better than guessing."""
    g = torch.Generator().manual_seed(0)
    truth = (torch.rand(200, 2, generator=g) < 0.5).double()
    predicted = torch.stack([truth[:, 0] * 0.8 + 0.1, torch.rand(200, generator=g, dtype=torch.double)], 1)
    score = ConceptAccuracy(ConceptSchema((Concept("wing"), Concept("tail"))))
    score.update(predicted, truth)
    values = {name: float(value) for name, value in score.compute().items() if value.ndim == 0}
    remark = score.remark(values.pop("concept_accuracy"), values)
    assert remark == f"least accurate: tail ({values['worst']:.2f}); no better than guessing: tail"
    score.reset()
    score.update(truth, truth)
    assert score.remark(1.0, {name: float(value) for name, value in score.compute().items() if value.ndim == 0}) == ""


def test_nothing_fed():
    assert int(ConceptAccuracy(SCHEMA).compute()["support"]) == 0


def test_a_probability_above_1_by_rounding_is_no_logit():
    g = torch.Generator().manual_seed(0)
    share = torch.rand(200, 3, generator=g).double()
    target = (torch.rand(200, 3, generator=g) < share).long()
    share[5, 1] = 1.0
    exact = probability_quality(share, share > 0.5, target)
    share[5, 1] = 1 + 1e-7
    for name, value in probability_quality(share, share > 0.5, target).items():
        assert float(value) == pytest.approx(float(exact[name]), abs=1e-12), name
