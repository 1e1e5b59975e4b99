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
    """Unit 0 fires on a alone, 4 of 5 times; unit 1 on everything; unit 2 never; b is unknown once."""
    nan = torch.nan
    labels = torch.tensor([[1, 0], [1, 1], [1, nan], [1, 0], [0, 1], [0, 1], [0, 0], [0, 0]])
    fires = torch.zeros(8, 3).bool()
    fires[:5, 0], fires[:, 1] = True, True
    score = LabelConsistency(3, TWO)
    score.update(fires, labels)
    found = score.compute()
    assert float(found["consistency"]) == pytest.approx(100 / 3)
    assert found["unit/rate"].tolist() == [0.8, 0.5, 0]
    assert found["unit/part"].tolist() == [0, 0, -1]
    assert found["unit/claims"].tolist() == [5, 8, 0]
    assert found["unit/support"].tolist() == [5, 8, 0]
    assert float(found["iou"]) == pytest.approx((4 / 5 + 4 / 8) / 2)
    assert float(found["f1"]) == pytest.approx((8 / 9 + 8 / 12) / 2)
    assert float(found["recall"]) == 1
    assert float(found["precision"]) == pytest.approx((0.8 + 0.5) / 2)
    assert (int(found["dead"]), int(found["unevaluable"]), int(found["detectors"])) == (1, 1, 2)
    assert "aligned" not in found


def test_equals_a_loop():
    g = torch.Generator().manual_seed(0)
    b, u, m = 40, 5, 3
    fires, labels = torch.rand(b, u, generator=g) > 0.5, (torch.rand(b, m, generator=g) > 0.4).float()
    labels[torch.rand(b, m, generator=g) > 0.8] = torch.nan
    schema = ConceptSchema(tuple(Concept(f"c{i}") for i in range(m)))
    score = LabelConsistency(u, schema)
    for rows in torch.arange(b).split(7):
        score.update(fires[rows], labels[rows])
    best, f1 = [], torch.zeros(u, m)
    for k in range(u):
        rates = []
        for p in range(m):
            known = [i for i in range(b) if not labels[i, p].isnan()]
            claims = [i for i in known if fires[i, k]]
            met = sum(int(labels[i, p]) for i in claims)
            rates.append(met / len(claims))
            f1[k, p] = 2 * met / (len(claims) + sum(int(labels[i, p]) for i in known))
        best.append(max(rates))
    found = score.compute()
    assert found["unit/rate"].tolist() == pytest.approx(best)
    assert float(found["coverage"]) == pytest.approx(float(f1.amax(0).mean()))


def seen(**more):
    model, samples = Toy().eval(), replace(batch(6), concepts=torch.tensor([[1.0, 3.2], [0, 0.1]]).repeat(3, 1))
    told = model.explain(samples.x, target=samples.y)
    return Record(samples, told, told.shown >= 0, **more)


def test_gates():
    one = seen()
    told = one.explanation.contribution
    assert torch.equal(LabelConsistency(6, TWO).fires(one), told > 0)
    share = told.abs() / told.abs().sum(1, keepdim=True)
    assert torch.equal(LabelConsistency(6, TWO, gate="share").fires(one), share >= 0.1)
    assert LabelConsistency(6, TWO, gate="share").protocol == "zoo-labels-v1/share"
    chance = torch.tensor([[0.5, 0.9], [0.4, 1]]).repeat(3, 1)
    units = replace(one.explanation.units, names=["a", "size"], owner=None)
    empty = replace(one.explanation, units=units, contribution=chance, strength=chance)
    concepts = replace(one, explanation=empty, predicted=chance, ends=(chance, chance))
    score = LabelConsistency(2, MIXED)
    assert score.fires(concepts).tolist() == [[True, False], [False, False]] * 3
    assert score.labels(concepts)[:, 1].isnan().all()
    score.update_from(concepts)
    found = score.compute()
    assert float(found["aligned"]) == 50
    assert found["unit/rate"].tolist() == [1, 0]


def test_a_suite_feeds_it_and_says_where_it_does_not_apply():
    samples = batch(40)
    scores = [{"score": "label_consistency", "interval": True, "chance": ["base_rate", "permute"]}]
    labels = torch.stack([samples.y == 0, samples.y > 0], 1).float()
    found = []
    for size in (40, 9):
        suite = Suite(scores, Toy(owned=False).units, concepts=TWO)
        for rows in torch.arange(40).split(size):
            some = take(samples, rows)
            suite.update(Toy(owned=False), replace(some, concepts=labels[rows], points=None, visible=None))
        found.append(suite.compute())
    first = found[0]["label_consistency"]
    assert first.value == 100  # units that add to the answer belong to its class
    assert first.protocol == "zoo-labels-v1"
    assert found[0]["label_consistency above chance (permute)"].more["soft p"] == 0.01
    for name, result in found[0].items():
        assert result.more == pytest.approx(found[1][name].more, rel=1e-12)
    nothing = Suite(scores, Toy(owned=False).units)
    assert nothing.compute()["label_consistency"].note == "n/a: the data have no concepts"
    owned = Suite(scores, Toy().units, concepts=TWO)
    assert owned.compute()["label_consistency"].note.startswith("n/a: each prototype belongs to a class")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fires": torch.ones(2, 9).bool()}, "fires is"),
        ({"labels": torch.ones(2, 9)}, "labels is"),
        ({"known": torch.ones(1, 2).bool()}, "known is"),
    ],
)
def test_says_what_does_not_fit(change, words):
    with pytest.raises(ValueError, match=words):
        LabelConsistency(3, TWO).update(**({"fires": torch.ones(2, 3).bool(), "labels": torch.ones(2, 2)} | change))


def test_refuses_another_gate():
    with pytest.raises(ValueError, match="gate is 'owned'; expected present or share"):
        LabelConsistency(3, TWO, gate="owned")
