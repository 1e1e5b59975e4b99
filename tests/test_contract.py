"""The five promises of ``SelfExplaining``, for every registered model: a new family needs no test of its own."""

from dataclasses import replace

import pytest
import torch

from zoo import create_model, list_models
from zoo.batch import Batch
from zoo.config import schema
from zoo.explanation import Explanation, Units, gather, upsample
from zoo.metrics.suite import Suite
from zoo.registry import model_class
from zoo.testing import check_model
from zoo.testing.check_model import CHECKS

CLASSES, SIZE = 4, 32
PROTOPNET = {"per_class": 3, "dim": 16, "backbone_level": 2}
VARIANTS = {
    "protopnet": [
        *({"similarity": s, "prototype_size": p} for s in ("log_l2", "cosine", "l2", "exp_l2") for p in (1, 2)),
        {"similarity": "projection", "addon": "bottleneck"},
        {"similarity": "cosine", "average": 3},
        {"addon": "none", "dim": 128},
        {"backbone": "vit_tiny_patch16_224", "backbone_level": -1, "backbone_args": {"img_size": SIZE, "depth": 2}},
    ],
    "sdfa_sa": [{}, {"similarity": "cosine", "addon": "regular", "average": 3}],
    "prototree": [{}, {"routing": "greedy"}],
    "pipnet": [{}, {"features": 12}],
    "cbc": [{"reasoning": "signed"}, {"reasoning": "positive"}],
    "nam": [{}, {"hidden_units": "exu", "column_dropout": 0.2}],
    "blackbox": [{}, {"dropout": 0.5}, {"backbone": "mlp", "backbone_args": {"hidden": [16]}}],
    "cbm": [
        *({"bottleneck": b, "mode": m} for b in ("probability", "logit", "hard") for m in ("independent", "joint")),
        {"mode": "sequential", "head": "mlp"},
        {"pooling": "max"},
        {"pooling": "attention", "head": "mlp"},
        {"pooling": "spatial", "backbone_level": 1},
        {"backbone": "mlp"},
    ],
    "cem": [{}, {"backbone": "mlp"}, *({"pooling": p, "backbone_level": 1} for p in ("max", "spatial"))],
    "intcem": [{}, {"backbone": "mlp"}, {"pooling": "max", "backbone_level": 1}],
    "autoregressive_cbm": [{}, {"backbone": "mlp"}],
    "posthoc_cbm": [{}, {"residual": True}],
    "scbm": [{"covariance": "global"}, {"backbone": "mlp"}],
    "probcbm": [{"width": 4, "samples": 5}, {"width": 4, "samples": 5, "backbone": "mlp"}],
    "bilinear_mlp": [{}, {"bias": True}, {"depth": 2}],
    "dense_transformer": [*({"mlp": m} for m in ("relu", "gelu", "swiglu")), {"depth": 3, "dropout": 0.5}],
    "dense_encoder": [{"dropout": 0.5}, {"causal": True, "depth": 2}, {"pooled": True}],
    "codebook_transformer": [{}, {"sites": ["mix", "mlp"], "k": 3}, {"sites": ["attention", "mlp"], "dropout": 0.5}],
    "moex": [{}, {"experts": 4, "k": 1, "gate_form": "neg_phi", "hidden": 5}, {"depth": 3, "dropout": 0.5}],
    "switch_transformer": [{}, {"k": 1, "mlp": "relu"}],
    "text_prototype": [{}, {"depth": 0}],
    "text_labelfree": [{}],
    "text_cbm": [{}, {"bottleneck": "hard"}],
    "rationale": [{"share": 0.5}, {"contiguous": True, "share": 0.4, "depth": 0}],
    "bag_of_concepts": [{}, {"longest": 1}],
    "transformer_program": [{}, {"layers": 2, "causal": True, "chained": True}, {"pooled": True, "variables": 2}],
}
TOKENS = {"input_shape": [9], "width": 16, "heads": 2}
COMMON = {"protopnet": PROTOPNET, "bilinear_mlp": {"width": 16, "patterns": 6}, "dense_transformer": TOKENS}
COMMON |= {name: {**TOKENS, "experts": 3, "hidden": 8, "k": 2} for name in ("moex", "switch_transformer")}
COMMON["sdfa_sa"] = PROTOPNET
COMMON["prototree"] = {"height": 3, "dim": 16, "backbone_level": 2}
COMMON |= {name: {"features": 0, "backbone_level": 1} for name in ("pipnet", "cbc")}
COMMON["deformable_protopnet"] = {"per_class": 3, "backbone_level": 2}
COMMON["protopool"] = {"pool": 9, "slots": 3, "dim": 16, "backbone_level": 2}
COMMON["nam"] = {"hidden": [4], "members": 2}
COMMON["text_labelfree"] = {"width": 16}
COMMON["text_cbm"] = {"width": 16}
COMMON["rationale"] = {"width": 16}
COMMON["text_prototype"] = {"width": 16}
COMMON["dense_encoder"] = {"width": 16, "heads": 2}
COMMON |= {"codebook_transformer": {**TOKENS, "codes": 7}, "transformer_program": {"restarts": 2}}
SEQUENCE = {"tokens": list("abc"), "length": 5}
KINDS = {"a": "binary", "b": "binary", "wing: long": "categorical", "wing: short": "categorical", "size": "continuous"}
CONCEPTS = {"columns": {name: {"kind": kind, "group": name.split(":")[0]} for name, kind in KINDS.items()}}
DISCRETE = {"concepts": {"columns": {k: v for k, v in CONCEPTS["columns"].items() if k != "size"}}}
COMMON["cem"] = {**DISCRETE, "width": 4}
COMMON["intcem"] = {**DISCRETE, "width": 4, "hidden": [8]}
COMMON |= {"autoregressive_cbm": {**DISCRETE, "hidden": 8}}
COMMON |= {"posthoc_cbm": DISCRETE, "scbm": DISCRETE, "probcbm": DISCRETE}
COMMON["labelfree_cbm"] = {"concept_names": ["round", "red", "small"]}
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


