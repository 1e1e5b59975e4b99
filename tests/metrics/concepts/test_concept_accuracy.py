"""Concept accuracy against a loop over samples and concepts."""

import math

import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score

from zoo.concept_schema import Concept, ConceptSchema
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
                said = abs(s[column] - high) <= abs(s[column] - low)
                good.append((name, said == (t[column] == 1)))
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
        score.update((s - low) / (high - low), t)
    accuracy, exact = by_hand(strength, truth, low, high)
    found = score.compute()
    assert float(found["concept_accuracy"]) == pytest.approx(accuracy)
    assert float(found["exact_match"]) == pytest.approx(exact)
    assert math.isnan(found["unit/accuracy"][5])
    assert len({float(found["unit/accuracy"][c]) for c in GROUP}) == 1


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
    found = score.compute()
    said = SCHEMA.decided(strength)
    columns = [c for c in (0, 1, 3, 4)]
    known = [~truth[:, c].isnan() for c in columns]
    area = [roc_auc_score(truth[k, c], strength[k, c]) for c, k in zip(columns, known, strict=True)]
    f1 = [f1_score(truth[k, c], said[k, c]) for c, k in zip(columns, known, strict=True)]
    assert float(found["one-sided"]) == 1
    assert float(found["auroc"]) == pytest.approx(sum(area) / 4)
    assert float(found["f1"]) == pytest.approx(sum(f1) / 4)
    pairs = [
        (p, t)
        for c, k in zip(columns, known, strict=True)
        for p, t in zip(strength[k, c].tolist(), truth[k, c].tolist(), strict=True)
    ]
    assert float(found["brier"]) == pytest.approx(sum((p - t) ** 2 for p, t in pairs) / len(pairs))
    gap = 0.0
    for b in range(15):
        inside = [(p, t) for p, t in pairs if b / 15 < p <= (b + 1) / 15]
        if inside:
            mean = [sum(x) / len(inside) for x in zip(*inside, strict=True)]
            gap += len(inside) / len(pairs) * abs(mean[0] - mean[1])
    assert float(found["ece"]) == pytest.approx(gap, abs=1e-6)


def test_auroc_is_of_strengths_and_not_of_decisions():
    """A perfectly ranked concept whose strengths are all below a half scores 1; the published code says 0.5."""
    schema, truth = ConceptSchema((Concept("a"),)), torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    score = ConceptAccuracy(schema)
    score.update(torch.tensor([[0.1], [0.2], [0.3], [0.4]]), truth)
    assert float(score.compute()["auroc"]) == 1


def test_nothing_fed():
    assert int(ConceptAccuracy(SCHEMA).compute()["support"]) == 0
