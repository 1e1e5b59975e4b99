"""Concept embedding models against loops; RandInt, and what setting a concept means."""

import pytest
import torch
import torch.nn.functional as F

from zoo import create_model
from zoo.batch import Batch

KINDS = {"a": "binary", "w: x": "categorical", "b": "binary", "w: y": "categorical", "w: z": "categorical"}
COLUMNS = {k: {"kind": v, "group": k.split(":")[0]} for k, v in KINDS.items()}
M, CLASSES, WIDTH, WING = 5, 3, 4, [1, 3, 4]


def build(seed=0, **args):
    torch.manual_seed(seed)
    small = {"num_classes": CLASSES, "backbone": "mlp", "backbone_args": {"hidden": [8]}, "input_shape": [6]}
    return create_model("cem", **small | {"concepts": {"columns": COLUMNS}, "width": WIDTH} | args)


def world(n=20, *, unknown=0.0, seed=0):
    g = torch.Generator().manual_seed(seed)
    truth = (torch.rand(n, M, generator=g) < 0.4).float()
    truth[:, WING] = torch.eye(3)[torch.randint(3, (n,), generator=g)]
    for columns in ([0], [2], WING):
        gone = torch.rand(n, generator=g) < unknown
        truth[:, columns] = truth[:, columns].masked_fill(gone[:, None], torch.nan)
    return Batch(torch.randn(n, 6, generator=g), torch.arange(n) % CLASSES, torch.arange(n), concepts=truth)


def by_hand(model, x, changes=None):
    """One sample and one concept at a time: chances, mixed embeddings, logits; ``changes[n, i]`` sets a chance."""
    changes, chances, mixed, logits = changes or {}, [], [], []
    for n in range(len(x)):
        h = model.backbone(x[n : n + 1]).flatten()
        z = [F.leaky_relu(part, 0.01) for part in model.embeddings.context(h).split(2 * WIDTH)]
        score = [model.embeddings.scorer.weight[0] @ e + model.embeddings.scorer.bias[0] for e in z]
        wing = sum(score[i].exp() for i in WING)
        p = [score[i].exp() / wing if i in WING else 1 / (1 + (-score[i]).exp()) for i in range(M)]
        used = [changes.get((n, i), p[i]) for i in range(M)]
        e = [used[i] * z[i][:WIDTH] + (1 - used[i]) * z[i][WIDTH:] for i in range(M)]
        chances.append(torch.stack(p))
        mixed.append(torch.stack(e))
        logits.append(model.head.weight @ torch.cat(e) + model.head.bias)
    return torch.stack(chances), torch.stack(mixed), torch.stack(logits)


@torch.no_grad()
def test_answer_and_explanation_against_a_loop():
    model, batch = build().eval(), world(6)
    p, mixed, logits = by_hand(model, batch.x)
    result = model.explain(batch.x, target=batch.y)
    torch.testing.assert_close(model(batch.x), logits)
    torch.testing.assert_close(result.strength, p)
    for n in range(6):
        for i in range(M):
            block = model.head.weight[batch.y[n], i * WIDTH : (i + 1) * WIDTH]
            assert float(result.contribution[n, i]) == pytest.approx(float(block @ mixed[n, i]), abs=1e-6)
        total = result.contribution[n].sum() + result.base[n]
        assert float(total) == pytest.approx(float(logits[n, batch.y[n]]), abs=1e-5)
    assert result.method == "exact"
    assert result.units.group == ("a", "w", "b", "w", "w")


def test_one_scorer_serves_all_concepts():
    model = build()
    scorer = model.embeddings.scorer
    assert scorer.weight.shape == (1, 2 * WIDTH)
    model(world().x)
    logits, context = model.embeddings(model.features(world().x))
    for i in range(M):
        torch.testing.assert_close(scorer(context[:, i])[:, 0], logits[:, i])


@torch.no_grad()
def test_the_concept_term_never_sees_randint():
    batch, terms = world(unknown=0.3), {}
    for randint in (0.0, 1.0):
        terms[randint] = build(randint=randint).train().loss(batch, {"concept": 1.0})
        assert tuple(terms[randint]) == ("task", "concept")
    assert torch.equal(terms[0.0]["concept"], terms[1.0]["concept"])
    assert not torch.equal(terms[0.0]["task"], terms[1.0]["task"])
    p = by_hand(build(), batch.x)[0].double()
    total, count = 0.0, 0
    for n, row in enumerate(batch.concepts.double()):
        for i in (0, 2):
            if not row[i].isnan():
                total, count = total - (row[i] * p[n, i].log() + (1 - row[i]) * (1 - p[n, i]).log()), count + 1
        if not row[1].isnan():
            total, count = total - (row[WING] * p[n, WING].log()).sum(), count + 1
    assert float(terms[0.0]["concept"]) == pytest.approx(float(total) / count, rel=1e-5)
    assert "concept" not in build().loss(batch, {"concept": 0.0})


@torch.no_grad()
@pytest.mark.parametrize("randint", [0.25, 1.0])
def test_randint_sets_the_known_groups_of_each_sample(randint):
    model, batch = build(randint=randint).train(), world(40, unknown=0.3)
    torch.manual_seed(3)
    mask = model.space.random_groups(40, randint)
    assert bool((mask[:, WING] == mask[:, [1]]).all())
    changes = {
        (n, i): batch.concepts[n, i]
        for n in range(40)
        for i in range(M)
        if mask[n, i] and not batch.concepts[n, i].isnan()
    }
    expected = float(F.cross_entropy(by_hand(model, batch.x, changes)[2], batch.y))
    for _ in range(2):  # reproducible from the seed
        torch.manual_seed(3)
        assert float(model.loss(batch, {})["task"]) == pytest.approx(expected, rel=1e-5)
    if randint < 1:
        assert len(mask.unique(dim=0)) > 4  # published code has one row for the whole batch
        assert float(model.loss(batch, {})["task"]) != pytest.approx(expected, rel=1e-5)


