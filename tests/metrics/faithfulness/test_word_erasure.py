"""Erasure of words: against loops over texts and shares, special tokens, and what is read of each family."""

import math
from dataclasses import replace

import pytest
import torch

import zoo
from zoo.metrics import Suite
from zoo.metrics.faithfulness._word_erasure import SHARES, first_words, kept_tokens, token_evidence
from zoo.metrics.faithfulness.word_comprehensiveness import WordComprehensiveness
from zoo.metrics.faithfulness.word_sufficiency import WordSufficiency
from zoo.metrics.perturbations.noise import random_bits

N = 12


@pytest.fixture(scope="module")
def data():
    return zoo.create_data("sentences", set="generated_reviews", length=40, ends=True, limit=200)


@pytest.fixture(scope="module")
def bag(data):
    model = zoo.create_model("bag_of_concepts", num_classes=3, sequence=data.sequence.to_config()).eval()
    model.fit_words(data.loader("train"), val=data.loader("val"), max_units=80)
    model.inputs = data.inputs
    return model


@pytest.fixture(scope="module")
def prototypes(data):
    torch.manual_seed(0)
    model = zoo.create_model(
        "text_prototype", num_classes=3, sequence=data.sequence.to_config(), width=16, depth=1
    ).eval()
    model.inputs = data.inputs
    model.choose_anchors(data.loader("train"), val=data.loader("val"), max_units=12, candidates=40)
    return model


@pytest.fixture(scope="module")
def rationale(data):
    torch.manual_seed(0)
    model = zoo.create_model("rationale", num_classes=3, sequence=data.sequence.to_config(), width=16, depth=0).eval()
    model.inputs = data.inputs
    model.fit_rationale(data.loader("train"), val=data.loader("val"))
    return model


def probability(model, codes, length, target):
    x = torch.full((1, length), -1)
    x[0, : len(codes)] = torch.tensor(codes, dtype=torch.int64)
    with torch.no_grad():
        return float(model(x).double().softmax(1)[0, target])


def loops(model, x, index, evidence, special, keep):
    """AOPC of the order of the explanation and of a random one, written from the definition."""
    totals = [0.0, 0.0]
    for i in range(len(x)):
        codes = [c for c in x[i].tolist() if c >= 0]
        with torch.no_grad():
            p, target = (float(v) for v in model(x[i : i + 1]).double().softmax(1).max(1))
        target = int(target)
        noise = (random_bits(index[i : i + 1], draw=8 << 32, count=x.shape[1])[0] & (2**62 - 1)).tolist()
        for which, score in enumerate((evidence[i].tolist(), noise)):
            words = sorted((j for j, c in enumerate(codes) if c not in special), key=lambda j: (-score[j], j))  # noqa: B023
            for share in (0.01, 0.05, 0.1, 0.2, 0.5):
                first = set(words[: max(1, math.ceil(len(words) * share - 1e-6))])
                left = [c for j, c in enumerate(codes) if c in special or (j in first) == keep]
                totals[which] += (p - probability(model, left, x.shape[1], target)) / 5 / len(x)
    return totals


def evidence_of_prototypes(model, x):
    """What each token adds to the logit of the predicted class, from states and weights."""
    with torch.no_grad():
        states = model.encoder.states(x).double()
        out = torch.zeros(x.shape, dtype=torch.float64)
        for i in range(len(x)):
            real = x[i] >= 0
            mean = states[i][real].mean(0)
            w = (model.head.weight[int(model(x[i : i + 1]).argmax())] / model.std).double() @ model.anchors.double()
            out[i][real] = states[i][real] @ w / real.sum() / mean.norm()
    return out


@pytest.mark.parametrize("cls", [WordComprehensiveness, WordSufficiency])
def test_prototypes_equal_loops(prototypes, data, cls):
    batch = data.samples("test", range(N))
    frame = data.sequence
    special = {frame.codes[token] for token in (*frame.before, *frame.after)}
    assert len(special) == 2
    name = cls.name
    suite = Suite([name], prototypes.units)
    suite.update(prototypes, replace(batch, concepts=None))
    result = suite.compute()[name]
    evidence = evidence_of_prototypes(prototypes, batch.x)
    value, random = loops(prototypes, batch.x, batch.index, evidence, special, cls.keep)
    assert result.value == pytest.approx(value, abs=1e-6)
    assert result.more["random"] == pytest.approx(random, abs=1e-6)
    assert result.more["gap"] == pytest.approx(value - random, abs=1e-6)
    assert result.protocol == cls.protocol


