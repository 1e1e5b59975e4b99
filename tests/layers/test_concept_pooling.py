"""Pooling of concept maps, and the maps as evidence of a concept model, against loops over places."""

import math

import pytest
import torch
import torch.nn.functional as F

from zoo import create_model
from zoo.layers.bottlenecks.concept_pooling import ConceptPooling, concept_maps

COLUMNS = {"a": {"kind": "binary"}, "b": {"kind": "binary"}}
POOLED = ["max", "attention", "spatial"]


def build(pooling, family="cbm"):
    torch.manual_seed(0)
    args = {"num_classes": 3, "backbone": "resnet10t", "backbone_level": 1, "concepts": {"columns": COLUMNS}}
    model = create_model(family, pooling=pooling, input_shape=[3, 32, 32], **args).eval()
    with torch.no_grad():
        for parameter in model.pool.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(1))
    return model


def images(n=2):
    return torch.randn(n, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def place_weights(model, concept, logits):
    """Weights of the places of one concept, from its logits at the places, a list."""
    n = len(logits)
    if model.pool.pooling == "max":
        return [float(i == logits.index(max(logits))) for i in range(n)]
    at = logits if model.pool.pooling == "attention" else model.pool.location[concept].flatten().tolist()
    total = sum(math.exp(v - max(at)) for v in at)
    return [math.exp(v - max(at)) / total for v in at]


@torch.no_grad()
def test_mean_pooling_of_maps_is_the_layer_on_pooled_features():
    model, x = build("mean"), images()
    maps = concept_maps(model.backbone(x), model.concepts)
    torch.testing.assert_close(model.pool(maps), model.encode(x), rtol=1e-4, atol=1e-4)
    assert model.explain(x).where is None
    assert build("mean", "cem").explain(x).where is None


@torch.no_grad()
@pytest.mark.parametrize("pooling", POOLED)
def test_cbm_pools_the_logits_of_places(pooling):
    model, x = build(pooling), images()
    features = model.backbone(x)
    result = model.explain(x, shown=torch.tensor([[1, -1], [0, 1]]))
    logits = model.encode(x)
    for i, shown in ((0, [1]), (1, [0, 1])):
        assert result.where[i].shape == (2, 8, 8)
        for k, j in enumerate(shown):
            w, b = model.concepts.weight[j], model.concepts.bias[j]
            places = [float(w @ features[i, :, r, c] + b) for r in range(8) for c in range(8)]
            weights = place_weights(model, j, places)
            by_hand = sum(a * v for a, v in zip(weights, places, strict=True))
            assert float(logits[i, j]) == pytest.approx(by_hand, rel=1e-3, abs=1e-4)
            if pooling == "spatial":
                places = [a * v for a, v in zip(weights, places, strict=True)]
                assert float(result.where[i, k].sum()) == pytest.approx(by_hand, rel=1e-3, abs=1e-4)
            torch.testing.assert_close(result.where[i, k].flatten(), torch.tensor(places), rtol=1e-3, atol=1e-4)
    assert not result.where[0, 1].any()


@torch.no_grad()
@pytest.mark.parametrize("pooling", POOLED)
def test_cem_pools_the_embeddings_of_places(pooling):
    model, x = build(pooling, "cem"), images()
    features = model.backbone(x)
    p, context = model.encode(x)
    result = model.explain(x, shown=torch.tensor([[0, 1], [1, 0]]))
    layer, scorer = model.embeddings.context, model.embeddings.scorer
    for i in range(2):
        at = [F.leaky_relu(layer(features[i, :, r, c])).view(2, -1) for r in range(8) for c in range(8)]
        for j in range(2):
            places = [float(scorer(one[j])) for one in at]
            weights = place_weights(model, j, places)
            by_hand = sum(a * one[j] for a, one in zip(weights, at, strict=True))
            torch.testing.assert_close(context[i, j], by_hand, rtol=1e-3, atol=1e-4)
            assert float(p[i, j]) == pytest.approx(float(scorer(by_hand).sigmoid()), rel=1e-3)
            row = [0, 1].index(j) if i == 0 else [1, 0].index(j)
            scale = torch.tensor(weights) if pooling == "spatial" else 1.0
            torch.testing.assert_close(
                result.where[i, row].flatten(), scale * torch.tensor(places), rtol=1e-3, atol=1e-4
            )


def test_a_part_of_one_place_is_lost_in_the_mean_only():
    """One place of 64 differs by 5: the mean moves by less than 0.1, the maximum by 5."""
    maps = torch.zeros(1, 1, 8, 8)
    maps[0, 0, 2, 3] = 5.0
    moved = {how: float(ConceptPooling(how, 1)(maps)) for how in ("mean", "max", "attention")}
    assert moved["mean"] < 0.1 < 3.0 < moved["attention"] < moved["max"] == 5.0


def test_locations_are_trained_with_the_concepts():
    for family, part in (("cbm", "concepts"), ("cem", "embeddings")):
        model = build("spatial", family)
        assert any(parameter is model.pool.location for parameter in model.trainable_parts()[part].parameters())
        assert model.part_of("pool.location") == part
        assert build("max", family).state_dict().keys() == build("mean", family).state_dict().keys()


def test_spatial_weights_need_a_known_grid():
    with pytest.raises(ValueError, match="pooling is 'spatial' and the grid of the backbone"):
        create_model(
            "cbm", num_classes=2, backbone="mlp", input_shape=[4], concepts={"columns": COLUMNS}, pooling="spatial"
        )
    with pytest.raises(ValueError, match=r"weights for a grid of \(8, 8\) and the map has \(16, 16\)"):
        build("spatial").encode(torch.zeros(1, 3, 64, 64))
