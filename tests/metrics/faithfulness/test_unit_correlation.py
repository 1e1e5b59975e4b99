import pytest
import torch
from scipy.stats import rankdata, spearmanr
from worlds import Toy, batch

from zoo import create_model
from zoo.batch import Batch
from zoo.metrics import InherentInterpretability, InsertionDeletion, Sufficiency, Suite, UnitCorrelation
from zoo.metrics.faithfulness._ablation import random_ranks, ranks
from zoo.metrics.faithfulness.unit_correlation import spearman, tried
from zoo.metrics.record_batch import record_batch
from zoo.metrics.wrappers.bootstrap import BootstrapInterval

SCORES = ("unit_correlation", "insertion_deletion", "sufficiency", "inherent_interpretability", "answer_agreement")
CONCEPTS = {"columns": {name: {"kind": "binary", "group": name} for name in "abcde"}}
FAMILIES = {
    "protopnet": {"backbone": "resnet10t", "backbone_level": 1, "per_class": 2, "dim": 8},
    "cbm": {"backbone": "mlp", "input_shape": [3, 16, 16], "concepts": CONCEPTS},
    "cem": {"backbone": "mlp", "input_shape": [3, 16, 16], "concepts": CONCEPTS, "width": 4},
    "bilinear_mlp": {"input_shape": [3, 16, 16], "width": 12, "patterns": 3},
}


def additive(strength, weight):
    """Logits of one class that loses what its absent units weigh."""
    return lambda mask, value: (torch.where(mask, value, strength) * weight).sum(-1, keepdim=True)


def world(n=40, u=9, classes=4, seed=0):
    """Strengths, the logits that some of them make (units speak for one another), and what the units claim."""
    g = torch.Generator().manual_seed(seed)
    strength, one = torch.rand(n, u, generator=g, dtype=torch.float64), torch.randn(u, 5, generator=g).double()
    two = torch.randn(5, classes, generator=g).double()
    claim = torch.randn(n, u, generator=g).double().round(decimals=1)
    index = torch.randperm(1000, generator=g)[:n]

    def decide(mask, value):
        return torch.tanh(torch.where(mask, value, strength) @ one) @ two

    none = torch.zeros(n, u, dtype=torch.bool)
    return claim, strength, decide, decide(none, strength).argmax(1), index


def one(decide, n, u, row, taken, value):
    """The logits of one input with some units taken out, asked alone."""
    mask = torch.zeros(n, u, dtype=torch.bool)
    mask[row, list(taken)] = True
    return decide(mask, value.expand(n, u))[row]


def test_three_units_by_hand():
    strength, weight = torch.ones(1, 3), torch.tensor([1.0, 3.0, 2.0])
    score = UnitCorrelation(3, ablation="zero")
    target = torch.zeros(1, dtype=torch.int64)
    score.update(torch.tensor([[3.0, 2.0, 1.0]]), target, decide=additive(strength, weight))
    readouts = score.compute()
    assert float(readouts["correctness"]) == -0.5  # ranks 3 2 1 against 1 3 2: 1 - 6 (4 + 1 + 1) / (3 * 8)
    assert readouts["unit/effect"].tolist() == [1, 3, 2]
    assert readouts["unit/claim"].tolist() == [3, 2, 1]
    score.update(torch.tensor([[1.0, 3.0, 2.0]]), target, decide=additive(strength, weight))  # exact: 1
    assert float(score.compute()["correctness"]) == 0.25
    score.update(torch.ones(1, 3), target, decide=additive(strength, weight))  # claims nothing
    readouts = score.compute()
    assert float(readouts["correctness"]) == 0.25
    assert float(readouts["undefined"]) == pytest.approx(1 / 3)
    assert float(readouts["tried"]) == 3


def test_what_is_said_is_absent_by_its_value_not_by_zero():
    """With the first unit always at its mean, taking it out changes nothing: its claim is above its effect."""
    strength, weight = torch.tensor([[2.0, 1.0, 4.0]]), torch.ones(3)
    score = UnitCorrelation(3)
    how = {"decide": additive(strength, weight), "value": torch.tensor([2.0, 0.0, 1.0])}
    score.update(strength, torch.zeros(1, dtype=torch.int64), **how)
    assert score.compute()["unit/effect"].tolist() == [0, 1, 3]
    assert float(score.compute()["correctness"]) == 0.5  # claims 2 1 4, effects 0 1 3
    with pytest.raises(ValueError, match="call fit on the training split"):
        score.update(strength, torch.zeros(1, dtype=torch.int64), decide=how["decide"])