def test_evidence_of_n_grams_is_what_their_places_add(bag, data):
    batch = data.samples("test", range(N))
    with torch.no_grad():
        target = bag(batch.x).argmax(1)
        explanation = bag.explain(batch.x, target=target, shown=torch.arange(len(bag.units)).expand(N, -1))
    weight = bag.affine_head(batch.x).weight[target].double()
    expected = torch.einsum("bu,but->bt", weight, explanation.where.double())
    torch.testing.assert_close(token_evidence(bag, batch.x, explanation), expected.detach(), rtol=0, atol=1e-7)
    torch.testing.assert_close(
        expected.sum(1).detach(), explanation.contribution.double().sum(1).detach(), rtol=0, atol=1e-5
    )


def test_evidence_of_a_passage_is_spread_over_its_words(rationale, data):
    x = data.samples("test", range(N)).x
    with torch.no_grad():
        explanation = rationale.explain(x, shown=len(rationale.units))
    evidence = token_evidence(rationale, x, explanation)
    for i in range(N):
        expected = [0.0] * x.shape[1]
        for k, unit in enumerate(explanation.shown[i].tolist()):
            places = explanation.where[i, k].nonzero()[:, 0].tolist() if unit >= 0 else []
            for t in places:
                expected[t] += float(explanation.contribution[i, unit]) / len(places)
        assert evidence[i].tolist() == pytest.approx(expected, abs=1e-6)


def test_word_orders_equal_loops():
    g = torch.Generator().manual_seed(0)
    score = torch.randint(0, 4, (30, 9), generator=g).double()
    words = torch.rand(30, 9, generator=g) > 0.4
    words[0] = False
    first = first_words(score, words, SHARES)
    for s, share in enumerate(SHARES):
        for i in range(30):
            able = [j for j in range(9) if words[i, j]]
            order = sorted(able, key=lambda j: (-float(score[i, j]), j))  # noqa: B023
            expected = set(order[: max(1, math.ceil(share * len(able) - 1e-6))])
            assert set(first[s, i].nonzero()[:, 0].tolist()) == expected
    x = torch.randint(0, 9, (30, 9), generator=g)
    x[:, 7:] = -1
    kept = torch.rand(30, 9, generator=g) > 0.5
    for row, keep, out in zip(x.tolist(), kept.tolist(), kept_tokens(x, kept).tolist(), strict=True):
        left = [c for c, k in zip(row, keep, strict=True) if k and c >= 0]
        assert out == left + [-1] * (9 - len(left))


class Only:
    """What a model was asked."""

    def __init__(self, model):
        self.model = model
        self.asked = []

    def __call__(self, x):
        self.asked.append(x)
        return self.model(x)


def test_special_tokens_are_never_removed_and_padding_is_behind(prototypes, data):
    batch = data.samples("test", range(N))
    words = (batch.x >= 0) & ~data.inputs.special_codes()[batch.x.clamp_min(0)]
    for score in (WordComprehensiveness(), WordSufficiency()):
        asked = Only(prototypes)
        with torch.no_grad():
            score._without(asked, batch.x, torch.zeros(N).long(), words, torch.rand(batch.x.shape))
        begin, end = data.sequence.codes["[BEGIN]"], data.sequence.codes["[END]"]
        (x,) = asked.asked
        assert len(x) == 5 * N
        for row in x.tolist():
            real = [c for c in row if c >= 0]
            assert row == real + [-1] * (len(row) - len(real))
            assert (real[0], real[-1], real.count(begin), real.count(end)) == (begin, end, 1, 1)


