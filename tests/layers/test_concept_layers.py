"""The arithmetic of concepts against loops over samples, concepts and groups, written from the formulas."""

import math

import pytest
import torch

from zoo.concept_schema import Concept, ConceptSchema
from zoo.layers.bottlenecks.concept_embeddings import ConceptEmbeddings, mix
from zoo.layers.concepts import ConceptSpace

SCHEMA = ConceptSchema(
    (
        Concept("a"),
        Concept("w: x", "categorical", "w"),
        Concept("size", "continuous", mean=3.0, std=2.0),
        Concept("v: 0", "categorical", "v"),
        Concept("w: y", "categorical", "w"),
        Concept("b", group="pair"),
        Concept("v: 1", "categorical", "v"),
        Concept("c", group="pair"),
        Concept("w: z", "categorical", "w"),
    )
)
SPACE = ConceptSpace(SCHEMA)
M, KINDS = len(SCHEMA), [c.kind for c in SCHEMA.concepts]
MEMBERS = {g: [j for j, c in enumerate(SCHEMA.concepts) if c.group == g] for g in SCHEMA.group_names}


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def slow_values(row):
    out = []
    for j, c in enumerate(SCHEMA.concepts):
        if c.kind == "binary":
            out.append(sigmoid(row[j]))
        elif c.kind == "categorical":
            out.append(math.exp(row[j]) / sum(math.exp(row[i]) for i in MEMBERS[c.group]))
        else:
            out.append(c.mean + c.std * row[j])
    return out


def slow_hard(row):
    out = slow_values(row)
    for j, c in enumerate(SCHEMA.concepts):
        if c.kind == "binary":
            out[j] = float(out[j] >= 0.5)
        elif c.kind == "categorical":
            out[j] = float(j == max(MEMBERS[c.group], key=lambda i: row[i]))  # max keeps the first of equals
    return out


def slow_loss(logits, truth, odds):
    """One concept at a time; a categorical group is one concept."""
    total = count = 0.0
    for row, true in zip(logits, truth, strict=True):
        for members in MEMBERS.values():
            if KINDS[members[0]] == "categorical":
                if not math.isnan(true[members[0]]):
                    largest = math.log(sum(math.exp(row[j]) for j in members))
                    total, count = total + sum(true[j] * (largest - row[j]) for j in members), count + 1
                continue
            for j in members:
                if math.isnan(true[j]):
                    continue
                if KINDS[j] == "binary":
                    p = sigmoid(row[j])
                    total -= odds[j] * true[j] * math.log(p) + (1 - true[j]) * math.log(1 - p)
                else:
                    total += (row[j] - (true[j] - SCHEMA.concepts[j].mean) / SCHEMA.concepts[j].std) ** 2
                count += 1
    return total / count


def world(n=12, *, unknown=0.3, seed=0):
    g = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, M, generator=g, dtype=torch.float64)
    truth = (torch.rand(n, M, generator=g) < 0.5).double()
    for members in MEMBERS.values():
        gone = torch.rand(n, generator=g) < unknown
        if KINDS[members[0]] == "categorical":
            truth[:, members] = torch.eye(len(members)).double()[torch.randint(len(members), (n,), generator=g)]
        elif KINDS[members[0]] == "continuous":
            truth[:, members] = 3 + 2 * torch.randn(n, 1, generator=g, dtype=torch.float64)
        for j in members:
            truth[gone, j] = torch.nan
    return logits, truth


def wide(space=SPACE):
    return ConceptSpace(SCHEMA).double() if space is SPACE else space.double()


def test_values_and_decisions_against_loops():
    logits, _ = world(6)
    result = wide().values(logits.view(2, 3, M)), wide().hard(logits.view(2, 3, M))
    for fast, slow in zip(result, (slow_values, slow_hard), strict=True):
        assert fast.shape == (2, 3, M)
        torch.testing.assert_close(fast.view(6, M), torch.tensor([slow(r) for r in logits.tolist()]).double())


