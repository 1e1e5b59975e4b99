"""Concept bottlenecks: what the head learns on, what it reads, and what setting a concept means."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from zoo import create_model
from zoo.batch import Batch
from zoo.layers.sparse_linear import fit_sparse_linear
from zoo.metrics.suite import Suite

KINDS = {
    "a": "binary",
    "w: x": "categorical",
    "b": "binary",
    "w: y": "categorical",
    "size": "continuous",
    "w: z": "categorical",
}
COLUMNS = {k: {"kind": v, "group": k.split(":")[0]} for k, v in KINDS.items()}
COLUMNS["size"] |= {"mean": 3.0, "std": 2.0}
M, CLASSES, BINARY, WING, SIZE = 6, 3, [0, 2], [1, 3, 5], 4


def build(seed=0, **args):
    torch.manual_seed(seed)
    small = {"num_classes": CLASSES, "backbone": "mlp", "backbone_args": {"hidden": [8]}, "input_shape": [5]}
    return create_model("cbm", **small | {"concepts": {"columns": COLUMNS}} | args)


def world(n=50, *, unknown=0.0, seed=0):
    g = torch.Generator().manual_seed(seed)
    truth = (torch.rand(n, M, generator=g) < 0.4).float()
    truth[:, WING] = torch.eye(3)[torch.randint(3, (n,), generator=g)]
    truth[:, SIZE] = 3 + 2 * torch.randn(n, generator=g)
    for columns in ([0], [2], WING, [SIZE]):
        gone = torch.rand(n, generator=g) < unknown
        truth[:, columns] = truth[:, columns].masked_fill(gone[:, None], torch.nan)
    return Batch(torch.randn(n, 5, generator=g), torch.arange(n) % CLASSES, torch.arange(n), concepts=truth)


def split(batch, size=16):
    """A loader that serves the split in another order."""
    rows = torch.randperm(len(batch), generator=torch.Generator().manual_seed(9)).split(size)
    return [Batch(batch.x[i], batch.y[i], batch.index[i], concepts=batch.concepts[i]) for i in rows]


def standard(strength):
    return torch.cat([strength[:, :SIZE], (strength[:, SIZE:5] - 3) / 2, strength[:, 5:]], 1)


@torch.no_grad()
@pytest.mark.parametrize("bottleneck", ["probability", "logit", "hard"])
def test_contributions_are_weight_times_what_the_head_reads(bottleneck):
    model, batch = build(bottleneck=bottleneck).eval(), world(7)
    result, logits = model.explain(batch.x, target=batch.y), model.encode(batch.x)
    if bottleneck == "probability":
        wing = logits[:, WING].softmax(1)
        by_hand = torch.stack(
            [
                logits[:, 0].sigmoid(),
                wing[:, 0],
                logits[:, 2].sigmoid(),
                wing[:, 1],
                3 + 2 * logits[:, SIZE],
                wing[:, 2],
            ],
            1,
        )
        torch.testing.assert_close(result.strength, by_hand)
    read = logits if bottleneck == "logit" else standard(result.strength)
    for i in range(7):
        for j in range(M):
            weight = float(model.head.weight[batch.y[i], j])
            assert float(result.contribution[i, j]) == pytest.approx(weight * float(read[i, j]), abs=1e-6)
        total = float(result.contribution[i].sum() + result.base[i])
        assert total == pytest.approx(float(model(batch.x)[i, batch.y[i]]), abs=1e-5)
    assert result.method == "exact"
    assert result.units.group == ("a", "w", "b", "w", "size", "w")


@torch.no_grad()
def test_an_mlp_head_is_explained_by_ablation():
    model, batch = build(head="mlp", hidden=7).eval(), world(9)
    model.calibrate(split(world(40, seed=4)))
    result, strength = model.explain(batch.x, target=batch.y), model.strengths(model.encode(batch.x))
    torch.testing.assert_close(model.average, model.strengths(model.encode(world(40, seed=4).x)).mean(0))
    for i in range(9):
        whole = model.head(standard(strength[i : i + 1]))[0, batch.y[i]]
        left = whole.clone()
        for j in range(M):
            without = strength[i : i + 1].clone()
            without[0, j] = model.average[j]
            contribution = whole - model.head(standard(without))[0, batch.y[i]]
            left -= contribution
            assert float(result.contribution[i, j]) == pytest.approx(float(contribution), abs=1e-6)
        assert float(result.base[i]) == pytest.approx(float(left), abs=1e-5)
    assert result.method == "ablation"


@pytest.mark.parametrize("bottleneck", ["probability", "logit", "hard"])
def test_an_independent_head_never_sees_a_prediction_where_the_truth_is_known(bottleneck):
    heads = {}
    for unknown in (0.0, 0.3):
        batch = world(60, unknown=unknown)
        for seed in (0, 1):  # of the backbone and the concept layer
            model = build(seed, bottleneck=bottleneck)
            result = model.fit_head(split(batch), l1=1e-3, l2=1e-2)
            assert result["kkt residual"] < 1e-5
            heads[unknown, seed] = torch.cat([model.head.weight, model.head.bias[:, None]], 1).detach()
            with torch.no_grad():
                truth, sensed = model.encode_concepts(batch.concepts), model.strengths(model.encode(batch.x))
            read = torch.where(truth.isnan(), sensed, truth)
            read = read if bottleneck == "logit" else standard(read)
            ones = torch.cat([read, torch.ones(60, 1)], 1)
            start = torch.zeros(CLASSES, M + 1)
            expected, _ = fit_sparse_linear(ones, batch.y, start, start == 0, l1=1e-3, l2=1e-2, bias=True)
            torch.testing.assert_close(heads[unknown, seed], expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(heads[0.0, 0], heads[0.0, 1])
    assert not torch.equal(heads[0.3, 0], heads[0.3, 1])


@pytest.mark.parametrize("mode", ["sequential", "joint"])
def test_other_heads_are_fitted_on_predictions(mode):
    batch, model = world(60), build(mode=mode, randint=1.0)  # which is for training steps only
    model.fit_head(split(batch), l2=1e-2)
    first = model.head.weight.clone()
    model.fit_head(split(Batch(batch.x, batch.y, batch.index, concepts=1 - batch.concepts)), l2=1e-2)
    assert torch.equal(model.head.weight, first)
    result = model.fit_head(split(batch), l1=1.0, l2=1e-2)
    assert result["non-zeros per class"] == 0


@pytest.mark.parametrize("unknown", [0.0, 0.5])
@pytest.mark.parametrize("mode", ["independent", "sequential", "joint"])
@pytest.mark.parametrize("bottleneck", ["probability", "logit", "hard"])
def test_only_a_joint_head_teaches_the_concepts(mode, unknown, bottleneck):
    model, batch = build(mode=mode, bottleneck=bottleneck), world(20, unknown=unknown)
    terms = model.loss(batch, {"task": 1.0, "concept": 1.0, "l1": 1.0})
    assert tuple(terms) == model.terms
    below = [*model.backbone.parameters(), *model.concepts.parameters()]
    parameters = [*model.head.parameters(), *below]
    grads = torch.autograd.grad(terms["task"], parameters, retain_graph=True, allow_unused=True)
    assert bool(grads[0].any())
    assert [g is not None and bool(g.any()) for g in grads[2:]] == [mode == "joint"] * len(below)
    assert all(g.any() for g in torch.autograd.grad(terms["concept"], below))
    assert float(terms["l1"].detach()) == pytest.approx(sum(map(abs, model.head.weight.flatten().tolist())), rel=1e-5)


def test_the_task_term_against_its_formula():
    batch = world(20, unknown=0.4)
    for mode in ("independent", "sequential", "joint"):
        model = build(mode=mode)
        with torch.no_grad():
            read = model.strengths(model.encode(batch.x))
            if mode == "independent":
                read = torch.where(batch.concepts.isnan(), read, batch.concepts)
            expected = F.cross_entropy(model.head(standard(read)), batch.y)
            assert float(model.loss(batch, {})["task"]) == pytest.approx(float(expected), rel=1e-6)
        assert "task" not in model.loss(batch, {"task": 0.0, "concept": 1.0})
        assert "concept" not in model.loss(batch, {"concept": 0.0})


@torch.no_grad()
def test_randint_sets_groups_of_each_sample_in_training_only():
    model, batch = build(mode="joint", randint=0.5), world(30, unknown=0.3)
    torch.manual_seed(5)
    mask = model.space.random_groups(30, 0.5) & batch.concepts.isfinite()
    read = torch.where(mask, batch.concepts, model.strengths(model.encode(batch.x)))
    torch.manual_seed(5)
    result = model.loss(batch, {})["task"]
    assert float(result) == pytest.approx(float(F.cross_entropy(model.head(standard(read)), batch.y)), rel=1e-6)
    assert len(mask.unique(dim=0)) > 8
    plain = F.cross_entropy(model(batch.x), batch.y)
    assert float(model.eval().loss(batch, {})["task"]) == pytest.approx(float(plain), rel=1e-6)


@torch.no_grad()
def test_a_logit_bottleneck_ends_at_percentiles_of_the_training_split():
    model, train, test = build(bottleneck="logit"), world(61), world(40, seed=3)
    model.calibrate(split(train))
    ends = np.percentile(model.encode(train.x).double().numpy(), [5, 95], axis=0)
    np.testing.assert_allclose(torch.stack([model.low, model.high]).numpy(), ends, rtol=1e-5, atol=1e-6)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    model.eval()
    model(test.x + 7), model.explain(test.x), model.loss(test, {"concept": 1.0})
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    encoded, ends = model.encode_concepts(torch.tensor([[0.0, 1, 1, 0, 7, 0]]))[0], torch.from_numpy(ends).float()
    by_hand = [ends[0, 0], ends[1, 1], ends[1, 2], ends[0, 3], torch.tensor(2.0), ends[0, 5]]  # (7 - 3) / 2
    torch.testing.assert_close(encoded, torch.stack(by_hand), rtol=1e-5, atol=1e-6)
    assert model.encode_concepts(test.concepts.fill_(torch.nan)).isnan().all()


@torch.no_grad()
def test_balance_weighs_the_positive_examples_by_their_odds():
    """The published code weighs both terms (``weight``); here only the one of the positive examples."""
    batch = world(60, unknown=0.3)
    batch.concepts[:, 2] = torch.nan  # a concept that nobody knows has odds 1
    even, model = build(), build(balance=True)
    result = model.calibrate(split(batch))
    known = batch.concepts[:, 0][~batch.concepts[:, 0].isnan()].tolist()
    odds = known.count(0) / known.count(1)
    expected = torch.ones(M)
    expected[0] = odds
    torch.testing.assert_close(model.odds, expected)
    logits, total, count = model.encode(batch.x).double(), 0.0, 0
    wing = logits[:, WING].log_softmax(1)
    for i, row in enumerate(batch.concepts.double()):
        if not row[0].isnan():
            chance = logits[i, 0].sigmoid()
            total, count = total - (odds * row[0] * chance.log() + (1 - row[0]) * (1 - chance).log()), count + 1
        if not row[1].isnan():
            total, count = total - wing[i, row[WING].argmax()], count + 1
        if not row[SIZE].isnan():
            total, count = total + (logits[i, SIZE] - (row[SIZE] - 3) / 2) ** 2, count + 1
    term = model.loss(batch, {"concept": 1.0})["concept"]
    assert float(term) == pytest.approx(float(total) / count, rel=1e-5)
    batch.concepts[:, BINARY] = 0.0
    assert torch.equal(*(m.loss(batch, {"concept": 1.0})["concept"] for m in (model, even)))
    rows = list(zip(logits, world(60, unknown=0.3).concepts, strict=True))
    right = [at[WING].argmax() == row[WING].argmax() for at, row in rows if not row[1].isnan()]
    right += [(at[0] >= 0) == row[0] for at, row in rows if not row[0].isnan()]
    assert result["training concept accuracy"] == pytest.approx(float(torch.stack(right).float().mean()))


@torch.no_grad()
def test_a_hard_bottleneck_hides_the_size_of_its_logits():
    model, batch = build(bottleneck="hard").eval(), world(30)
    state = model.encode(batch.x)
    noise = 0.2 * state.abs().amin(1, keepdim=True) * torch.rand(30, M) * state.sign()
    noise[:, [*WING, SIZE]] = 0.0
    noise[:, WING] = 0.3 * torch.rand(30, 1)  # of all values alike
    assert torch.equal(model.decide(state + noise), model.decide(state))
    strength = model.explain(batch.x).strength
    assert set(strength[:, [*BINARY, *WING]].unique().tolist()) == {0.0, 1.0}
    assert bool((strength[:, WING].sum(1) == 1).all())
    assert not torch.equal(build().decide(state + noise), build().decide(state))


@torch.no_grad()
def test_every_input_has_its_own_mask():
    """Published code takes the index lists [[0], [1]] as their union, for both samples."""
    model, x = build().eval(), world(2).x
    value, mask = model.encode_concepts(torch.tensor([[1.0, 0, 0, 1, 3, 0]] * 2)), torch.zeros(2, M, dtype=torch.bool)
    mask[0, 0], mask[1, 1] = True, True
    result = model.intervene(x, value, mask)
    alone = [model.intervene(x[i : i + 1], {i: float(value[i, i])})[0] for i in (0, 1)]
    torch.testing.assert_close(result, torch.stack(alone))
    union = model.intervene(x, {0: 1.0, 1: 0.0})
    assert not torch.isclose(result, union).all(1).any()
    torch.testing.assert_close(model.intervene(x, torch.where(mask, value, torch.nan), mask), result, rtol=0, atol=0)


@torch.no_grad()
def test_zeros_and_ones_are_never_taken_for_a_mask():
    """Published code reads an index list of length k that holds only 0 and 1 as a mask."""
    columns = {"a": {"kind": "binary"}, "b": {"kind": "binary"}}
    model, x = build(concepts={"columns": columns}).eval(), world(2).x
    p = model.explain(x).strength
    by_hand = model.head(torch.tensor([[1.0, 0.0]] * 2))
    torch.testing.assert_close(model.intervene(x, {0: 1.0, 1: 0.0}), by_hand)
    torch.testing.assert_close(model.intervene(x, {1: 1.0}), model.head(torch.stack([p[:, 0], torch.ones(2)], 1)))
    ones = torch.tensor([[1, 0], [1, 0]])
    for values, mask in ((p, None), (p, ones), (p, ones.float()), (p, ones[0].bool()), (p[0], ones.bool())):
        with pytest.raises(ValueError, match="mask bool"):
            model.intervene(x, values, mask)


def test_state_and_determinism():
    model, batch = build(head="mlp", bottleneck="logit", randint=1.0), world(40)
    model.calibrate(split(batch))
    state = model.state_dict()
    assert {"average", "low", "high", "odds"} <= set(state)
    assert all(model.part_of(k) == "concepts" for k in ("average", "low", "high", "odds", "concepts.weight"))
    other = build(seed=1, head="mlp", bottleneck="logit")
    other.load_state_dict(state, strict=True)
    model.eval(), other.eval()
    with torch.no_grad():
        first, again, second = (m.explain(batch.x, batch.y) for m in (model, model, other))
        assert torch.equal(other.encode_concepts(batch.concepts), model.encode_concepts(batch.concepts))
    for name in ("logits", "strength", "contribution", "base"):
        assert torch.equal(getattr(first, name), getattr(again, name))
        assert torch.equal(getattr(first, name), getattr(second, name))


BAD = (
    ({"num_classes": 0}, "num_classes is 0; expected at least 1"),
    ({"hidden": 0}, "hidden is 0"),
    ({"randint": 1.5}, "randint 1.5"),
    ({"randint": -0.1}, "randint -0.1"),
    ({"concepts": None}, "the data have no concepts"),
    ({"head": "tree"}, "tree"),
    ({"concepts": {"columns": {"a": {"kind": "yes"}}}}, "concept 'a' is of kind 'yes'"),
    ({"mode": "join"}, "join"),
    ({"bottleneck": "soft"}, "soft"),
)


@pytest.mark.parametrize(("args", "words"), BAD)
def test_bad_arguments(args, words):
    with pytest.raises(ValueError, match=words):
        build(**args)


def test_missing_concepts():
    batch = world(8)
    for concepts, width in ((None, "none"), (batch.concepts[:, :2], "2")):
        bare = Batch(batch.x, batch.y, batch.index, concepts=concepts)
        words = f"the data have {width} concepts; expected the 6 of the model"
        assert build(mode="joint").loss(bare, {"task": 1.0})["task"].requires_grad  # needs none of them
        for model, weights in ((build(), {"task": 1.0}), (build(mode="sequential"), {"task": 0.0, "concept": 1.0})):
            with pytest.raises(ValueError, match=words):
                model.loss(bare, weights)
        for method in ("fit_head", "calibrate"):
            with pytest.raises(ValueError, match=words):
                getattr(build(mode="joint"), method)([bare])
    with pytest.raises(ValueError, match="the head is an MLP; expected a linear head"):
        build(head="mlp").fit_head([batch])


def test_balance_before_calibrate_and_l1_of_an_mlp_are_refused():
    with pytest.raises(ValueError, match="balance needs the odds"):
        build(balance=True).loss(world(4), {"concept": 1.0})
    with pytest.raises(ValueError, match="l1 is set and the head is an MLP"):
        build(head="mlp").loss(world(4), {"l1": 1.0})


@torch.no_grad()
def test_a_logit_bottleneck_is_judged_by_its_probabilities():
    """Its 0 and 1 are percentiles, whose middle says nothing: both bottlenecks decide every concept alike."""
    batch, soft, raw = world(40), build().eval(), build(bottleneck="logit").eval()
    raw.low.fill_(-9.0)
    raw.high.fill_(1.0)
    for model in (soft, raw):
        actual = model.decode_concepts(model.explain(batch.x).strength)
        torch.testing.assert_close(actual, soft.space.values(soft.encode(batch.x)))
    result = []
    for model in (soft, raw):
        suite = Suite([{"score": "concept_accuracy"}], model.units, concepts=model.schema)
        suite.update(model, batch)
        result.append(suite.compute()["concept_accuracy"])
    assert result[0].value == result[1].value
    assert result[0].more == result[1].more
