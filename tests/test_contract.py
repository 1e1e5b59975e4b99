"""The five promises of ``SelfExplaining``, for every registered model: a new family needs no test of its own."""

import inspect

import pytest
import torch

from zoo import create_model, list_models
from zoo.batch import Batch
from zoo.explanation import Explanation, Units, gather, upsample
from zoo.metrics.suite import Suite
from zoo.registry import model_class

CLASSES, SIZE = 4, 32
PROTOPNET = {"per_class": 3, "dim": 16, "backbone_level": 2}
VARIANTS = {
    "protopnet": [
        *({"similarity": s, "prototype_size": p} for s in ("log_l2", "cosine", "l2", "exp_l2") for p in (1, 2)),
        {"addon": "bottleneck"},
        {"addon": "none", "dim": 128},
        {"backbone": "vit_tiny_patch16_224", "backbone_level": -1, "backbone_args": {"img_size": SIZE, "depth": 2}},
    ],
    "blackbox": [{}, {"dropout": 0.5}, {"backbone": "mlp", "backbone_args": {"hidden": [16]}}],
    "cbm": [
        *({"bottleneck": b, "mode": m} for b in ("probability", "logit", "hard") for m in ("independent", "joint")),
        {"mode": "sequential", "head": "mlp"},
        {"backbone": "mlp"},
    ],
    "cem": [{}, {"backbone": "mlp"}],
    "bilinear_mlp": [{}, {"bias": True}, {"depth": 2}],
    "dense_transformer": [*({"mlp": m} for m in ("relu", "gelu", "swiglu")), {"depth": 3, "dropout": 0.5}],
    "dense_encoder": [{"dropout": 0.5}, {"causal": True, "depth": 2}, {"pooled": True}],
    "codebook_transformer": [{}, {"sites": ["mix", "mlp"], "k": 3}, {"sites": ["attention", "mlp"], "dropout": 0.5}],
    "moex": [{}, {"experts": 4, "k": 1, "gate_form": "neg_phi", "hidden": 5}, {"depth": 3, "dropout": 0.5}],
    "switch_transformer": [{}, {"k": 1, "mlp": "relu"}],
    "transformer_program": [{}, {"layers": 2, "causal": True, "chained": True}, {"pooled": True, "variables": 2}],
}
TOKENS = {"input_shape": [9], "width": 16, "heads": 2}
COMMON = {"protopnet": PROTOPNET, "bilinear_mlp": {"width": 16, "patterns": 6}, "dense_transformer": TOKENS}
COMMON |= {name: {**TOKENS, "experts": 3, "hidden": 8, "k": 2} for name in ("moex", "switch_transformer")}
COMMON["dense_encoder"] = {"width": 16, "heads": 2}
COMMON |= {"codebook_transformer": {**TOKENS, "codes": 7}, "transformer_program": {"restarts": 2}}
SEQUENCE = {"tokens": list("abc"), "length": 5}
KINDS = {"a": "binary", "b": "binary", "wing: long": "categorical", "wing: short": "categorical", "size": "continuous"}
CONCEPTS = {"columns": {name: {"kind": kind, "group": name.split(":")[0]} for name, kind in KINDS.items()}}
COMMON["cem"] = {"concepts": {"columns": {k: v for k, v in CONCEPTS["columns"].items() if k != "size"}}, "width": 4}
CASES = [(name, extra) for name in list_models() for extra in VARIANTS.get(name, [{}])]


def draw(model, n, g=None):
    """Inputs of the kind that the model takes: pictures, questions about sequences, or contexts of all lengths."""
    if model.input_kind == "numbers":
        return torch.randn(n, 3, SIZE, SIZE, generator=g)
    if getattr(model, "frame", None) is not None:
        words = len(SEQUENCE["tokens"]) - 1
        codes = torch.randint(0, 3, (n, SEQUENCE["length"]), generator=g)
        codes[:, words:] = torch.where(torch.rand(n, 1, generator=g) < 0.5, codes[:, words:], -1)
        return codes if model.pooled else torch.cat([torch.randint(0, words, (n, 1), generator=g), codes], 1)
    length = torch.arange(n) % TOKENS["input_shape"][0] + 1
    tokens = torch.randint(CLASSES, (n, *TOKENS["input_shape"]), generator=g)
    return torch.where(torch.arange(tokens.shape[1]) < length[:, None], tokens, -1)


def widened(x):
    """Numbers in float64; tokens as they are."""
    return x.double() if x.is_floating_point() else x


def build(name, extra):
    """A model whose state is not the initial one, in eval mode."""
    fallback = {"num_classes": CLASSES, "backbone": "resnet10t", "input_shape": [3, SIZE, SIZE], "concepts": CONCEPTS}
    fallback["sequence"] = SEQUENCE
    known = inspect.signature(model_class(name)).parameters
    torch.manual_seed(0)
    model = create_model(name, **{k: v for k, v in fallback.items() if k in known} | COMMON.get(name, {}) | extra)
    model.train()
    with torch.no_grad():
        model(draw(model, 8, torch.Generator().manual_seed(2)))  # moves running statistics
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture(scope="module", params=CASES, ids=lambda c: "-".join([c[0], *map(str, c[1].values())]).replace(" ", ""))
def model(request):
    return build(*request.param)


