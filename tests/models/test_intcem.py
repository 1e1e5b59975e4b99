"""Intervention-aware concept embeddings against loops over samples, groups and corrections."""

import math

import pytest
import torch
import torch.nn.functional as F

from zoo import create_model
from zoo.batch import Batch
from zoo.concept_schema import ConceptSchema
from zoo.layers.bottlenecks.correction_policy import CorrectionPolicy, random_start, straight_through
from zoo.metrics.concepts.interventions import Interventions
from zoo.metrics.suite import Suite

KINDS = {"a": "binary", "w: x": "categorical", "b": "binary", "w: y": "categorical", "w: z": "categorical"}
COLUMNS = {k: {"kind": v, "group": k.split(":")[0]} for k, v in KINDS.items()}
M, CLASSES, WIDTH, WING, GROUPS = 5, 3, 4, [1, 3, 4], [[0], [1, 3, 4], [2]]
BOTH = {"concept": 1.0, "imitation": 1.0}


def build(name="intcem", seed=0, **args):
    torch.manual_seed(seed)
    small = {"num_classes": CLASSES, "backbone": "mlp", "backbone_args": {"hidden": [8]}, "input_shape": [6]}
    small |= {"concepts": {"columns": COLUMNS}, "width": WIDTH}
    return create_model(name, **small | ({"hidden": [7]} if name == "intcem" else {}) | args)


def world(n=12, *, unknown=0.0, seed=0):
    g = torch.Generator().manual_seed(seed)
    truth = (torch.rand(n, M, generator=g) < 0.4).float()
    truth[:, WING] = torch.eye(3)[torch.randint(3, (n,), generator=g)]
    for columns in GROUPS:
        gone = torch.rand(n, generator=g) < unknown
        truth[:, columns] = truth[:, columns].masked_fill(gone[:, None], torch.nan)
    return Batch(torch.randn(n, 6, generator=g), torch.arange(n) % CLASSES, torch.arange(n), concepts=truth)


def logits_by_hand(model, batch, n, chosen):
    """Of one sample, one concept at a time, with the groups ``chosen`` set; and the mixed embeddings."""
    p, context = model.encode(batch.x[n : n + 1])
    parts = []
    for j in range(M):
        group = next(g for g, columns in enumerate(GROUPS) if j in columns)
        weight = batch.concepts[n, j] if group in chosen else p[0, j]
        parts.append(weight * context[0, j, :WIDTH] + (1 - weight) * context[0, j, WIDTH:])
    return model.head.weight @ torch.cat(parts) + model.head.bias, torch.cat(parts)


def policy_by_hand(policy, rows, chosen):
    """Normalization by the statistics of the rows in training, by the running ones in evaluation."""
    h = torch.cat([rows, chosen], 1)
    for place, (norm, layer) in enumerate(zip(policy.norms, policy.layers, strict=True)):
        h = torch.where(h > 0, h, 0.01 * h) if place else h
        mean = h.mean(0) if policy.training else norm.running_mean
        variance = h.var(0, correction=0) if policy.training else norm.running_var
        h = (h - mean) / (variance + 1e-5).sqrt() * norm.weight + norm.bias
        h = h @ layer.weight.T + layer.bias
    return h


def ones(*groups):
    row = torch.zeros(len(GROUPS))
    row[list(groups)] = 1.0
    return row


def knows(batch, n, g):
    return not bool(batch.concepts[n, GROUPS[g]].isnan().any())


def best_by_trying(model, batch, n, chosen):
    """The group whose correction raises the logit of the true class most: every one is tried."""
    left = [g for g in range(len(GROUPS)) if g not in chosen and knows(batch, n, g)]
    if not left:
        return None, left
    return max(left, key=lambda g: float(logits_by_hand(model, batch, n, {*chosen, g})[0][batch.y[n]])), left


def test_each_concept_has_a_scorer_and_the_rest_is_a_cem():
    model, cem, batch = build().eval(), build("cem").eval(), world()
    p, context = model.encode(batch.x)
    scorer = model.embeddings.scorer
    for j in (0, 2):
        torch.testing.assert_close(p[:, j], (context[:, j] @ scorer.weight[j] + scorer.bias[j]).sigmoid())
    with torch.no_grad():
        cem.head.load_state_dict(model.head.state_dict())
        cem.embeddings.context.load_state_dict(model.embeddings.context.state_dict())
        cem.backbone.load_state_dict(model.backbone.state_dict())
        cem.embeddings.scorer.weight.copy_(scorer.weight[:1])
        cem.embeddings.scorer.bias.copy_(scorer.bias[:1])
        scorer.weight.copy_(scorer.weight[:1].expand_as(scorer.weight))
        scorer.bias.copy_(scorer.bias[:1].expand_as(scorer.bias))
    torch.testing.assert_close(model(batch.x), cem(batch.x))


