"""Neighbors against distances written from the definition, one pair after another."""

import pytest
import torch

from zoo import create_model
from zoo.batch import Batch
from zoo.what_if.neighbors import CaseIndex

MODELS = {
    "bilinear_mlp": {"width": 8, "patterns": 4},
    "blackbox": {"backbone": "mlp"},
    "cbm": {"backbone": "mlp", "concepts": {"columns": {"a": {"kind": "binary"}, "b": {"kind": "binary"}}}},
}


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
def test_against_the_definition(name, tmp_path):
    torch.manual_seed(0)
    model = create_model(name, num_classes=3, input_shape=[4], **MODELS[name]).eval()
    x = torch.randn(40, 4)
    batches = [
        Batch(part, torch.zeros(len(part)).long(), 100 + torch.arange(len(part)) + 10 * i)
        for i, part in enumerate(x.split(10))
    ]
    cases = CaseIndex.load(CaseIndex.build(model, batches).save(tmp_path / "cases.safetensors"))
    query = torch.randn(7, 4)
    found = model.neighbors(query, cases, k=4)
    assert torch.equal(found.index, model.neighbors(query, batches, k=4).index)
    one, two = model.explain(query), model.explain(x)
    for i in range(7):
        rows = []
        for j in range(40):
            if one.target[i] == two.target[j]:
                a, b = (e.contribution[n] if len(model.units) else e.logits[n] for e, n in ((one, i), (two, j)))
                rows.append((float((a.double() - b.double()).abs().sum()), 100 + j))
        rows.sort()
        expected = [index for _, index in rows[:4]] + [-1] * (4 - len(rows[:4]))
        assert found.index[i].tolist() == expected
        assert found.distance[i][: len(rows[:4])].tolist() == pytest.approx([d for d, _ in rows[:4]], abs=1e-6)


def test_mistakes_are_named():
    model = create_model("bilinear_mlp", num_classes=2, input_shape=[4], width=8).eval()
    other = create_model("bilinear_mlp", num_classes=2, input_shape=[4], width=8, patterns=2).eval()
    x = torch.zeros(2, 4)
    cases = CaseIndex.build(model, [Batch(x, torch.zeros(2).long(), torch.arange(2))])
    with pytest.raises(ValueError, match="k is 0; expected 1 or more"):
        model.neighbors(x, cases, k=0)
    with pytest.raises(ValueError, match="the index has 16 contributions of each case, the model 4"):
        other.neighbors(x, cases)
    with pytest.raises(ValueError, match="the loader has no batch"):
        model.neighbors(x, [])
