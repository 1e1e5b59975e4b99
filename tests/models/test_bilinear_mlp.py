"""What is special to bilinear MLPs: explanations against the weights, truncation, masks, stacks, a true cache."""

import copy

import pytest
import torch

from zoo import create_model
from zoo.batch import Batch

CLASSES, SHAPE = 4, [2, 5, 5]


def build(**args):
    torch.manual_seed(args.pop("seed", 0))
    given = {"num_classes": CLASSES, "input_shape": SHAPE, "width": 12, "patterns": 5} | args
    model = create_model("bilinear_mlp", **given).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model


@pytest.fixture
def x():
    return torch.randn(6, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def by_hand(model, x):
    """Every ``lambda_i (v_i . x)^2`` of every class ``(b, c, d)``, from the weights, class by class, float64."""
    h = model.embed.out_features
    layer, z = model.layers[-1], model.encode(x)
    bias = model.head.bias is not None
    z = torch.cat([z, z.new_ones(len(z), 1)], 1) if bias else z
    legs = torch.cat([layer.weight, layer.bias[:, None]], 1) if bias else layer.weight
    out = []
    for c in range(CLASSES):
        q = sum(model.head.weight[c, m] * torch.outer(legs[m], legs[h + m]) for m in range(h))
        if bias:
            q[-1, -1] += model.head.bias[c]
        values, vectors = torch.linalg.eigh((q + q.T) / 2)
        order = values.abs().argsort(descending=True)
        out.append((values * (z @ vectors).square())[:, order])
    return torch.stack(out, 1)


@torch.no_grad()
@pytest.mark.parametrize("args", [{}, {"bias": True}, {"depth": 3}, {"depth": 2, "bias": True}], ids=str)
def test_explanation_is_the_spectrum(x, args):
    model = build(**args)
    terms, y = by_hand(model, x), torch.tensor([0, 1, 2, 3, 0, 1])
    torch.testing.assert_close(terms.sum(2), model(x), rtol=1e-10, atol=1e-10)
    e = model.explain(x, target=y, shown=20)
    rows = torch.arange(6)
    expected = torch.zeros(6, CLASSES, 5, dtype=torch.float64)
    expected[rows, y] = terms[rows, y, :5]
    torch.testing.assert_close(e.contribution, expected.flatten(1), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(e.base, terms[rows, y, 5:].sum(1), rtol=1e-10, atol=1e-10)
    assert not e.contribution[e.units.owner != y[:, None]].any()
    assert (e.strength >= 0).all()
    assert e.method == "exact"
    assert (e.where is None) == (len(model.layers) > 1)


@torch.no_grad()
def test_vocabulary(x):
    model = build()
    units = model.units
    values = model.decompose().values[:, :5].flatten()
    assert units.kind == "eigenvector"
    assert units.owner.tolist() == [c for c in range(4) for _ in range(5)]
    assert len(set(units.names)) == 20
    for name, owner, value in zip(units.names, units.owner.tolist(), values.tolist(), strict=True):
        assert name.startswith(f"class {owner} {'+' if value > 0 else '-'}")
    assert build(patterns=50).patterns == 12
    assert build(patterns=50, bias=True).patterns == 13
    everything = build(patterns=50).explain(x)
    torch.testing.assert_close(everything.base, torch.zeros(6).double(), rtol=0, atol=1e-10)


@torch.no_grad()
def test_where_sums_to_strength(x):
    model = build()
    e = model.explain(x, shown=20)
    assert e.where.shape == (6, 20, 5, 5)
    torch.testing.assert_close(e.where.sum((2, 3)), e.strength.gather(1, e.shown), rtol=1e-10, atol=1e-10)
    pictures = model.unit_templates(torch.arange(20))
    assert pictures.shape == (20, *SHAPE)
    for i, j in ((0, 0), (3, 7)):
        u = int(e.shown[i, j])
        v = model.decompose().vectors[u // 5, u % 5]
        torch.testing.assert_close(pictures[u].flatten(), v @ model.embed.weight)
        expected = (v @ model.embed(x[i].flatten())) * (pictures[u] * x[i]).sum(0)
        torch.testing.assert_close(e.where[i, j], expected, rtol=1e-10, atol=1e-12)


@torch.no_grad()
def test_table():
    model, x = build(input_shape=[6], bias=True), torch.randn(3, 6).double()
    e = model.explain(x, shown=torch.tensor([[0, -1]] * 3))
    assert e.where.shape == (3, 2, 6)
    assert not e.where[:, 1].any()
    assert model.unit_templates(torch.tensor([3, 1])).shape == (2, 6)
    v, z = model.decompose().vectors[0, 0], model.encode(x)
    place = (z @ v[:-1] + v[-1]) * (z @ v[:-1])  # the constant coordinate has no place
    torch.testing.assert_close(e.where[:, 0].sum(1), place)


@torch.no_grad()
@pytest.mark.parametrize("depth", [1, 2])
def test_setting_a_unit_moves_its_class(x, depth):
    model = build(depth=depth)
    e, values = model.explain(x), model._decomposed().values
    for u in (0, 7, 19):
        moved = model.intervene(x, {u: 2.5}) - model(x)
        expected = torch.zeros_like(moved)
        expected[:, u // 5] = values[u] * (2.5 - e.strength[:, u])
        torch.testing.assert_close(moved, expected, rtol=1e-10, atol=1e-10)
    mask = torch.zeros(6, 20, dtype=torch.bool)
    mask[2, 3] = True
    unread = torch.where(mask, 1.0, torch.nan).double()
    assert model.intervene(x, unread, mask).isfinite().all()


@torch.no_grad()
def test_the_decomposition_follows_the_weights(x):
    model = build()
    before = model.decompose()
    assert model.decompose() is before  # found once
    for move in (
        lambda m: m.head.weight.mul_(-1),
        lambda m: m.layers[0].weight.data.add_(0.1),  # a change that tensor versions do not see
        lambda m: m.load_state_dict(build(seed=5).state_dict()),
        lambda m: m.embed.weight.data.mul_(2),
    ):
        move(model)
        e = model.explain(x, shown=20)
        fresh = copy.deepcopy(model)
        fresh._cache = None
        assert torch.equal(e.contribution, fresh.explain(x).contribution)
        assert torch.equal(e.where, fresh.explain(x, shown=20).where)
        torch.testing.assert_close(e.contribution.sum(1), by_hand(model, x)[range(6), e.target, :5].sum(1))
    assert torch.equal(model.float().unit_templates(torch.tensor([0])), model.unit_templates(torch.tensor([0])))
    assert model.unit_templates(torch.tensor([0])).dtype == torch.float32


def test_decomposed_in_inference_mode_serves_gradients(x):
    model = build()
    with torch.inference_mode():
        model.explain(x)
    x.requires_grad_()
    model.explain(x).contribution.sum().backward()
    assert x.grad.isfinite().all()
    assert x.grad.any()


@torch.no_grad()
@pytest.mark.parametrize("bias", [False, True])
def test_truncated(x, bias):
    model = build(bias=bias)
    terms = by_hand(model, x)
    for n in (0, 1, 4, 12 + bias):
        told = model.truncated(x, n)
        torch.testing.assert_close(told.outputs, terms[:, :, :n].sum(2), rtol=1e-9, atol=1e-10)
        assert ((told.outputs - model(x)).abs() <= told.bound + 1e-10).all()
    with pytest.raises(ValueError, match="n is -1"):
        model.truncated(x, -1)


@torch.no_grad()
def test_similarity():
    """Cosine of the tensors over inputs and a constant 1, materialised; models of unlike width and bias included."""

    def tensor(model):
        h = model.embed.out_features
        legs = model.layers[0].weight @ model.embed.weight
        bias = legs.new_zeros(2 * h) if model.layers[0].bias is None else model.layers[0].bias
        legs = torch.cat([legs, bias[:, None]], 1)
        t = torch.einsum("cm,mi,mj->cij", model.head.weight, legs[:h], legs[h:])
        t[:, -1, -1] += 0 if model.head.bias is None else model.head.bias
        return (t + t.mT) / 2

    a, b = build(), build(width=9, seed=1, bias=True)
    one, two = tensor(a), tensor(b)
    assert a.similarity(b) == pytest.approx(float((one * two).sum() / one.norm() / two.norm()), abs=1e-10)
    assert a.similarity(a) == pytest.approx(1, abs=1e-12)
    twin = copy.deepcopy(a)
    twin.layers[0].weight.copy_(twin.layers[0].weight.roll(12, 0))  # L and R swapped: the same function
    assert a.similarity(twin) == pytest.approx(1, abs=1e-12)
    for other, words in (
        (build(input_shape=[5]), "expected models of the same inputs"),
        (build(num_classes=3), "classes are 4 and 3; expected models of the same classes"),
        (build(depth=2), "analyze its layers"),
    ):
        with pytest.raises(ValueError, match=words):
            a.similarity(other)


@torch.no_grad()
def test_stacks_decompose_layer_by_layer(x):
    model = build(depth=2, bias=True)
    for ask in (model.decompose, model.forms):
        with pytest.raises(ValueError, match="depth is 2; expected 1.*interaction"):
            ask()
    assert model.unit_templates(torch.tensor([0])) is None
    z = model.embed(x.flatten(1))
    for i, layer in enumerate(model.layers):
        direction = torch.randn(3, 12, dtype=torch.float64)
        q, long = model.interaction(i, direction), torch.cat([z, z.new_ones(6, 1)], 1)
        z = layer(z)
        torch.testing.assert_close(torch.einsum("bi,nij,bj->bn", long, q, long), z @ direction.T)
    with pytest.raises(ValueError, match="layer is 2; expected 0 to 1"):
        model.interaction(2, direction)
    with pytest.raises(ValueError, match=r"direction is \(3, 11\); expected \(n, 12\)"):
        model.interaction(0, direction[:, :11])


def planted():
    """A model whose class c is ``3 (u_c . x)^2`` for orthonormal ``u_c``, and inputs that are noisy ``u_c``."""
    model = build(input_shape=[16], width=16)
    g = torch.Generator().manual_seed(3)
    basis = torch.linalg.qr(torch.randn(16, 16, generator=g, dtype=torch.float64)).Q
    with torch.no_grad():
        model.embed.weight.copy_(torch.eye(16))
        model.layers[0].weight.copy_(basis.repeat(2, 1))
        model.head.weight.copy_(3 * torch.eye(CLASSES, 16))
    y = torch.arange(400) % CLASSES
    x = basis[y] * (1 + torch.rand(400, 1, generator=g).double()) + 0.05 * torch.randn(400, 16, generator=g).double()
    return model, [Batch(x[i], y[i], i) for i in torch.arange(400).split(150)]


@torch.no_grad()
def test_findings_of_a_planted_model():
    model, loader = planted()
    told = model.extra_metrics(loader)
    assert told["top 1 accuracy"] == told["top 10 accuracy"] == 1.0
    assert told["effective rank"] == pytest.approx(1.0)
    x, y = torch.cat([b.x for b in loader]), torch.cat([b.y for b in loader])
    spread, rates = float(x.std(correction=0)), []
    for c in range(CLASSES):  # the mask of class c is u_c itself
        mask = model.layers[0].weight[c]
        mask = mask / mask.std(correction=0) * 0.5 * spread
        mask = mask * (1 if mask @ x.mean(0) > 0 else -1)
        rates.append(float((model(x + mask).argmax(1) == y).double().mean()))
    assert told["masked accuracy"] == pytest.approx(sum(rates) / 4)
    assert told == model.extra_metrics(loader)
    deep = build(depth=2, input_shape=[16])
    assert sorted(deep.extra_metrics(loader)) == ["effective rank", *(f"top {n} accuracy" for n in (1, 10, 2, 5))]


def test_noise_is_for_training_only(x):
    model, y = build(noise=0.5), torch.zeros(6, dtype=torch.int64)
    batch = Batch(x, y, y)
    torch.testing.assert_close(model.loss(batch, {})["task"], torch.nn.functional.cross_entropy(model(x), y))
    model.train()
    assert model.loss(batch, {})["task"] != model.loss(batch, {})["task"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"width": 0}, "width is 0"),
        ({"patterns": 0}, "patterns is 0"),
        ({"depth": 0}, "depth is 0"),
        ({"num_classes": 0}, "num_classes is 0"),
        ({"input_shape": None}, "input_shape is None"),
        ({"input_shape": [0, 3]}, "input_shape"),
        ({"noise": -1.0}, "noise is -1"),
    ],
)
def test_wrong_arguments(args, words):
    with pytest.raises(ValueError, match=words):
        build(**args)