def build(name, extra):
    """A model whose state is not the initial one, in eval mode."""
    fallback = {"num_classes": CLASSES, "backbone": "resnet10t", "input_shape": [3, SIZE, SIZE], "concepts": CONCEPTS}
    fallback["sequence"] = SEQUENCE
    known = schema(model_class(name)).__dataclass_fields__
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


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_promises(model, batch, check):
    check(model, batch.x, batch.y)


@torch.no_grad()
def test_a_suite_puts_the_model_back_in_training_mode(model, batch):
    model.train()
    Suite("evaluate/quick", model.units, ("beak", "tail")).update(model, batch)
    assert model.training
    model.eval()


BREAKS = {
    "explains_the_forward_pass": ("explain", lambda e: replace(e, logits=e.logits + 1e-3)),
    "explains_the_target": ("explain", lambda e: replace(e, target=(e.target + 1) % CLASSES)),
    "contributions_add_up": ("explain", lambda e: replace(e, base=e.base + 0.1)),
    "contrasts_classes": ("contrast", lambda c: replace(c, first=replace(c.first, base=c.first.base + 0.1))),
    "is_deterministic": ("explain", lambda e: replace(e, strength=e.strength + torch.rand(()))),
    "is_independent_of_the_batch": ("explain", lambda e: replace(e, base=e.base + len(e))),
    "shows_what_is_asked": ("explain", lambda e: replace(e, shown=e.shown.flip(0).clone().fill_(0))),
    "can_be_intervened_on": ("intervene", lambda logits: logits + 1e-2),
    "hands_over_its_head": ("affine_head", lambda head: replace(head, offset=head.offset + 1e-3)),
    "parts_own_all_parameters": ("trainable_parts", lambda parts: dict(list(parts.items())[1:])),
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_broken_promise_is_found(check):
    """Each check fails on a model that breaks its promise."""
    model = build("protopnet", {})
    x, y = draw(model, 3, torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2])
    check_model(model, x, y)
    method, change = BREAKS[check.__name__]
    whole = getattr(type(model), method)
    broken = type("Broken", (type(model),), {method: lambda self, *args, **kw: change(whole(self, *args, **kw))})
    model.__class__ = broken
    with pytest.raises(AssertionError):
        check(model, x, y)


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
