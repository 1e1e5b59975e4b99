"""Heads under edits: worked values, and optima against an optimizer written from the problem alone."""

import pytest
import torch
import torch.nn.functional as F
from test_contract import build, draw

from zoo.batch import Batch
from zoo.editing.state import EditState
from zoo.evaluation.units.unit_values import read_statements
from zoo.layers.class_shares import class_shares
from zoo.layers.edited_head import HeadProblem, solve_head


def problem(seed=0, n=60, u=4, c=3, **options):
    g = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, u, generator=g, dtype=torch.float64)
    y = (inputs @ torch.randn(u, c, generator=g, dtype=torch.float64) + torch.randn(n, c, generator=g)).argmax(1)
    start = torch.zeros(c, u, dtype=torch.float64)
    return HeadProblem(inputs, y, start, torch.ones_like(start).bool(), l1=0.0, l2=0.05, **options)


def descended(of, allowed, given, sign, steps=1500):
    """The same problem by projected gradient descent over the free weights and the bias."""
    weight, bias = given.clone(), torch.zeros(len(given), dtype=torch.float64)
    for _ in range(steps):
        weight.requires_grad_(True)
        bias.requires_grad_(True)
        loss = F.cross_entropy(of.inputs @ weight.T + bias, of.y) + of.l2 / 2 * (weight * allowed).square().sum()
        slopes = torch.autograd.grad(loss, [weight, bias])
        weight = (weight - 0.5 * slopes[0] * allowed).detach()
        weight = torch.where((sign != 0) & (weight * sign < 0), 0.0, weight)
        bias = (bias - 0.5 * slopes[1]).detach()
    return weight, bias


