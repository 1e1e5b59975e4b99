"""Autoregressive concept bottlenecks against sums over all joint values, one by one."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from zoo import create_model
from zoo.batch import Batch
from zoo.layers.bottlenecks.autoregressive_concepts import log_odds, set_marginals

KINDS = {"a": "binary", "w: x": "categorical", "b": "binary", "w: y": "categorical", "w: z": "categorical"}
COLUMNS = {k: {"kind": v, "group": k.split(":")[0]} for k, v in KINDS.items()}
M, CLASSES, WING = 5, 3, [1, 3, 4]
CONCEPTS = [[0], WING, [2]]  # in the order of their first columns


def build(seed=0, **args):
    torch.manual_seed(seed)
    small = {"num_classes": CLASSES, "backbone": "mlp", "backbone_args": {"hidden": [8]}, "input_shape": [6]}
    model = create_model("autoregressive_cbm", **small | {"concepts": {"columns": COLUMNS}, "hidden": 7} | args)
    with torch.no_grad():
        for parameter in model.concepts.parameters():
            parameter.mul_(3)
    return model.eval()


def world(n=20, *, unknown=0.0, seed=0):
    g = torch.Generator().manual_seed(seed)
    truth = (torch.rand(n, M, generator=g) < 0.4).float()
    truth[:, WING] = torch.eye(3)[torch.randint(3, (n,), generator=g)]
    for columns in CONCEPTS:
        gone = torch.rand(n, generator=g) < unknown
        truth[:, columns] = truth[:, columns].masked_fill(gone[:, None], torch.nan)
    return Batch(torch.randn(n, 6, generator=g), torch.arange(n) % CLASSES, torch.arange(n), concepts=truth)


def conditional(model, h, j, earlier):
    """Chances of the values of concept j, from features and the columns of earlier concepts, ``{column: value}``."""
    layer = model.concepts
    hidden = layer.from_features.weight[j * 7 : j * 7 + 7] @ h + layer.from_features.bias[j * 7 : j * 7 + 7]
    for column, value in earlier.items():
        hidden = hidden + value * layer.from_concepts[j, column]
    logits = [float(layer.weight[i] @ hidden.relu() + layer.bias[i]) for i in CONCEPTS[j]]
    if len(logits) == 1:
        return [1 / (1 + math.exp(logits[0])), 1 / (1 + math.exp(-logits[0]))]
    return [math.exp(v) / sum(map(math.exp, logits)) for v in logits]


def joint(model, x):
    """Probability of each state of one input, a dictionary from the 5 columns."""
    h, out = model.features(x[None])[0], {}
    for a, w, b in itertools.product(range(2), range(3), range(2)):
        earlier, p = {}, 1.0
        for j, pick in enumerate((a, w, b)):
            p *= conditional(model, h, j, earlier)[pick]
            earlier |= {CONCEPTS[j][0]: float(pick)} if j != 1 else {c: float(c == WING[pick]) for c in WING}
        out[tuple(earlier[i] for i in range(M))] = p
    return out


def marginal(table):
    total = sum(table.values())
    return torch.tensor([sum(p for state, p in table.items() if state[i]) / total for i in range(M)])


@torch.no_grad()
def test_joint_distribution_answer_and_explanation_by_hand():
    model, batch = build(), world(4)
    log_p = model.encode(batch.x)
    result = model.explain(batch.x, target=batch.y)
    for n in range(4):
        table = joint(model, batch.x[n])
        assert sum(table.values()) == pytest.approx(1)
        for state, one in zip(model.concepts.states.tolist(), log_p[n].exp().tolist(), strict=True):
            assert one == pytest.approx(table[tuple(state)], rel=1e-4)
        p = marginal(table)
        torch.testing.assert_close(result.strength[n], p, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(result.contribution[n], model.head.weight[batch.y[n]] * result.strength[n])
        torch.testing.assert_close(result.logits[n], model.head.weight @ p + model.head.bias, rtol=1e-4, atol=1e-5)
    assert result.method == "exact"


@torch.no_grad()
def test_corrections_condition_all_others_before_and_after():
    """Every choice of set concepts and their values: only the states that agree remain."""
    model, x = build(), world(1).x
    table, state, moved = joint(model, x[0]), model.encode(x), 0.0
    for size in (1, 2, 3):
        for subset in itertools.combinations(range(3), size):
            columns = [c for j in subset for c in CONCEPTS[j]]
            mask = torch.zeros(1, M, dtype=torch.bool)
            mask[0, columns] = True
            for values in {tuple(s[c] for c in columns) for s in table}:
                agree = {s: p for s, p in table.items() if tuple(s[c] for c in columns) == values}
                value = torch.full((1, M), torch.nan)
                value[0, columns] = torch.tensor(values)
                result = model.strengths(state, mask, value)[0]
                torch.testing.assert_close(result, marginal(agree), rtol=1e-4, atol=1e-4)
                moved = max(moved, float((result - model.strengths(state)[0])[~mask[0]].abs().sum()))
    assert moved > 0.1


@torch.no_grad()
def test_conditioning_is_what_samples_say():
    model, x = build(), world(1).x
    h, generator = model.features(x)[0], torch.Generator().manual_seed(0)
    chances = {}
    kept = []
    for _ in range(4000):
        earlier = {}
        for j in range(3):
            key = (j, tuple(earlier.items()))
            p = chances.setdefault(key, conditional(model, h, j, dict(earlier)))
            pick = int(torch.multinomial(torch.tensor(p), 1, generator=generator))
            earlier |= {CONCEPTS[j][0]: float(pick)} if j != 1 else {c: float(c == WING[pick]) for c in WING}
        kept += [earlier[0]] if earlier[2] == 1 else []
    result = model.strengths(model.encode(x), torch.tensor([[False, False, True, False, False]]), torch.ones(1, M))
    assert float(result[0, 0]) == pytest.approx(sum(kept) / len(kept), abs=0.04)


@torch.no_grad()
def test_a_value_between_weights_the_cases_and_an_agreement_changes_nothing():
    model, batch = build(), world(6)
    state = model.encode(batch.x)
    own = model.strengths(state)
    mask = torch.rand(3, 6, M, generator=torch.Generator().manual_seed(2)) < 0.5
    torch.testing.assert_close(model.strengths(state, mask, own.expand(3, 6, M)), own.expand(3, 6, M))
    only = torch.zeros(6, M, dtype=torch.bool)
    only[:, 2] = True
    zero, one, some = (model.strengths(state, only, torch.full_like(own, v)) for v in (0.0, 1.0, 0.3))
    others = [0, *WING]
    torch.testing.assert_close(some[:, others], (0.7 * zero + 0.3 * one)[:, others], rtol=1e-4, atol=1e-5)


def test_contradictions_stay_finite():
    model, batch = build(), world(3)
    result = model.intervene(batch.x, dict.fromkeys(WING, 1.0))
    assert bool(result.isfinite().all())
    assert log_odds(torch.tensor([0.0, 1.0])).isfinite().all()
    sure = torch.tensor([[0.0, -200.0, -200.0, -200.0]])
    states = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    given = set_marginals(sure, states, torch.ones(1, 2, dtype=torch.bool), torch.ones(1, 2))
    assert given.tolist() == [[1.0, 1.0]]


@torch.no_grad()
@pytest.mark.parametrize("unknown", [0.0, 0.4])
def test_losses_against_the_table(unknown):
    model, batch = build(), world(8, unknown=unknown)
    terms = model.loss(batch, {"concept": 1.0})
    task, concept, known = 0.0, 0.0, 0
    for n in range(8):
        table, c = joint(model, batch.x[n]), batch.concepts[n].tolist()
        agree = [p for s, p in table.items() if all(math.isnan(v) or v == w for v, w in zip(c, s, strict=True))]
        concept -= math.log(sum(agree))
        known += sum(not math.isnan(c[i]) for i in (0, 1, 2))
        p = sum(q * (model.head.weight @ torch.tensor(s) + model.head.bias).softmax(0) for s, q in table.items())
        task -= math.log(float(p[batch.y[n]])) / 8
    assert float(terms["task"]) == pytest.approx(task, rel=1e-4)
    assert float(terms["concept"]) == pytest.approx(concept / known, rel=1e-4)
    assert tuple(model.loss(batch, {"task": 0.0})) == ()


def test_teacher_forcing_has_the_gradient_of_the_enumeration():
    batch = world(8)
    grads = []
    for way in range(2):
        model = build()
        if way:
            loss = model.loss(batch, {"concept": 1.0, "task": 0.0})["concept"]
        else:
            loss = -model._agreeing(model.encode(batch.x), batch.concepts).sum() / (8 * 3)
        loss.backward()
        grads.append([p.grad for p in model.concepts.parameters()])
    assert all(bool(g.abs().sum() > 0) for g in grads[0])
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_the_head_is_fitted_on_the_annotations():
    model, batch = build(), world(60, unknown=0.2)
    assert model.fit_head([batch], l2=1e-2)["kkt residual"] < 1e-5
    own = model.strengths(model.encode(batch.x))
    inputs = torch.where(batch.concepts.isfinite(), batch.concepts.nan_to_num(), own)
    weight = model.head.weight.clone().requires_grad_(True)
    with torch.enable_grad():
        F.cross_entropy(inputs @ weight.T + model.head.bias, batch.y).backward()
    torch.testing.assert_close(weight.grad, -1e-2 * model.head.weight, rtol=0, atol=1e-5)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="hidden is 0"):
        build(hidden=0)
    with pytest.raises(ValueError, match="concept 'size' is continuous"):
        build(concepts={"columns": COLUMNS | {"size": {"kind": "continuous"}}})
    with pytest.raises(ValueError, match=r"the concepts have 8.19e\+03 joint values, .* expected at most 4096"):
        build(concepts={"columns": {f"c{i}": {"kind": "binary"} for i in range(13)}})
    build(concepts={"columns": {f"c{i}": {"kind": "binary"} for i in range(12)}})