def test_rank_correlation_is_scipy_s_with_ties():
    g = torch.Generator().manual_seed(0)
    a, b = (torch.randint(0, 5, (30, 8), generator=g).double() for _ in range(2))
    a[0] = 1
    pairs = zip(a.tolist(), b.tolist(), strict=True)
    expected = [spearmanr(x, y).statistic if len(set(x)) > 1 else float("nan") for x, y in pairs]
    torch.testing.assert_close(spearman(a, b), torch.tensor(expected).double(), equal_nan=True)


def test_agrees_with_a_loop_over_inputs_and_units():
    claim, strength, decide, target, _ = world()
    n, u = claim.shape
    value, results = strength.mean(0), []
    for i in range(n):
        whole = one(decide, n, u, i, [], value)[target[i]]
        drop = [float(whole - one(decide, n, u, i, [k], value)[target[i]]) for k in range(u)]
        results.append(spearmanr(rankdata(claim[i].tolist()), drop).statistic)
    score = UnitCorrelation(u)
    score.update(claim, target, decide=decide, value=value)
    assert float(score.compute()["correctness"]) == pytest.approx(sum(results) / n, abs=1e-9)


def test_claims_at_random_come_to_nothing():
    claim, _, decide, target, _ = world(n=2000)
    score = UnitCorrelation(9, ablation="zero")
    score.update(claim, target, decide=decide)
    assert abs(float(score.compute()["correctness"])) < 4 / (2000 * 8) ** 0.5


def test_rounding_is_no_effect():
    """Of many units only one has an effect; the order of the others must not be that of rounding errors."""
    g = torch.Generator().manual_seed(0)
    strength, weight = torch.rand(20, 300, generator=g), torch.zeros(300, 2)
    weight[:200, 1] = 1e4  # loud, for another class
    weight[7, 0] = 3.0
    claim = torch.zeros(20, 300)
    claim[:, 7] = 3.0
    claim += 1e-8 * torch.randn(20, 300, generator=g)
    score = UnitCorrelation(300, ablation="zero", max_units=300)
    score.update(
        claim, torch.zeros(20, dtype=torch.int64), decide=lambda m, v: torch.where(m, v, strength) @ weight + 1e3
    )
    assert float(score.compute()["correctness"]) == pytest.approx(1.0)


def test_of_many_units_half_are_the_largest_and_half_are_spread_over_the_rest():
    claim = torch.tensor([[0.0, 9, -8, 1, 2, -3, 4, 5, -6, 7]])
    assert tried(claim, 4)[0].tolist() == [1, 2, 9, 0]
    assert tried(claim, 10)[0].sort().values.tolist() == list(range(10))
    for most in range(1, 10):
        assert len(set(tried(claim, most)[0].tolist())) == most
    few, all_of_them = UnitCorrelation(10, max_units=4), UnitCorrelation(10)
    assert few.protocol == "zoo-correctness-v1/max_units4"
    assert all_of_them.protocol == "zoo-correctness-v1"
    assert UnitCorrelation(10, ablation="zero").protocol == "zoo-correctness-v1/ablationzero"


def test_orders_break_ties_by_id_and_random_ones_are_orders():
    assert ranks(torch.tensor([[1.0, 2.0, 2.0, -5.0]]))[0].tolist() == [2, 0, 1, 3]
    drawn_ranks = random_ranks(torch.tensor([3, 4, 3]), 6)
    assert drawn_ranks.sort(1).values.tolist() == [list(range(6))] * 3
    assert torch.equal(drawn_ranks[0], drawn_ranks[2])
    assert not torch.equal(drawn_ranks[0], drawn_ranks[1])


@pytest.mark.parametrize(
    "how", [{"num_units": 0}, {"num_units": 3, "ablation": "noise"}, {"num_units": 3, "max_units": 0}]
)
def test_refuses_what_means_nothing(how):
    with pytest.raises(ValueError, match="expected"):
        UnitCorrelation(**how)


def test_refuses_shapes_that_do_not_fit():
    score, decide = UnitCorrelation(3, ablation="zero"), additive(torch.ones(2, 3), torch.ones(3))
    with pytest.raises(ValueError, match=r"contribution is \(2, 4\); expected \(any, 3\)"):
        score.update(torch.ones(2, 4), torch.zeros(2).long(), decide=decide)
    with pytest.raises(ValueError, match="target"):
        score.update(torch.ones(2, 3), torch.zeros(3).long(), decide=decide)
    with pytest.raises(ValueError, match="value"):
        score.update(torch.ones(2, 3), torch.zeros(2).long(), decide=decide, value=torch.zeros(4))


