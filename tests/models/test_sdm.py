"""SDM: matches, quantiles and thresholds beside loops over the samples, the loss, and what is kept in a checkpoint."""

import math

import pytest
import torch

import zoo
from zoo import checkpoint
from zoo.batch import Batch
from zoo.layers.exemplars.acceptance import FARTHEST, NEVER, acceptance, limit_of
from zoo.layers.exemplars.bank import ExemplarBank
from zoo.testing import check_model

CLASSES = 3


def filled(n=40, width=3, seed=0):
    """A bank with equal codes among its own, and a third of wrong answers."""
    g = torch.Generator().manual_seed(seed)
    bank = ExemplarBank(width, CLASSES)
    code = torch.randint(-2, 3, (n, width), generator=g).float()  # many equal distances
    label = torch.randint(CLASSES, (n,), generator=g)
    answer = torch.where(torch.rand(n, generator=g) < 0.3, (label + 1) % CLASSES, label)
    bank.record(code, label, answer, torch.arange(n) + 100, torch.arange(n))
    bank.record_reach(torch.rand(15, generator=g) * 3, torch.randint(2, (15,), generator=g))  # none of the last class
    return bank


def slow_match(bank, code, answer, own):
    """By sorting, sample by sample."""
    pairs = []
    for i in range(len(bank)):
        if own is None or int(bank.index[i]) != own:
            distance = math.sqrt(sum((float(a) - float(b)) ** 2 for a, b in zip(code, bank.code[i], strict=True)))
            pairs.append((distance, i))
    pairs.sort()
    run = 0
    for _, i in pairs:
        if int(bank.label[i]) != answer or int(bank.answer[i]) != answer:
            break
        run += 1
    nearest = pairs[0][0]
    shares = []
    for c in range(CLASSES):
        reach = [float(r) for r, label in zip(bank.reach, bank.reach_label, strict=True) if int(label) == c]
        shares.append((1 + sum(r > nearest for r in reach)) / (1 + len(reach)))
    return run, nearest, min(shares)


@pytest.mark.parametrize("own", [False, True])
def test_matches(own, monkeypatch):
    bank = filled()
    g = torch.Generator().manual_seed(1)
    rows = torch.randint(40, (25,), generator=g)
    code = bank.code[rows] if own else torch.randint(-2, 3, (25, 3), generator=g).float()
    answer = torch.randint(CLASSES, (25,), generator=g)
    index = bank.index[rows] if own else None
    found = bank.match(code, answer, index)
    for i in range(25):
        run, nearest, share = slow_match(bank, code[i], int(answer[i]), int(index[i]) if own else None)
        assert int(found.similarity[i]) == run
        assert float(found.distance[i]) == pytest.approx(nearest, abs=1e-12)
        assert float(found.quantile[i]) == pytest.approx(share, abs=1e-12)
    monkeypatch.setattr("zoo.layers.exemplars.bank.CHUNK", 1)  # one input at a time
    for a, b in zip(bank.match(code, answer, index), found, strict=True):
        assert torch.equal(a, b)


def test_all_agree_and_nobody_is_there():
    bank = ExemplarBank(1, 2)
    found = bank.match(torch.zeros(2, 1), torch.zeros(2, dtype=torch.int64))
    assert found.similarity.tolist() == [0, 0]
    assert found.distance.isinf().all()
    ones = torch.ones(4, dtype=torch.int64)
    bank.record(torch.arange(4.0)[:, None], ones, ones, torch.arange(4), torch.arange(4))
    assert bank.match(torch.zeros(1, 1), ones[:1]).similarity.tolist() == [4]
    assert bank.match(torch.zeros(1, 1), ones[:1], torch.tensor([0])).similarity.tolist() == [3]
    assert bank.match(torch.zeros(1, 1), ones[:1] * 0).similarity.tolist() == [0]


def slow_acceptance(p, answer, label, accuracy):
    least = []
    for c in range(CLASSES):
        good = [NEVER]
        for t in sorted(set(p.tolist())):
            if t < 0:
                continue
            kept = [i for i in range(len(p)) if float(p[i]) >= t]
            answered = [int(label[i]) == c for i in kept if int(answer[i]) == c]
            true = [int(answer[i]) == c for i in kept if int(label[i]) == c]
            if any(answered) and min(sum(s) / len(s) for s in (answered, true)) >= accuracy - 1e-12:
                good.append(t)
        least.append(min(good))
    return least


@pytest.mark.parametrize("seed", range(6))
def test_acceptance(seed):
    g = torch.Generator().manual_seed(seed)
    p = torch.randint(-1, 12, (50,), generator=g) / 16  # many equal ones, some that are never accepted
    label = torch.randint(CLASSES, (50,), generator=g)
    answer = torch.where(torch.rand(50, generator=g) < 0.7 * p + 0.4, label, torch.randint(CLASSES, (50,), generator=g))
    for accuracy in (0.5, 0.8, 1.0):
        assert acceptance(p, answer, label, CLASSES, accuracy).tolist() == slow_acceptance(p, answer, label, accuracy)


