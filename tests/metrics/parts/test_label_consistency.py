"""Firing on labels: by hand, against a loop, and through a suite."""

from dataclasses import replace

import pytest
import torch
from worlds import Toy, batch, take

from zoo.concept_schema import Concept, ConceptSchema
from zoo.metrics import Suite
from zoo.metrics.base import Record
from zoo.metrics.parts.label_consistency import LabelConsistency

TWO = ConceptSchema((Concept("a"), Concept("b")))
MIXED = ConceptSchema((Concept("a"), Concept("size", "continuous")))


def test_by_hand():
    """Unit 0 active on a alone, 4 of 5 times; unit 1 on everything; unit 2 never; b is unknown once."""
    nan = torch.nan
    labels = torch.tensor([[1, 0], [1, 1], [1, nan], [1, 0], [0, 1], [0, 1], [0, 0], [0, 0]])
    active = torch.zeros(8, 3).bool()
    active[:5, 0], active[:, 1] = True, True
    score = LabelConsistency(3, TWO)
    score.update(active, labels)
    readouts = score.compute()
    assert float(readouts["consistency"]) == pytest.approx(100 / 3)
    assert readouts["unit/rate"].tolist() == [0.8, 0.5, 0]
    assert readouts["unit/part"].tolist() == [0, 0, -1]
    assert readouts["unit/claims"].tolist() == [5, 8, 0]
    assert readouts["unit/support"].tolist() == [5, 8, 0]
    assert float(readouts["iou"]) == pytest.approx((4 / 5 + 4 / 8) / 2)
    assert float(readouts["f1"]) == pytest.approx((8 / 9 + 8 / 12) / 2)
    assert float(readouts["recall"]) == 1
    assert float(readouts["precision"]) == pytest.approx((0.8 + 0.5) / 2)
    assert (int(readouts["dead"]), int(readouts["unevaluable"]), int(readouts["detectors"])) == (1, 1, 2)
    assert "aligned" not in readouts


def test_equals_a_loop():
    g = torch.Generator().manual_seed(0)
    b, u, m = 40, 5, 3
    active, labels = torch.rand(b, u, generator=g) > 0.5, (torch.rand(b, m, generator=g) > 0.4).float()
    labels[torch.rand(b, m, generator=g) > 0.8] = torch.nan
    schema = ConceptSchema(tuple(Concept(f"c{i}") for i in range(m)))
    score = LabelConsistency(u, schema)
    for rows in torch.arange(b).split(7):
        score.update(active[rows], labels[rows])
    best, f1 = [], torch.zeros(u, m)
    for k in range(u):
        rates = []
        for p in range(m):
            known = [i for i in range(b) if not labels[i, p].isnan()]
            claims = [i for i in known if active[i, k]]
            times_true = sum(int(labels[i, p]) for i in claims)
            rates.append(times_true / len(claims))
            f1[k, p] = 2 * times_true / (len(claims) + sum(int(labels[i, p]) for i in known))
        best.append(max(rates))
    readouts = score.compute()
    assert readouts["unit/rate"].tolist() == pytest.approx(best)
    assert float(readouts["coverage"]) == pytest.approx(float(f1.amax(0).mean()))


def record_of(**more):
    model, samples = Toy().eval(), replace(batch(6), concepts=torch.tensor([[1.0, 3.2], [0, 0.1]]).repeat(3, 1))
    explanation = model.explain(samples.x, target=samples.y)
    return Record(samples, explanation, explanation.shown >= 0, **more)


def test_gates():
    one = record_of()
    contribution = one.explanation.contribution
    assert torch.equal(LabelConsistency(6, TWO).active(one), contribution > 0)
    share = contribution.abs() / contribution.abs().sum(1, keepdim=True)
    assert torch.equal(LabelConsistency(6, TWO, gate="share").active(one), share >= 0.1)
    assert LabelConsistency(6, TWO, gate="share").protocol == "zoo-labels-v1/share"
    chance = torch.tensor([[0.5, 0.9], [0.4, 1]]).repeat(3, 1)
    units = replace(one.explanation.units, names=["a", "size"], owner=None)
    empty = replace(one.explanation, units=units, contribution=chance, strength=chance)
    concepts = replace(one, explanation=empty, predicted=chance, ends=(chance, chance))
    score = LabelConsistency(2, MIXED)
    assert score.active(concepts).tolist() == [[True, False], [False, False]] * 3
    assert score.labels(concepts)[:, 1].isnan().all()
    score.update_from(concepts)
    readouts = score.compute()
    assert float(readouts["aligned"]) == 50
    assert readouts["unit/rate"].tolist() == [1, 0]


def test_a_suite_feeds_it_and_says_where_it_does_not_apply():
    samples = batch(40)
    scores = [{"score": "label_consistency", "interval": True, "chance": ["base_rate", "permute"]}]
    labels = torch.stack([samples.y == 0, samples.y > 0], 1).float()
    results = []
    for size in (40, 9):
        suite = Suite(scores, Toy(owned=False).units, concepts=TWO)
        for rows in torch.arange(40).split(size):
            subset = take(samples, rows)
            suite.update(Toy(owned=False), replace(subset, concepts=labels[rows], points=None, visible=None))
        results.append(suite.compute())
    first = results[0]["label_consistency"]
    assert first.value == 100  # units that add to the answer belong to its class
    assert first.protocol == "zoo-labels-v1"
    assert results[0]["label_consistency above chance (permute)"].more["soft p"] == 0.01
    for name, result in results[0].items():
        assert result.more == pytest.approx(results[1][name].more, rel=1e-12)
    nothing = Suite(scores, Toy(owned=False).units)
    assert nothing.compute()["label_consistency"].note == "n/a: the data have no concepts"
    owned = Suite(scores, Toy().units, concepts=TWO)
    assert owned.compute()["label_consistency"].note.startswith("n/a: each prototype belongs to a class")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"active": torch.ones(2, 9).bool()}, "active is"),
        ({"labels": torch.ones(2, 9)}, "labels is"),
        ({"known": torch.ones(1, 2).bool()}, "known is"),
    ],
)
def test_says_what_does_not_fit(change, words):
    with pytest.raises(ValueError, match=words):
        LabelConsistency(3, TWO).update(**({"active": torch.ones(2, 3).bool(), "labels": torch.ones(2, 2)} | change))


def test_refuses_another_gate():
    with pytest.raises(ValueError, match="gate is 'owned'; expected present or share"):
        LabelConsistency(3, TWO, gate="owned")
