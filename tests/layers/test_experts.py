"""Experts and their routing against plain loops written from the formulas; the cache; types, widths, empty experts."""

import copy
import math

import pytest
import torch
from torch.nn import functional as F

from zoo.layers.moe.experts import Experts, grouped, looped
from zoo.layers.moe.routing import SparsityGate, SwitchRouter, balance, choose, moments


def build(width=16, hidden=24, *, experts=4, k=2, activation="relu", dtype=torch.float64, **gate):
    torch.manual_seed(0)
    learnt = gate.pop("learnt", False)
    router = SwitchRouter(width, experts) if learnt else SparsityGate(**gate)
    return Experts(width, hidden, router, experts=experts, k=k, activation=activation).to(dtype)


def draw(*shape, dtype=torch.float64, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def score_of(one, x):
    """Scores of one vector, from the words of the paper."""
    if isinstance(one.router, SwitchRouter):
        return [(x * row).sum() for row in one.router.linear.weight]
    results = []
    for weight in one.inner:  # (d, m)
        mean = torch.stack([row.sum() / len(row) for row in weight])
        variance = torch.stack([((row - m) ** 2).sum() / len(row) for row, m in zip(weight, mean, strict=True)])
        chance = 0.5 * (1 + torch.erf((x * mean).sum() / (x**2 * variance).sum().sqrt() / math.sqrt(2)))
        score = -chance if one.router.form == "neg_phi" else 1 - 2 * chance
        results.append(score / one.router.temperature)
    return results


def oracle(one, x):
    """Vector by vector, expert by expert, hidden unit layer by layer."""
    rows = []
    for vector in x:
        score = torch.stack(score_of(one, vector))
        chosen = sorted(range(len(score)), key=lambda e: (-float(score[e].detach()), e))[: one.k]
        among = range(len(score)) if one.k == 1 and isinstance(one.router, SwitchRouter) else chosen
        total, y = sum(score[e].exp() for e in among), 0
        for e in chosen:
            hidden = vector @ one.inner[e]
            hidden = hidden * (hidden > 0) if one.activation == "relu" else F.gelu(hidden)
            y = y + score[e].exp() / total * (hidden @ one.out[e])
        rows.append(y)
    return torch.stack(rows)


CASES = [
    {},
    {"k": 1},
    {"k": 4},
    {"experts": 32},
    {"width": 7, "hidden": 5},
    {"form": "neg_phi"},
    {"temperature": 0.1},
    {"learnt": True},
    {"learnt": True, "k": 1},
    {"learnt": True, "activation": "gelu"},
]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 2e-4)])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_gradients(case, dtype, tolerance):
    one = build(**case, dtype=dtype)
    x, way = draw(9, one.inner.shape[1], dtype=dtype), draw(9, one.inner.shape[1], dtype=dtype, seed=2)
    result = []
    for f in (one, lambda x: oracle(one, x)):
        one.zero_grad()
        own = x.clone().requires_grad_()
        y = f(own)
        (y * way).sum().backward()
        result.append([y.detach(), own.grad, *(p.grad.clone() for p in one.parameters())])
    for fast, slow in zip(*result, strict=True):
        torch.testing.assert_close(fast, slow, rtol=tolerance, atol=tolerance)