@pytest.mark.parametrize("cls", [UnitCorrelation, InsertionDeletion, Sufficiency, InherentInterpretability])
def test_intervals_hold_the_score(cls):
    claim, _, decide, target, index = world(n=200)
    alone = cls(9, ablation="zero")
    alone.update(claim, target, target, index, decide=decide)
    score, head = BootstrapInterval(cls(9, ablation="zero")), next(iter(alone.compute()))
    score.update(claim, target, target, index, decide=decide, sample_ids=index)
    readouts = score.compute()
    value = float(alone.compute()[head])
    assert float(readouts[head]) == value
    assert float(readouts[f"{head} low"]) < value < float(readouts[f"{head} high"])


def samples(n=12, classes=4):
    g = torch.Generator().manual_seed(1)
    return Batch(torch.randn(n, 3, 16, 16, generator=g), torch.randint(0, classes, (n,), generator=g), torch.arange(n))


def model_of(name):
    torch.manual_seed(0)
    model = create_model(name, num_classes=4, **FAMILIES[name])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_any_family_through_the_contract(name):
    model, sample_batch = model_of(name), samples()
    kept = {k: v.clone() for k, v in model.state_dict().items()}, sample_batch.x.clone()
    suite = Suite([{"score": s} for s in SCORES], model.units)
    assert suite.fit_splits == ("train",)
    for rows in torch.arange(len(sample_batch)).split(5):
        suite.fit(model, Batch(sample_batch.x[rows], sample_batch.y[rows], sample_batch.index[rows]), "train")
    for rows in torch.arange(len(sample_batch)).split(7):
        suite.update(model, Batch(sample_batch.x[rows], sample_batch.y[rows], sample_batch.index[rows]))
    results = suite.compute()
    assert [r.support for r in results.values()] == [12] * len(SCORES)
    assert all(torch.equal(v, kept[0][k]) for k, v in model.state_dict().items())
    assert torch.equal(sample_batch.x, kept[1])

    explanation = model.explain(sample_batch.x)  # the class answered, whatever the truth
    mean, rhos = explanation.strength.double().mean(0).to(explanation.strength), []
    for i in range(12):
        x, at = sample_batch.x[i : i + 1], explanation.target[i]
        left = [float(model.intervene(x, {k: float(mean[k])})[0, at]) for k in range(len(mean))]
        rhos.append(spearmanr(explanation.contribution[i].tolist(), [-v for v in left]).statistic)
    rhos = torch.tensor(rhos)
    expected = float(rhos[rhos.isfinite()].mean())
    assert results["unit_correlation"].value == pytest.approx(expected, abs=0.05)  # but for ties within rounding


def test_without_training_samples_or_an_answer_to_ask_for_there_is_no_score():
    model, sample_batch = model_of("cbm"), samples()
    suite = Suite([{"score": "unit_correlation"}], model.units)
    suite.update(model, sample_batch)
    assert suite.compute()["unit_correlation"].note == "n/a: no samples of the train split to fit on"
    toy, samples_ = Toy(), batch()
    suite = Suite([{"score": s, "ablation": "zero"} for s in SCORES[:4]], toy.units, list("abcde"))
    suite.update(toy, samples_)
    assert {r.note for r in suite.compute().values()} == {"n/a: the model does not offer encode and decide"}


@torch.no_grad()
def test_what_is_answered_otherwise_is_explained_once_for_all_scores():
    model, sample_batch = model_of("protopnet"), samples()
    calls, explain = [], model.explain
    model.explain = lambda *a, **k: calls.append(len(a[0])) or explain(*a, **k)
    suite = Suite([{"score": s, "ablation": "zero"} for s in SCORES[:4]], model.units)
    suite.update(model, sample_batch)
    wrong = int((explain(sample_batch.x).target != sample_batch.y).sum())
    assert calls == [12, wrong]
    contribution, predicted = record_batch(model, sample_batch, 3, owned=False).predicted_contribution
    explanation = explain(sample_batch.x)
    assert torch.equal(predicted, explanation.target)
    torch.testing.assert_close(contribution, explanation.contribution)


def test_a_second_study_begins_anew():
    model, sample_batch = model_of("cbm"), samples()
    score = UnitCorrelation(5)
    record = record_batch(model, sample_batch, 0, owned=False)
    for _ in range(2):
        score.fit(record, "train")
        score.update_from(record)
        first = score.compute()["correctness"]
        score.reset()
    score.fit(record_batch(model, take_some(sample_batch, 3), 0, owned=False), "train")
    assert torch.equal(
        score.absent(torch.ones(1, 5)), model.explain(sample_batch.x[:3]).strength.double().mean(0).float()
    )
    assert first.isfinite()


def take_some(sample_batch, n):
    return Batch(sample_batch.x[:n], sample_batch.y[:n], sample_batch.index[:n])