def test_a_tie_goes_to_the_first_and_a_half_is_a_yes():
    logits = torch.zeros(1, M)
    logits[0, 4] = logits[0, 8] = 5.0  # w: y and w: z
    result = SPACE.hard(logits)[0]
    assert result[MEMBERS["w"]].tolist() == [0, 1, 0]
    assert result[MEMBERS["v"]].tolist() == [1, 0]
    assert result[[0, 5, 7]].tolist() == [1, 1, 1]
    assert float(result[2]) == 3.0  # a continuous concept is not decided
    assert SPACE.hard(torch.tensor(slow_hard(torch.randn(M).tolist()))).shape == (M,)


def test_gradients_pass_decisions_straight_through():
    logits, _ = world(5)
    to = torch.randn(5, M, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    grads = []
    for read in (wide().hard, wide().values):
        x = logits.clone().requires_grad_(True)
        result = read(x)
        (g,) = torch.autograd.grad((result * to).sum(), x)
        grads.append(g)
    torch.testing.assert_close(*grads)
    assert bool(grads[0].all())
    x = logits.clone().requires_grad_(True)
    assert torch.equal(wide().hard(x).detach(), wide().hard(logits))  # decisions are exact with or without gradients


@pytest.mark.parametrize("weighted", [False, True])
def test_loss_against_a_loop(weighted):
    logits, truth = world(20)
    odds = torch.where(SPACE.kind == 0, torch.tensor([2.0, 1, 1, 1, 1, 0.3, 1, 5, 1]), 1.0).double()
    expected = slow_loss(logits.tolist(), truth.tolist(), odds.tolist() if weighted else [1.0] * M)
    result = wide().loss(logits, truth, odds=odds if weighted else None)
    assert float(result) == pytest.approx(expected, rel=1e-12)
    single = SPACE.loss(logits.float(), truth.float(), odds=odds.float() if weighted else None)
    assert float(single) == pytest.approx(expected, rel=1e-5)


def test_unknown_concepts_take_no_part():
    logits, truth = world(20)
    x = logits.requires_grad_(True)
    wide().loss(x, truth).backward()
    assert bool(x.grad.isfinite().all())
    assert torch.equal(x.grad == 0, truth.isnan())
    moved = logits.detach() + 100 * truth.isnan()
    assert torch.equal(wide().loss(moved, truth), wide().loss(x, truth).detach())
    x.grad = None
    none = wide().loss(x, torch.full_like(truth, torch.nan))
    none.backward()
    assert float(none.detach()) == 0
    assert not x.grad.any()


def test_twice_the_concepts_have_the_same_loss():
    """A mean, so its weight means the same for 12 concepts and for 112; the published code of some adds up."""
    twice = [(c, tag) for tag in ("", "'") for c in SCHEMA.concepts]
    double = ConceptSchema(tuple(Concept(c.name + t, c.kind, c.group + t, c.mean, c.std) for c, t in twice))
    logits, truth = world(20)
    both = ConceptSpace(double).double().loss(logits.repeat(1, 2), truth.repeat(1, 2))
    assert float(both) == pytest.approx(float(wide().loss(logits, truth)), rel=1e-12)


@pytest.mark.parametrize("size", [2, 5, 40])
def test_a_group_counts_as_one_concept_however_many_values_it_has(size):
    values = tuple(Concept(f"w: {i}", "categorical", "w") for i in range(size))
    space = ConceptSpace(ConceptSchema((Concept("a"), *values)))
    truth = torch.zeros(3, 1 + size)
    truth[:, 1] = 1
    result = space.loss(torch.zeros(3, 1 + size), truth)
    assert float(result) == pytest.approx((math.log(2) + math.log(size)) / 2, rel=1e-6)


def test_large_logits_and_half_precision():
    logits = torch.full((2, M), 1e4, requires_grad=True)
    _, truth = world(2, unknown=0)
    (SPACE.loss(logits, truth.float()) + SPACE.values(logits).sum()).backward()
    assert bool(SPACE.values(logits).isfinite().all())
    assert bool(logits.grad.isfinite().all())
    logits, truth = world(200)
    with torch.autocast("cpu", torch.bfloat16):
        half = logits.bfloat16()
        assert SPACE.values(half).dtype == torch.float32
        rounded = slow_loss(half.double().tolist(), truth.tolist(), [1.0] * M)
        assert float(SPACE.loss(half, truth.float())) == pytest.approx(rounded, rel=1e-5)


def test_standard_values():
    _, truth = world(7)
    result = SPACE.standard(truth)
    torch.testing.assert_close(result[:, 2], (truth[:, 2] - 3) / 2, equal_nan=True)
    rest = [j for j in range(M) if j != 2]
    assert torch.equal(result[:, rest].nan_to_num(-1), truth[:, rest].nan_to_num(-1))


def test_randint_draws_whole_groups_for_each_sample():
    torch.manual_seed(0)
    n, rate = 20000, 0.25
    mask = SPACE.random_groups(n, rate)
    assert mask.shape == (n, M)
    for members in MEMBERS.values():
        assert bool((mask[:, members] == mask[:, members[:1]]).all())
    first = mask[:, [m[0] for m in MEMBERS.values()]]
    slack = 5 * math.sqrt(rate * (1 - rate) / n)
    assert ((first.double().mean(0) - rate).abs() < slack).all()
    # Groups, and samples, are drawn one by one: the published code tiles one row over the batch.
    assert len(first.unique(dim=0)) == 2 ** len(MEMBERS)
    for i in range(len(MEMBERS)):
        for j in range(i):
            assert abs(float((first[:, i] & first[:, j]).double().mean()) - rate**2) < slack
    assert abs(float((first[1:] & first[:-1]).double().mean()) - rate**2) < slack
    torch.manual_seed(0)
    assert torch.equal(SPACE.random_groups(n, rate), mask)
    assert SPACE.random_groups(50, 1.0).all()
    assert not SPACE.random_groups(50, 0.0).any()


def test_embeddings_and_mixing_against_loops():
    torch.manual_seed(0)
    d, m, width = 6, 5, 3
    layer, h = ConceptEmbeddings(d, m, width).double(), torch.randn(4, d, dtype=torch.float64)
    assert sum(p.numel() for p in layer.scorer.parameters()) == 2 * width + 1  # one scorer for all concepts
    with torch.no_grad():
        logits, context = layer(h)
        p = logits.sigmoid()
        mixed = mix(context, p)
    assert (logits.shape, context.shape, mixed.shape) == ((4, m), (4, m, 2 * width), (4, m, width))
    weight, bias = layer.context.weight.tolist(), layer.context.bias.tolist()
    scorer, offset = layer.scorer.weight[0].tolist(), layer.scorer.bias.item()
    for n in range(4):
        for i in range(m):
            own = []
            for k in range(i * 2 * width, (i + 1) * 2 * width):
                z = bias[k] + sum(w * float(x) for w, x in zip(weight[k], h[n], strict=True))
                own.append(z if z > 0 else 0.01 * z)
            chance = sigmoid(offset + sum(s * e for s, e in zip(scorer, own, strict=True)))
            assert context[n, i].tolist() == pytest.approx(own)
            assert float(p[n, i]) == pytest.approx(chance)
            expected = [chance * own[k] + (1 - chance) * own[width + k] for k in range(width)]
            assert mixed[n, i].tolist() == pytest.approx(expected)
    torch.testing.assert_close(mix(context, torch.ones_like(p)), context[..., :width])
    assert torch.equal(mix(context, torch.zeros_like(p)), context[..., width:])
    assert mix(context, p.expand(2, 4, m)).shape == (2, 4, m, width)


def test_no_state_of_its_own():
    assert not SPACE.state_dict()
    assert not list(SPACE.parameters())