def test_a_text_of_special_tokens_alone_adds_0(prototypes, data):
    x = torch.full((1, 40), -1)
    x[0, :2] = torch.tensor([data.sequence.codes["[BEGIN]"], data.sequence.codes["[END]"]])
    batch = replace(data.samples("test", [0]), x=x, concepts=None)
    suite = Suite(["word_comprehensiveness", "word_sufficiency"], prototypes.units)
    suite.update(prototypes, batch)
    for result in suite.compute().values():
        assert result.value == pytest.approx(0, abs=1e-7)


def test_words_of_evidence_decide_and_batches_do_not(bag, data):
    """A model whose evidence is exact loses more than without random words, whatever the batches."""
    batch = data.samples("test", range(60))
    entries = [
        {"score": name, "interval": True, "share": share, "name": f"{name}_{share}"}
        for name in ("word_comprehensiveness", "word_sufficiency")
        for share in (1.0, 0.5)
    ]
    results = []
    for size in (60, 11):
        suite = Suite(entries, bag.units)
        for rows in torch.arange(60).split(size):
            suite.update(bag, replace(batch, x=batch.x[rows], y=batch.y[rows], concepts=None, index=batch.index[rows]))
        results.append(suite.compute())
    for name, result in results[0].items():
        assert result.more == pytest.approx(results[1][name].more, rel=1e-6, abs=1e-7)
    assert results[0]["word_comprehensiveness_1.0"].more["gap"] > 0.1
    assert results[0]["word_sufficiency_1.0"].more["gap"] < -0.1
    assert 10 < results[0]["word_sufficiency_0.5"].support < 50


def test_complement_of_a_rationale_equals_a_loop(rationale, data):
    batch = data.samples("test", range(40))
    suite = Suite(["complement_accuracy"], rationale.units)
    for rows in torch.arange(40).split(9):
        suite.update(
            rationale, replace(batch, x=batch.x[rows], y=batch.y[rows], concepts=None, index=batch.index[rows])
        )
    result = suite.compute()["complement_accuracy"]
    kept = rationale.select(batch.x)
    frame = data.sequence
    around = {frame.codes["[BEGIN]"], frame.codes["[END]"]}
    right = {"left out": 0, "whole text": 0, "extract": 0}
    for row, mask, y in zip(batch.x.tolist(), kept.tolist(), batch.y.tolist(), strict=True):
        rest = [c for c, k in zip(row, mask, strict=True) if c >= 0 and (not k or c in around)]
        x = torch.full((2, 40), -1)
        x[0, : len(rest)] = torch.tensor(rest)
        x[1] = torch.tensor(row)
        with torch.no_grad():
            z = rationale.unit_vectors(x)
            head = rationale.controls[0]
            right["left out"] += int((head[:, :-1] @ z[0] + head[:, -1]).argmax()) == y
            right["whole text"] += int(rationale.selector(z[1]).argmax()) == y
            right["extract"] += int(rationale(x[1:]).argmax()) == y
    assert result.value == pytest.approx(right["left out"] / 40)
    for name in ("whole text", "extract"):
        assert result.more[name] == pytest.approx(right[name] / 40)
    assert 0 <= result.more["random words"] <= 1


def test_other_models_say_why_the_scores_do_not_apply(bag, data):
    from worlds import Toy
    from worlds import batch as images

    names = ["word_comprehensiveness", "word_sufficiency", "complement_accuracy"]
    suite = Suite(names, Toy(owned=False).units)
    suite.update(Toy(owned=False), images())
    notes = [result.note for result in suite.compute().values()]
    assert notes[:2] == ["n/a: the model reads no sentences"] * 2
    suite = Suite(names, bag.units)
    suite.update(bag, replace(data.samples("test", range(3)), concepts=None))
    assert suite.compute()["complement_accuracy"].note == (
        "n/a: the model does not select words and answer from these alone"
    )


@pytest.mark.parametrize(
    "wrong", [{"shares": ()}, {"shares": (0.5, 0.1)}, {"shares": (0,)}, {"units": 0}, {"share": 0}]
)
def test_refuses_arguments_that_mean_nothing(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        WordComprehensiveness(**wrong)


def test_arguments_that_change_the_definition_are_in_the_protocol():
    assert WordSufficiency(shares=(0.2, 0.5), units=8).protocol == "deyoung2020-sufficiency/units8/shares0.2,0.5"