@pytest.fixture(scope="module")
def batch(model):
    g = torch.Generator().manual_seed(1)
    n = 5
    points = torch.rand(n, 2, 2, generator=g, dtype=torch.float64) * SIZE
    parts = {"points": points, "visible": torch.ones(n, 2, dtype=torch.bool)} if model.input_kind == "numbers" else {}
    return Batch(draw(model, n, g), torch.tensor([0, 1, 2, 3, 0]), torch.arange(n), **parts)


def tensors(e):
    return {k: v for k, v in vars(e).items() if isinstance(v, torch.Tensor)}


@torch.no_grad()
def test_promises(model, batch):
    x, y = batch.x, batch.y
    state = {k: v.clone() for k, v in model.state_dict().items()}
    model.train()  # a suite puts the model in eval mode, and back
    Suite("evaluate/quick", model.units, ("beak", "tail")).update(model, batch)
    assert model.training
    model.eval()
    told, also = model.explain(x), model.explain(x, target=y)

    # 1. It explains the pass it made.
    torch.testing.assert_close(told.logits, model(x), rtol=0, atol=0)
    assert torch.equal(told.target, told.logits.argmax(1))

    # 2. Exact contributions add up.
    for e in (told, also):
        if e.method == "exact":
            at = e.logits.gather(1, e.target[:, None])[:, 0]
            scale = e.contribution.abs().sum(1) + e.base.abs()
            assert ((e.contribution.sum(1) + e.base - at).abs() <= 1e-5 * scale.clamp_min(1e-3)).all()

    # 3. It explains what it is asked.
    assert torch.equal(also.target, y)

    # 4. Deterministic, and every sample for itself; nothing moved.
    again = model.explain(x)
    assert all(torch.equal(v, getattr(again, k)) for k, v in tensors(told).items())
    if len(model.units):
        model.intervene(x, {0: 0.5})
    model(x)
    assert [k for k, v in model.state_dict().items() if not torch.equal(v, state[k])] == []

    # 5. Shapes.
    b, u, k = len(x), len(model.units), told.shown.shape[1]
    assert told.logits.shape == (b, CLASSES)
    assert told.strength.shape == told.contribution.shape == (b, u)
    assert k == min(10, u)
    assert told.where is None or told.where.shape[:2] == (b, k)


@torch.no_grad()
def test_additive_in_float64(batch, model):
    wide = build_like(model)
    e = wide.explain(widened(batch.x), target=batch.y)
    at = e.logits.gather(1, e.target[:, None])[:, 0]
    assert e.logits.dtype == torch.float64
    if e.method == "exact":
        torch.testing.assert_close(e.contribution.sum(1) + e.base, at, rtol=1e-10, atol=1e-10)


