"""Pooling of concept maps, and the maps as evidence of a concept model."""

import pytest
import torch

from zoo import create_model
from zoo.layers.bottlenecks.concept_pooling import concept_maps, pooled

COLUMNS = {"a": {"kind": "binary"}, "b": {"kind": "binary"}}


def build(pooling):
    torch.manual_seed(0)
    concepts = {"columns": COLUMNS}
    args = {"num_classes": 3, "backbone": "resnet10t", "backbone_level": 1, "concepts": concepts}
    return create_model("cbm", pooling=pooling, **args).eval()


@torch.no_grad()
def test_mean_pooling_of_maps_is_the_layer_on_pooled_features():
    model, x = build("mean"), torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    maps = concept_maps(model.backbone(x), model.concepts)
    torch.testing.assert_close(pooled(maps, "mean"), model.encode(x), rtol=1e-4, atol=1e-4)
    assert model.explain(x).where is None


@torch.no_grad()
@pytest.mark.parametrize("pooling", ["max", "attention"])
def test_maps_are_the_evidence(pooling):
    model, x = build(pooling), torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    maps = concept_maps(model.backbone(x), model.concepts)
    result = model.explain(x, shown=torch.tensor([[1, -1], [0, 1]]))
    torch.testing.assert_close(result.where[0, 0], maps[0, 1])
    torch.testing.assert_close(result.where[1, 0], maps[1, 0])
    assert not result.where[0, 1].any()
    for i in range(2):
        for j in range(2):
            places = maps[i, j].flatten().tolist()
            exp = [2.718281828459045**v for v in places]
            by_hand = {"max": max(places), "attention": sum(e * v for e, v in zip(exp, places, strict=True)) / sum(exp)}
            assert float(model.encode(x)[i, j]) == pytest.approx(by_hand[pooling], rel=1e-3, abs=1e-4)