@pytest.mark.parametrize("far", [0.0, 0.01, 0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("n", [0, 1, 9, 10, 40])
def test_limit(far, n):
    distance = torch.rand(n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    limit = limit_of(distance, far)
    for d in (*distance.tolist(), 0.0, 2.0):
        share = (1 + sum(r > d for r in distance.tolist())) / (1 + n)
        assert (d >= limit) == (share < far - 1e-12)


def points(n, seed, spread=0.4):
    """Three clusters in two dimensions."""
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(CLASSES, (n,), generator=g)
    center = torch.tensor([[0.0, 3.0], [3.0, 0.0], [-3.0, -3.0]])
    return Batch(center[y] + spread * torch.randn(n, 2, generator=g), y, torch.arange(n))


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    common = {"num_classes": CLASSES, "backbone": "mlp", "input_shape": [2], "backbone_args": {"hidden": [8]}}
    model = zoo.create_model("sdm", width=4, **common)
    train, val = points(90, 0), points(60, 1)
    fit = torch.optim.Adam(model.parameters(), lr=0.02)
    for weights in ({"task": 1.0}, {"task": 0.0, "sdm": 1.0}):
        for _ in range(60):
            fit.zero_grad()
            terms = model.loss(train, weights)
            sum(terms[name] * weight for name, weight in weights.items()).backward()
            fit.step()
        figures = model.match([train], val=[val])
    return model.eval(), figures


def test_the_matched_model_keeps_the_contract(trained):
    model, _ = trained
    batch = points(6, 2)
    check_model(model, batch.x, batch.y)
    assert model.capabilities == {"extra_metrics", "sources", "trace"}


def test_what_it_learns(trained):
    model, figures = trained
    assert figures["validation accuracy"] > 0.95
    assert figures["accepted"] > 0.8
    test = points(200, 3)
    assert float((model(test.x).argmax(1) == test.y).double().mean()) > 0.95
    assert float(model.accepts(test.x).double().mean()) > 0.8
    far = test.x * 40
    assert not bool(model.accepts(far).any())
    code = model.encode(far)[0]
    assert torch.equal(model(far).argmax(1), model.head(code).argmax(1))  # the answer stays, the confidence goes
    words = [dict(rows)["accepted"][0] for rows in model.trace(torch.cat([test.x[:1], far[:1]]))]
    assert words[1] == "no, too far from all training samples"
    rows = model.extra_metrics([test])
    assert rows["accepted answers"] == pytest.approx(float(model.accepts(test.x).double().mean()))
    taken = model.accepts(test.x)
    right = (model(test.x).argmax(1) == test.y).double()
    assert rows["accuracy of accepted answers"] == pytest.approx(float(right[taken].mean()))


def test_the_loss_is_in_logarithms_of_base_2_plus_q(trained):
    model, _ = trained
    batch = points(90, 0)  # the training samples themselves
    value = float(model.loss(batch, {"sdm": 1.0})["sdm"])
    code = model.encode(batch.x)[0]
    total = 0.0
    for i in range(len(batch)):
        z = model.head(code[i]).double()
        q, _, d = slow_match(model.bank, code[i], int(z.argmax()), i)
        powers = [(2 + q) ** (d * float(v)) for v in z]
        total -= math.log(powers[int(batch.y[i])] / sum(powers), 2 + q)
    assert value == pytest.approx(total / len(batch), rel=1e-4)


def test_features_come_from_the_sample_in_which_they_are_strongest(trained):
    model, _ = trained
    train = points(90, 0)
    code = model.encode(train.x)[0]
    found = model.sources()
    assert torch.allclose(code[found.index].diagonal(), code.amax(0))
    assert torch.equal(found.content, zoo.batch.content_hash(train.x)[found.index])


def test_a_checkpoint_keeps_the_training_samples(trained, tmp_path):
    model, _ = trained
    hparams = {"name": "sdm", **model.hparams}
    checkpoint.save(tmp_path / "kept", model, config={"model": hparams}, metrics={}, card="")
    again = checkpoint.load(str(tmp_path / "kept"))
    x = points(20, 4).x
    assert torch.equal(again(x), model(x))
    assert torch.equal(again.accepts(x), model.accepts(x))
    assert len(again.bank) == len(points(90, 0))


def test_before_the_first_match_it_is_a_softmax():
    model = zoo.create_model("sdm", num_classes=2, backbone="mlp", input_shape=[2], width=3).eval()
    x = torch.randn(5, 2)
    code, scale = model.encode(x)
    assert bool((scale == 1).all())
    assert torch.allclose(model(x), model.head(code))
    assert model.capabilities == frozenset()
    assert float(model.limit) == FARTHEST
    assert not bool(model.accepts(x).any())


@pytest.mark.parametrize(
    ("keys", "words"),
    [({}, "val: true"), ({"val": [1], "accuracy": 0.0}, "accuracy"), ({"val": [1], "far": 1.0}, "far is 1.0")],
)
def test_mistakes(trained, keys, words):
    with pytest.raises(ValueError, match=words):
        trained[0].match([points(3, 0)], **keys)
    with pytest.raises(ValueError, match="width"):
        zoo.create_model("sdm", num_classes=2, backbone="mlp", input_shape=[2], width=0)