@torch.no_grad()
def test_independent_of_the_batch(batch, model):
    wide, x, y = build_like(model), widened(batch.x), batch.y
    whole, order = wide.explain(x, target=y), torch.tensor([3, 0, 4, 2, 1])
    alone = [wide.explain(x[i : i + 1], target=y[i : i + 1]) for i in range(len(x))]
    mixed = wide.explain(x[order], target=y[order])
    for name, value in tensors(whole).items():
        torch.testing.assert_close(torch.cat([getattr(a, name) for a in alone]), value, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(getattr(mixed, name), value[order], rtol=1e-9, atol=1e-9)


def build_like(model):
    """The same model in float64."""
    import copy

    return copy.deepcopy(model).double()


@torch.no_grad()
def test_intervene(model, batch):
    x, u = batch.x, len(model.units)
    with pytest.raises(ValueError, match=rf"unit {u} is not in the vocabulary"):
        model.intervene(x, {u: 1.0})
    with pytest.raises(ValueError, match="unit -1"):
        model.intervene(x, {-1: 1.0})
    torch.testing.assert_close(model.intervene(x, {}), model(x), rtol=0, atol=0)
    told = model.explain(x)
    if u:
        # Each input has its own row of the mask, and further leading dimensions are further questions.
        mask, value = torch.rand(2, 5, u, generator=torch.Generator().manual_seed(0)) < 0.5, told.strength.flip(0)
        both = model.decide(model.encode(x), mask, value.expand(2, -1, -1))
        assert both.shape == (2, 5, CLASSES)
        for i in range(5):
            rows = {j: float(value[i, j]) for j in mask[1, i].nonzero()[:, 0].tolist()}
            torch.testing.assert_close(model.intervene(x[i : i + 1], rows)[0], both[1, i], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(model.intervene(x, value, mask[0]), both[0], rtol=1e-5, atol=1e-5)
        with pytest.raises(ValueError, match="mask bool"):
            model.intervene(x, value, mask[0].float())
        with pytest.raises(ValueError, match="mask goes with a tensor"):
            model.intervene(x, {0: 1.0}, mask[0])
    for i in range(len(x) if u else 0):
        one = x[i : i + 1]
        own = model.explain(one)
        values = {unit: float(own.strength[0, unit]) for unit in told.shown[i].tolist()}
        torch.testing.assert_close(model.intervene(one, values), own.logits, rtol=1e-6, atol=1e-6)


def test_parts_hold_every_parameter_once(model):
    parts = model.trainable_parts().values()
    held = [id(p) for part in parts for p in ([part] if isinstance(part, torch.nn.Parameter) else part.parameters())]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    assert {model.part_of(k) for k in model.state_dict()} <= set(model.trainable_parts())


@torch.no_grad()
def test_shown_as_asked(model, batch):
    u = len(model.units)
    assert model.explain(batch.x, shown=2).shown.shape == (5, min(2, u))
    if not u:
        return
    ids = torch.tensor([[1, -1]] * 5)
    e = model.explain(batch.x, shown=ids)
    assert torch.equal(e.shown, ids)
    assert e.where is None or not e.where[:, 1].any()
    full = model.explain(batch.x, shown=u)
    if full.where is not None:
        assert torch.equal(e.where[:, 0], gather_one(full, 1))
    for bad, words in ((torch.tensor([[u]] * 5), "vocabulary has"), (ids[:2], "expected")):
        with pytest.raises(ValueError, match=words):
            model.explain(batch.x, shown=bad)


def gather_one(e, unit):
    return e.where[(e.shown == unit)]


@torch.no_grad()
@pytest.mark.parametrize(
    "target", [torch.tensor([0, 1]), torch.full((5,), CLASSES), torch.full((5,), -1), torch.rand(5)]
)
def test_wrong_target(model, batch, target):
    with pytest.raises(ValueError, match="target"):
        model.explain(batch.x, target=target)


GOOD = {
    "units": Units("concept", ("a", "b", "c"), torch.tensor([0, 1, -1])),
    "logits": torch.zeros(2, 4),
    "target": torch.zeros(2, dtype=torch.int64),
    "strength": torch.zeros(2, 3),
    "contribution": torch.zeros(2, 3),
    "base": torch.zeros(2),
    "shown": torch.zeros(2, 2, dtype=torch.int64),
    "where": torch.zeros(2, 2, 5, 5),
}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("logits", torch.zeros(4), r"\(4,\); expected \(b, c\)"),
        ("target", torch.zeros(3, dtype=torch.int64), r"\(3,\); expected \(2,\)"),
        ("target", torch.zeros(2), "float32; expected torch.int64"),
        ("strength", torch.zeros(2, 4), r"\(2, 4\); expected \(2, 3\)"),
        ("contribution", torch.zeros(3, 2), r"\(3, 2\); expected \(2, 3\)"),
        ("base", torch.zeros(2, 1), r"\(2, 1\); expected \(2,\)"),
        ("shown", torch.zeros(3, 2, dtype=torch.int64), r"\(3, 2\); expected \(2, k\)"),
        ("shown", torch.zeros(2, 2), "float32; expected torch.int64"),
        ("where", torch.zeros(2, 3, 5, 5), r"\(2, 3, 5, 5\); expected \(2, 2, \*grid\)"),
        ("where", torch.zeros(2, 2), r"\(2, 2\); expected"),
        ("method", "guess", "'guess'; expected one of"),
    ],
)
def test_wrong_explanation(field, value, words):
    Explanation(**GOOD)
    with pytest.raises(ValueError, match=rf"Explanation\.{field} is .*{words}"):
        Explanation(**{**GOOD, field: value})


def test_wrong_units():
    for args, words in (
        (("prototypes", ("a",)), "Units.kind is 'prototypes'; expected one of prototype"),
        (("code", ("a", "b"), torch.tensor([0])), r"Units.owner is \(1,\); expected \(2,\)"),
        (("code", ("a",), torch.tensor([0.5])), "Units.owner is torch.float32; expected an integer"),
    ):
        with pytest.raises(ValueError, match=words):
            Units(*args)


def test_units_of_class():
    units = Units("concept", "abcde", torch.tensor([1, 0, 1, -1, 1]))
    assert units.of_class(torch.tensor([0, 1, 2])).tolist() == [[1, -1, -1], [0, 2, 4], [-1, -1, -1]]
    with pytest.raises(ValueError, match="owner is None"):
        Units("concept", "ab").of_class(torch.tensor([0]))


def test_gather_and_upsample():
    values = torch.arange(6.0).view(1, 3, 2)
    assert gather(values, torch.tensor([[2, -1, 0]])).tolist() == [[[4, 5], [0, 0], [0, 1]]]
    assert gather(torch.zeros(1, 0, 2), torch.tensor([[-1]])).shape == (1, 1, 2)
    flat = upsample(torch.full((1, 1, 3, 3), 0.5), 7)
    torch.testing.assert_close(flat, torch.full((1, 1, 7, 7), 0.5))


def test_moves_and_detaches():
    e = Explanation(**{**GOOD, "logits": torch.zeros(2, 4, requires_grad=True)})
    assert not e.detach().logits.requires_grad
    assert e.to("meta").where.device.type == "meta"
    assert len(e) == 2