@torch.no_grad()
@pytest.mark.parametrize("unknown", [0.0, 0.4])
def test_in_evaluation_nothing_is_set_and_the_first_correction_is_imitated(unknown):
    model, batch = build().eval(), world(unknown=unknown)
    terms = model.loss(batch, BOTH)
    rows = [logits_by_hand(model, batch, n, set()) for n in range(12)]
    torch.testing.assert_close(terms["task"], F.cross_entropy(torch.stack([r[0] for r in rows]), batch.y))
    scores = policy_by_hand(model.policy, torch.stack([r[1] for r in rows]), torch.zeros(12, len(GROUPS)))
    losses = []
    for n in range(12):
        best, left = best_by_trying(model, batch, n, set())
        if left:
            losses.append(math.log(sum(math.exp(scores[n, g]) for g in left)) - float(scores[n, best]))
    assert len(losses) == sum(any(knows(batch, n, g) for g in range(3)) for n in range(12))
    assert float(terms["imitation"]) == pytest.approx(sum(losses) / len(losses), rel=1e-4)
    assert float(terms["concept"]) == pytest.approx(float(model.space.loss(_logits(model, batch), batch.concepts)))
    assert torch.equal(model.loss(batch, BOTH)["task"], terms["task"])


def _logits(model, batch):
    return model.embeddings(model.features(batch.x))[0]


@torch.no_grad()
def test_in_training_a_trajectory_is_played(monkeypatch):
    """The groups that were set at first and those drawn are recorded; everything else follows by hand."""
    import zoo.models.intcem as module

    model, batch = build().train(), world(unknown=0.2)
    model.policy.horizon.fill_(3.0)
    seen = []

    def start(*args):
        seen.append(random_start(*args))
        return seen[-1]

    def draw(*args):
        seen.append(straight_through(*args))
        return seen[-1]

    monkeypatch.setattr(module, "random_start", start)
    monkeypatch.setattr(module, "straight_through", draw)
    for seed in range(4):
        seen.clear()
        torch.manual_seed(seed)
        terms = model.loss(batch, BOTH)
        steps = len(seen) - 1
        assert 1 <= steps <= 3
        chosen = [{g for g in range(3) if seen[0][n, g]} for n in range(12)]
        assert all(knows(batch, n, g) for n in range(12) for g in chosen[n])
        task = [torch.stack([logits_by_hand(model, batch, n, chosen[n])[0] for n in range(12)])]
        imitation = []
        for drawn in seen[1:]:
            rows = torch.stack([logits_by_hand(model, batch, n, chosen[n])[1] for n in range(12)])
            scores = policy_by_hand(model.policy, rows, torch.stack([ones(*c) for c in chosen]))
            losses = []
            for n in range(12):
                best, left = best_by_trying(model, batch, n, chosen[n])
                picked = drawn[n].nonzero()[:, 0].tolist()
                if left:
                    losses.append(math.log(sum(math.exp(scores[n, g]) for g in left)) - float(scores[n, best]))
                    assert len(picked) == 1
                    assert picked[0] in left
                else:
                    assert picked == []
                chosen[n] |= set(picked)
            imitation.append(sum(losses) / max(1, len(losses)))
        task.append(torch.stack([logits_by_hand(model, batch, n, chosen[n])[0] for n in range(12)]))
        before, after = (float(F.cross_entropy(t, batch.y)) for t in task)
        expected = (before + 1.1**steps * after) / (1 + 1.1**steps)
        assert float(terms["task"]) == pytest.approx(expected, rel=1e-4)
        assert float(terms["imitation"]) == pytest.approx(sum(imitation) / steps, rel=1e-4)


def test_the_class_trains_the_policy_through_what_it_draws():
    model, batch = build(randint=0.0).train(), world(40)
    model.loss(batch, {})["task"].backward()
    assert model.policy.layers[-1].weight.grad.abs().sum() > 0
    off = build(randint=0.0).eval()
    off.loss(batch, {})["task"].backward()
    assert off.policy.layers[-1].weight.grad is None


def test_the_horizon_grows_to_its_limit_and_travels():
    model, batch = build(horizon=4).train(), world()
    for _ in range(10):
        model.loss(batch, BOTH)
    assert float(model.policy.horizon) == pytest.approx(2 * 1.005**10)
    model.eval().loss(batch, BOTH)
    assert float(model.policy.horizon) == pytest.approx(2 * 1.005**10)
    policy = CorrectionPolicy(3, 2, [4])
    assert [policy.lengthen(1), policy.lengthen(9)] == [1, 1]
    policy.horizon.fill_(5.99)
    assert [policy.lengthen(6) for _ in range(3)] == [5, 6, 6]
    assert "policy.horizon" in model.state_dict()
    assert model.part_of("policy.horizon") == "policy"