@torch.no_grad()
def test_randint_is_off_in_evaluation():
    model, batch = build(randint=1.0).eval(), world()
    plain = F.cross_entropy(model(batch.x), batch.y)
    for _ in range(2):
        assert torch.equal(model.loss(batch, {})["task"], plain)
    assert torch.equal(model(batch.x), model(batch.x))


def test_unknown_concepts_are_not_set_and_carry_no_gradient():
    model, batch = build(randint=1.0).train(), world()
    nothing = Batch(batch.x, batch.y, batch.index, concepts=torch.full_like(batch.concepts, torch.nan))
    terms = model.loss(nothing, {"concept": 1.0})
    assert torch.equal(terms["task"], F.cross_entropy(model(batch.x), batch.y))
    sum(terms.values()).backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())
    assert float(terms["concept"].detach()) == 0
    # A concept that is set teaches its own embedding only: the scorer learns nothing from the answer.
    given = build(randint=1.0).train()
    task = given.loss(batch, {})["task"]
    grads = torch.autograd.grad(task, [given.embeddings.scorer.weight, given.embeddings.context.weight])
    assert not grads[0].any()
    rows = grads[1].unflatten(0, (M, 2, WIDTH)).abs().sum((2, 3)) > 0
    assert torch.equal(rows, torch.stack([(batch.concepts == 1).any(0), (batch.concepts == 0).any(0)], 1))


@torch.no_grad()
def test_setting_a_concept_is_a_mixing_weight_of_zero_or_one():
    model, batch = build().eval(), world(5)
    value, mask = model.encode_concepts(batch.concepts), torch.rand(5, M, generator=torch.manual_seed(1)) < 0.5
    assert set(value.unique().tolist()) == {0.0, 1.0}
    changes = {(n, i): value[n, i] for n in range(5) for i in range(M) if mask[n, i]}
    expected = by_hand(model, batch.x, changes)[2]
    torch.testing.assert_close(model.intervene(batch.x, value, mask), expected)
    torch.testing.assert_close(model.intervene(batch.x, torch.where(mask, value, torch.nan), mask), expected)
    several = model.decide(model.encode(batch.x), torch.stack([mask, ~mask]), value.expand(2, 5, M))
    torch.testing.assert_close(several[0], expected)
    # [[0], [1]] is concept 0 of the first input and concept 1 of the second, not both of both.
    two = torch.zeros(2, M, dtype=torch.bool)
    two[0, 0] = two[1, 1] = True
    result = model.intervene(batch.x[:2], torch.ones(2, M), two)
    torch.testing.assert_close(result, by_hand(model, batch.x[:2], {(0, 0): 1.0, (1, 1): 1.0})[2])
    torch.testing.assert_close(
        model.intervene(batch.x, {0: 0.0, 2: 0.3}),
        by_hand(model, batch.x, {(n, i): v for n in range(5) for i, v in ((0, 0.0), (2, 0.3))})[2],
    )


@torch.no_grad()
@pytest.mark.parametrize("lead", [(), (1,), (2,), (40,), (5, 8)])
@pytest.mark.parametrize("classes", [3, 30])
def test_many_questions_at_once_are_answered_as_one_by_one(lead, classes):
    model, batch = build(num_classes=classes).eval().double(), world(4)
    state, g = model.encode(batch.x.double()), torch.Generator().manual_seed(0)
    mask = torch.rand(*lead, 4, M, generator=g) < 0.5
    value = torch.rand(*lead, 4, M, generator=g, dtype=torch.float64).masked_fill(~mask, torch.nan)
    result = model.decide(state, mask, value)
    assert result.shape == (*lead, 4, classes)
    pairs = zip(mask.view(-1, 4, M), value.view(-1, 4, M), strict=True)
    alone = torch.stack([model.head(mixed(state, m, v).flatten(1)) for m, v in pairs])
    torch.testing.assert_close(result.view(-1, 4, classes), alone, rtol=1e-10, atol=1e-10)
    nobody = tuple(part[:0] for part in state)
    assert model.decide(nobody, mask[..., :0, :], value[..., :0, :]).shape == (*lead, 0, classes)


def mixed(state, mask, value):
    p, context = state
    weight = torch.where(mask, value, p)[..., None]
    return weight * context[..., :WIDTH] + (1 - weight) * context[..., WIDTH:]


def test_state_travels():
    model, other, x = build().eval(), build(seed=1).eval(), world().x
    other.load_state_dict(model.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(model(x), other(x))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"num_classes": 0}, "num_classes is 0; expected at least 1"),
        ({"width": 0}, "width is 0"),
        ({"randint": 1.01}, "randint 1.01"),
        ({"randint": -1.0}, "randint -1"),
        ({"concepts": None}, "the data have no concepts"),
        ({"concepts": {"columns": COLUMNS | {"size": {"kind": "continuous"}}}}, "concept 'size' is continuous"),
    ],
)
def test_bad_arguments(args, words):
    with pytest.raises(ValueError, match=words):
        build(**args)


def test_missing_concepts():
    batch = world(8)
    for concepts, width in ((None, "none"), (batch.concepts[:, :2], "2")):
        with pytest.raises(ValueError, match=f"the data have {width} concepts; expected the 5 of the model"):
            build().loss(Batch(batch.x, batch.y, batch.index, concepts=concepts), {})