def test_a_head_is_solved_within_the_limits_of_edits():
    of = problem(bias=True)
    now = torch.full((3, 4), 0.2, dtype=torch.float64)
    state = EditState.start(4).hold(0).fix(1, 2, -0.7).sign(2, 0, -1).sign(2, 1, 1)
    state = EditState(state.origin, {}, state.held, frozenset({3}), state.fixed, state.signs)
    weight, bias, residual = solve_head(of, now, state)
    allowed, given = torch.ones(3, 4, dtype=torch.float64), torch.zeros(3, 4, dtype=torch.float64)
    sign = torch.zeros(3, 4)
    allowed[:, [0, 3]] = 0
    allowed[2, 1] = 0
    given[:, 3], given[2, 1] = 0.2, -0.7
    sign[0, 2], sign[1, 2] = -1, 1
    expected, expected_bias = descended(of, allowed, given, sign)
    assert residual < 1e-5
    assert torch.equal(weight[allowed == 0], given[allowed == 0])
    torch.testing.assert_close(weight, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(bias - bias.mean(), expected_bias - expected_bias.mean(), rtol=0, atol=1e-3)
    assert bool((weight[0, 2] <= 0) & (weight[1, 2] >= 0))


def test_shares_of_a_class_are_solved_to_the_optimum():
    g = torch.Generator().manual_seed(1)
    scores, owner = torch.rand(80, 6, generator=g, dtype=torch.float64), torch.tensor([0, 0, 0, 1, 1, 1])
    y = (scores[:, 0] + 0.1 * torch.randn(80, generator=g) < scores[:, 3]).long()
    free = torch.tensor([True, True, True, True, True, False])
    weight = torch.tensor([1.0, 1.0, 1.0, 1.5, 0.5, 1.0])
    solved = class_shares(scores, y, owner, weight, free, l2=0.01)
    assert solved[5] == 1.0
    torch.testing.assert_close(solved[:3].sum(), torch.tensor(3.0).double())
    torch.testing.assert_close(solved[3:].sum(), torch.tensor(3.0).double())

    def value(w):
        own = F.one_hot(owner).double()
        return float(F.cross_entropy((scores * w) @ own, y) + 0.005 * (w - 1).square().sum())

    best = value(solved)
    for _ in range(300):  # no feasible neighbor is better
        step = torch.randn(6, generator=g, dtype=torch.float64) * 0.05
        step[5] = 0
        step[:3] -= step[:3].mean()
        step[3:5] -= step[3:5].mean()
        moved = solved + step
        if bool((moved >= 0).all()):
            assert value(moved) >= best - 1e-9


@torch.no_grad()
def test_operations_on_concepts_do_what_the_formula_says():
    model = build("cbm", {"backbone": "mlp"})
    x = draw(model, 6, torch.Generator().manual_seed(3))
    model.average.copy_(torch.tensor([0.25, 0.5, 0.1, 0.9, 0.3]))
    strength, weight, bias = model.strengths(model.encode(x)), model.head.weight.clone(), model.head.bias.clone()
    inputs = model._head_input(strength)
    old = inputs @ weight.T + bias
    mean = model._head_input(model.average)[1]
    dropped = model.edit([{"operation": "drop", "unit": "b"}])
    torch.testing.assert_close(dropped(x), old - (inputs[:, 1:2] - mean) * weight[:, 1])
    base = model.edit([{"operation": "drop", "unit": "b", "mean": "base"}])
    torch.testing.assert_close(base(x), old - inputs[:, 1:2] * weight[:, 1])
    given = model.edit([{"operation": "weight", "unit": "a", "class": 2, "value": 1.5}])
    change = torch.zeros_like(old)
    change[:, 2] = inputs[:, 0] * (1.5 - weight[2, 0])
    torch.testing.assert_close(given(x), old + change)
    c = int(weight[:, 0].argmax())
    signed = model.edit([{"operation": "sign", "unit": "a", "class": c, "sign": "-"}])
    assert signed.head.weight[c, 0] == 0 or weight[c, 0] < 0
    renamed = model.edit([{"operation": "rename", "unit": "a", "to": "x"}])
    assert renamed.units.group[0] == "x"
    masks, _ = read_statements(renamed, model.schema, {"x": "1", "wing": "short"})
    assert masks.tolist() == [[True, False, False, False, False], [False, False, True, True, False]]
    torch.testing.assert_close(renamed(x), model(x), rtol=0, atol=0)


def test_resolve_keeps_what_edits_have_fixed():
    model = build("protopnet", {"similarity": "cosine"})
    x = draw(model, 24, torch.Generator().manual_seed(4))
    batch = Batch(x, torch.arange(24) % 4, torch.arange(24))
    edits = [{"operation": "forbid", "unit": "class 0 #0"}, {"operation": "lock", "unit": "class 1 #1"}]
    edited = model.edit([*edits, {"operation": "resolve", "l2": 0.01}], train=[batch])
    assert not edited.head.weight[:, 0].any()
    assert torch.equal(edited.head.weight[:, 4], model.head.weight[:, 4])
    assert not torch.equal(edited.head.weight[:, 5], model.head.weight[:, 5])

    def value(weight):
        own = edited.own()
        with torch.no_grad():
            logits = edited.scores(x) @ weight.T
        penalty = 1e-4 * weight[~own].abs().sum() + 0.005 * (weight - own.float()).square()[:, 1:].sum()
        return float(F.cross_entropy(logits, batch.y) + penalty)

    g, best = torch.Generator().manual_seed(5), value(edited.head.weight.detach())
    for _ in range(50):
        step = 0.01 * torch.randn(edited.head.weight.shape, generator=g)
        step[:, [0, 4]] = 0
        assert value(edited.head.weight.detach() + step) >= best - 1e-6
    with pytest.raises(ValueError, match="l1 is -1.0, l2 0.001; expected 0 or more"):
        model.edit([{"operation": "resolve", "l1": -1}], train=[batch])


SLOW = [pytest.param(name, {}, marks=pytest.mark.slow) for name in ("protopool", "pipnet", "cbc")]


@torch.no_grad()
@pytest.mark.parametrize(("name", "extra"), [("sdfa_sa", {}), *SLOW])
def test_merged_and_forbidden_prototypes(name, extra):
    """Merging adds the weights; forbidding sets them to 0, of a softmax in proportion."""
    model = build(name, extra)
    names, old = list(model.units.names), model.class_weights().clone()
    merged = model.edit([{"operation": "merge", "unit": names[4], "into": names[5]}])
    into = merged.units.names.index(names[5])
    torch.testing.assert_close(merged.class_weights()[:, into], old[:, 4] + old[:, 5])
    forbidden = model.edit([{"operation": "forbid", "unit": names[4]}]).class_weights()
    assert not forbidden[:, 4].any()
    if name == "sdfa_sa":  # three of each class
        share = old[1, [3, 5]] / old[1, [3, 5]].sum() * 3
        torch.testing.assert_close(forbidden[1, [3, 5]], share)
        with pytest.raises(ValueError, match="last prototype of its class"):
            model.edit([{"operation": "forbid", "unit": i} for i in (3, 4, 5)])
    elif name != "cbc":
        torch.testing.assert_close(forbidden[:, 5], old[:, 5])