def test_first_groups_are_drawn_for_each_sample():
    allowed = torch.rand(4000, 6, generator=torch.Generator().manual_seed(1)) < 0.8
    torch.manual_seed(0)
    only_rate, only_further = random_start(allowed, 0.25, 0), random_start(allowed, 0.0, 3)
    assert not bool((only_rate | only_further)[~allowed].any())
    assert float(only_rate[allowed].float().mean()) == pytest.approx(0.25, abs=0.02)
    sizes = random_start(torch.ones(4000, 6).bool(), 0.0, 3).sum(1)
    assert torch.bincount(sizes, minlength=4).tolist() == pytest.approx([1000] * 4, abs=120)
    assert len(only_rate.unique(dim=0)) > 20


def test_a_group_is_drawn_by_its_score():
    scores = torch.tensor([0.0, 1.0, 2.0, 9.0]).expand(20000, 4).clone().requires_grad_(True)
    allowed = torch.tensor([True, True, True, False]).expand(20000, 4)
    torch.manual_seed(0)
    drawn = straight_through(scores, allowed)
    assert set(drawn.detach().unique().tolist()) == {0.0, 1.0}
    share = drawn.detach().mean(0)
    torch.testing.assert_close(share[:3], torch.tensor([0.0, 1.0, 2.0]).softmax(0), rtol=0, atol=0.015)
    assert float(share[3]) == 0
    drawn[:, 2].sum().backward()
    assert float(scores.grad[:, 2].min()) >= 0
    assert float(scores.grad[:, 3].abs().max()) == 0


def test_a_batch_of_one_can_be_learned_from():
    model = build().train()
    terms = model.loss(world(1), BOTH)
    sum(terms.values()).backward()
    assert all(bool(t.isfinite()) for t in terms.values())


@torch.no_grad()
def test_the_policy_is_asked_for_its_order():
    """The score follows the policy step by step; so does a loop over samples."""
    model, batch = build().eval(), world(30, unknown=0.2)
    schema = ConceptSchema.from_config({"columns": COLUMNS})
    model.head.weight.mul_(5)
    suite = Suite([{"score": "interventions", "policies": ["learned"], "seeds": 1}], model.units, concepts=schema)
    suite.update(model, batch)
    right = [0] * 4
    for n in range(30):
        chosen, ranked = set(), []
        right[0] += int(logits_by_hand(model, batch, n, chosen)[0].argmax() == batch.y[n])
        for step in range(1, 4):
            logits, row = logits_by_hand(model, batch, n, chosen)
            scores = policy_by_hand(model.policy, row[None], ones(*chosen)[None])[0]
            ranked.append(max((g for g in range(3) if g not in ranked), key=lambda g: float(scores[g])))
            chosen |= {ranked[-1]} if knows(batch, n, ranked[-1]) else set()
            right[step] += int(logits_by_hand(model, batch, n, chosen)[0].argmax() == batch.y[n])
    score = suite.rows["interventions"].score
    assert score.compute()["curve/learned"].tolist() == pytest.approx([r / 30 for r in right])


def test_the_policy_learned_needs_a_model_with_one():
    schema = ConceptSchema.from_config({"columns": COLUMNS})
    assert "correction_policy" in Interventions(schema, policies=["learned"]).requires
    assert "correction_policy" not in Interventions(schema).requires
    model, batch = build("cem").eval(), world()
    suite = Suite([{"score": "interventions", "policies": ["learned"]}], model.units, concepts=schema)
    suite.update(model, batch)
    assert suite.rows["interventions"].note == "n/a: the model has no learned policy of corrections"
    score = Interventions(schema, policies=["learned"])
    row = torch.full((2, M), 0.5)
    with pytest.raises(ValueError, match="the policy learned needs the scores of a model's own policy"):
        score.update(row, row, row, torch.tensor([0, 1]), torch.arange(2), row, row, decide=lambda m, v: v)


@pytest.mark.parametrize("args", [{"horizon": 0}, {"discount": 0.0}, {"hidden": []}, {"hidden": [0]}])
def test_wrong_arguments(args):
    with pytest.raises(ValueError, match="expected at least 1, above 0, and widths of at least 1"):
        build(**args)
    with pytest.raises(ValueError, match="intcem cannot do regression"):
        build(task="regression", num_classes=1)
