"""Units as directions: rows and the identity of their space."""

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from zoo import create_model
from zoo.capabilities import HasDirections, capability
from zoo.layers.feature_space import space_of

SMALL = {"backbone": "resnet10t", "backbone_level": 1}
CONCEPTS = {"columns": {"hole": {"kind": "binary"}, "stroke": {"kind": "binary"}, "line": {"kind": "binary"}}}


def built(name, **args):
    torch.manual_seed(0)
    return create_model(name, num_classes=3, **args).eval()


def test_a_space_is_told_by_every_weight_and_running_statistic():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))
    first = space_of(layers)
    assert space_of(layers) == first
    layers[1].num_batches_tracked += 7  # how long it was trained changes nothing that it computes
    assert space_of(layers) == first
    assert space_of(layers[1]) != first
    fingerprints = {first}
    for value in layers.state_dict().values():
        if value.is_floating_point():
            value.view(-1)[-1] += 1e-4
            fingerprints.add(space_of(layers))
    assert len(fingerprints) == 1 + 6
    assert space_of(layers.half()) not in fingerprints
    assert space_of() == space_of(nn.ReLU())


@torch.no_grad()
def test_a_concept_is_its_weights_on_the_features():
    model, x = built("cbm", concepts=CONCEPTS, **SMALL), torch.randn(4, 3, 32, 32)
    result = model.directions()
    torch.testing.assert_close(model.features(x) @ result.rows.T + model.concepts.bias, model.encode(x))
    assert result.signed
    other = built("cbm", concepts=CONCEPTS, **SMALL)
    other.concepts.weight.add_(1)
    assert other.directions().space == result.space
    next(iter(other.backbone.state_dict().values())).add_(1)
    assert other.directions().space != result.space


@torch.no_grad()
@pytest.mark.parametrize("size", [1, 2])
def test_a_prototype_is_a_patch_of_features(size):
    """Its similarity is the cosine of its row and the patch."""
    args = {"per_class": 2, "dim": 8, "similarity": "cosine", "prototype_size": size, **SMALL}
    model, x = built("protopnet", **args), torch.randn(2, 3, 32, 32)
    result = model.directions()
    patches = torch.nn.functional.unfold(model.addon(model.backbone(x)), size)  # (b, d, places)
    cosine = torch.einsum("bdn,ud->bun", normalize(patches, dim=1), normalize(result.rows, dim=1))
    torch.testing.assert_close(cosine, model.maps(x).flatten(2), rtol=1e-4, atol=1e-5)
    other = built("protopnet", **args)
    other.prototypes.normal_()
    assert other.directions().space == result.space
    other.addon[0].bias.add_(1)
    assert other.directions().space != result.space


@torch.no_grad()
def test_a_pattern_is_a_direction_of_the_input_or_of_the_last_state():
    x = torch.randn(4, 1, 5, 5)
    for depth in (1, 2):
        model = built("bilinear_mlp", input_shape=[1, 5, 5], width=6, patterns=4, depth=depth)
        result = model.directions()
        state = x.flatten(1) if depth == 1 else model.encode(x)
        torch.testing.assert_close((state @ result.rows.T).square(), model.explain(x).strength, rtol=1e-4, atol=1e-6)
        assert not result.signed
        torch.manual_seed(5)
        other = create_model("bilinear_mlp", num_classes=3, input_shape=[1, 5, 5], width=6, patterns=4, depth=depth)
        assert (other.directions().space == result.space) == (depth == 1)
    assert (
        built("bilinear_mlp", input_shape=[1, 4, 4], width=6).directions().space
        != built("bilinear_mlp", input_shape=[1, 5, 5], width=6).directions().space
    )


def test_units_that_are_no_directions():
    assert capability(built("cem", concepts=CONCEPTS, width=4, **SMALL), HasDirections) is None
    assert capability(built("blackbox", **SMALL), HasDirections) is None