@torch.no_grad()
@pytest.mark.parametrize("case", [*CASES, {"hidden": 1}], ids=str)
def test_is_one_wide_mlp(case):
    """Input weights side by side, hidden units times their expert's gate, output weights below one another."""
    one, recorded = build(**case), []
    x = draw(2, 3, one.inner.shape[1])
    y = one(x, lambda layer, place, value: recorded.append((layer, place, value)) or value, 5)
    (_, first, score), (layer, place, hidden) = recorded
    assert (first, layer, place) == ("route", 5, "hidden")
    ids, gate = choose(score, one.k, whole=one.k == 1 and case.get("learnt", False))
    every = torch.zeros_like(score).scatter(2, ids, gate)
    wide = torch.cat(list(one.inner), 1)
    units = (F.relu if one.activation == "relu" else F.gelu)(x @ wide)
    expected = units * every.repeat_interleave(one.inner.shape[2], 2)
    torch.testing.assert_close(hidden, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(hidden @ torch.cat(list(one.out), 0), y, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(one.effects(y), y @ torch.cat(list(one.out), 0).T, rtol=1e-10, atol=1e-10)
    assert one.out_features == hidden.shape[2]
    torch.testing.assert_close(one(x), y, rtol=0, atol=0)


@torch.no_grad()
def test_units_as_set():
    """A unit that is set counts, chosen or not; setting all to what they are changes not one bit."""
    one, x = build(), draw(5, 16)
    wide, y = [], one(x)
    assert torch.equal(one(x, lambda i, p, v: (wide.append(v), v.clone())[1]), y)
    new = draw(*wide[1].shape, seed=3)
    result = one(x, lambda i, p, v: new if p == "hidden" else v)
    torch.testing.assert_close(result, new @ one.out.flatten(0, 1), rtol=1e-10, atol=1e-10)
    forced = torch.full((5, 4), -1.0, dtype=x.dtype)
    forced[:, 2] = forced[:, 3] = 1
    y = one(x, lambda i, p, v: forced if p == "route" else v)
    expected = sum(F.relu(x @ one.inner[e]) @ one.out[e] for e in (2, 3)) / 2
    torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("ends", [[3, 3, 10], [0, 0, 10], [10, 10, 10], [2, 5, 10]])
@pytest.mark.parametrize("width", [16, 12, 7])
def test_grouped_is_the_loop(width, ends):
    result = []
    for f in (grouped, looped):
        x = draw(10, width, dtype=torch.float32).requires_grad_()
        weight = draw(3, width, 8, dtype=torch.float32, seed=2).requires_grad_()
        y = f(x, weight, torch.tensor(ends))
        y.sum().backward()  # a gradient of stride 0
        result.append((y.detach(), x.grad, weight.grad))
    for one, other in zip(*result, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_experts_without_vectors(dtype):
    one = build(experts=6, k=1, dtype=dtype)
    x = draw(1, 16, dtype=dtype).expand(4, 16)  # all go to one expert
    one(x).sum().backward()
    used = one.out.grad.abs().sum((1, 2)) > 0
    assert int(used.sum()) == 1
    assert one.inner.grad.isfinite().all()
    assert one(x[:0]).shape == (0, 16)


def test_every_vector_for_itself():
    one, x = build(experts=8), draw(64, 16)
    whole, order = one(x), torch.randperm(64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.cat([one(row) for row in x.split(1)]), whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(one(x[order]), whole[order], rtol=1e-12, atol=1e-12)
    crowd = x[:1].expand(500, 16)
    torch.testing.assert_close(one(crowd), whole[:1].expand(500, 16), rtol=1e-12, atol=1e-12)  # none is ever full


def test_equals_go_to_the_first():
    ids, gate = choose(torch.tensor([[0.5, 2, 0.5, 2, 2]]).expand(20, 5), 2)
    assert (ids == torch.tensor([1, 3])).all()
    assert (gate == 0.5).all()
    assert (choose(torch.zeros(3, 200), 2)[0] == torch.tensor([0, 1])).all()


@torch.no_grad()
def test_gate_foresees_how_many_are_active():
    """Experts of random weights, some rows of which lean to one side: the active share as predicted."""
    g = torch.Generator().manual_seed(0)
    lean = 0.3 * torch.randn(8, 64, 1, generator=g)
    inner, x = lean + torch.randn(8, 64, 256, generator=g), torch.randn(400, 64, generator=g)
    true = torch.stack([(x @ one > 0).float().mean(1) for one in inner], 1)
    result = SparsityGate().active(x, inner)
    assert torch.corrcoef(torch.stack([result.flatten(), true.flatten()]))[0, 1] > 0.98
    assert (result - true).abs().mean() < 0.03
    best = SparsityGate()(x, inner).argmax(1)
    assert true.gather(1, best[:, None]).mean() < true.mean() - 0.1  # it is the sparse ones that are chosen


def test_forms_differ_by_a_temperature():
    x, inner = draw(6, 16), draw(4, 16, 24)
    one = SparsityGate("neg_phi", temperature=0.5)(x, inner)
    two = SparsityGate("neg_erf", temperature=1.0)(x, inner)
    torch.testing.assert_close(one.softmax(-1), two.softmax(-1), rtol=1e-12, atol=1e-12)
    sharp = SparsityGate(temperature=0.01)(x, inner).softmax(-1)
    assert sharp.amax(1).mean() > two.softmax(-1).amax(1).mean() + 0.3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_spread_is_no_harm(dtype):
    """All weights of a row alike, one hidden unit, or an input of nothing: finite, gradients too."""
    for one, x in ((build(hidden=1, dtype=dtype), draw(3, 16, dtype=dtype)), (build(dtype=dtype), torch.zeros(3, 16))):
        x = x.to(dtype).requires_grad_()
        one(x).sum().backward()
        assert all(t.isfinite().all() for t in (x.grad, one.inner.grad, one.out.grad))


def test_gate_in_single_precision():
    """Under autocast the experts compute in bfloat16; the gate chooses to the bit what it chose before."""
    one, x = build(dtype=torch.float32), draw(40, 16, dtype=torch.float32)
    recorded = []
    record = lambda i, p, v: recorded.append(v) or v  # noqa: E731
    y = one(x, record)
    with torch.autocast("cpu", torch.bfloat16):
        low = one(x, record)
        assert one.router(x.bfloat16(), one.inner).dtype == torch.float32
    low.float().sum().backward()
    assert torch.equal(recorded[0], recorded[2])
    assert (recorded[1].dtype, recorded[3].dtype, low.dtype) == (torch.float32, torch.bfloat16, torch.bfloat16)
    torch.testing.assert_close(low.float(), y, rtol=0.05, atol=0.05)
    assert one.inner.grad.dtype == torch.float32


CHANGES = {
    "in place": lambda one: one.inner.mul_(2.0),
    "one weight": lambda one: one.inner[0, 0, 0].add_(1.0),
    "state": lambda one: one.load_state_dict({k: v + 1 for k, v in one.state_dict().items()}),
    "new parameter": lambda one: setattr(one, "inner", torch.nn.Parameter(one.inner + 1)),
    "type": lambda one: one.float(),
    **{f"step of {kind}": lambda one, kind=kind: step(one, kind) for kind in ("sgd", "foreach", "fused")},
}


def step(one, kind):
    options = {"lr": 0.1} if kind == "sgd" else {"lr": 0.1, kind: True}
    optimizer = (torch.optim.SGD if kind == "sgd" else torch.optim.AdamW)(one.parameters(), **options)
    with torch.enable_grad():
        one(draw(5, 16)).square().sum().backward()
    optimizer.step()


@torch.no_grad()
@pytest.mark.parametrize("how", CHANGES)
def test_moments_are_kept_until_weights_change(how):
    one = build()
    kept = one.router.moments(one.inner)
    assert one.router.moments(one.inner) is kept
    one.train()
    assert one.router.moments(one.inner) is kept
    CHANGES[how](one)
    fresh = one.router.moments(one.inner)
    for actual, expected, old in zip(fresh, moments(one.inner), kept, strict=True):
        torch.testing.assert_close(actual, expected, rtol=0, atol=0)
        assert actual.dtype != old.dtype or not torch.equal(actual, old)
    assert one.router.moments(one.inner) is fresh


def test_moments_of_copies_and_modes():
    """A copy starts anew; what was kept in inference mode serves a pass with gradients; in training they are a part."""
    one, x = build(), draw(5, 16)
    with torch.inference_mode():
        y = one(x)
    frozen = copy.deepcopy(one).requires_grad_(False)
    assert frozen.router._known is None
    with torch.inference_mode():
        frozen(x)
    own = x.clone().requires_grad_()
    frozen(own).sum().backward()
    assert own.grad.isfinite().all()
    kept = one.router.moments(one.inner)
    assert all(part.requires_grad for part in kept)  # gradients are on, and the weights learn
    assert one.router.moments(one.inner) is not kept
    torch.testing.assert_close(one(x).detach(), y.clone(), rtol=0, atol=0)


def test_balance():
    score = draw(50, 6)
    chance, used = [0.0] * 6, [0.0] * 6
    for row in score.tolist():
        total = sum(math.exp(v) for v in row)
        for e, v in enumerate(row):
            chance[e] += math.exp(v) / total / 50
        for e in sorted(range(6), key=lambda e: -row[e])[:2]:
            used[e] += 1 / 100
    assert float(balance(score, 2)) == pytest.approx(6 * sum(u * c for u, c in zip(used, chance, strict=True)))
    assert float(balance(torch.eye(6).repeat(5, 1), 1)) == pytest.approx(1)
    assert float(balance(torch.tensor([[50.0, 0, 0, 0]]).repeat(9, 1), 1)) == pytest.approx(4)
    score.requires_grad_()
    balance(score, 2).backward()  # through the mean chance of all experts, not of the chosen alone
    assert (score.grad.abs().sum(0) > 0).all()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"hidden": 0}, "hidden is 0"),
        ({"k": 0}, "k is 0"),
        ({"k": 5}, "k is 5; expected 1 to the 4"),
        ({"form": "erf"}, "gate_form is 'erf'"),
        ({"temperature": 0}, "temperature is 0"),
    ],
)
def test_wrong_arguments(args, words):
    with pytest.raises(ValueError, match=words):
        build(**args)


@pytest.mark.slow
def test_compiles():
    """Compiled, the loop takes the place of the grouped product, which is for bfloat16 alone there."""
    one, x = build(dtype=torch.float32), draw(40, 16, dtype=torch.float32)
    torch.testing.assert_close(torch.compile(one)(x), one(x), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(one)(x), one(x), rtol=1e-4, atol=1e-5)
