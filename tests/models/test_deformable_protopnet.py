import math

import pytest
import torch
import torch.nn.functional as F

from zoo import create_model
from zoo.layers.prototypes.deformed_patches import DeformedPatches
from zoo.layers.prototypes.similarity import distances

ALL = {"cluster": 0.8, "separation": -0.08, "offsets": 0.8, "l1": 1e-2, "orthogonality": 0.1}


def build(**args):
    torch.manual_seed(0)
    small = {"num_classes": 10, "backbone": "resnet10t", "backbone_level": 1, "per_class": 2}
    model = create_model("deformable_protopnet", **small | args)
    torch.nn.init.normal_(model.addon.offset.weight, std=0.05)
    return model


def sampled(square, x, y):
    """Bilinear value of ``square`` ``(d, h, w)`` at a place in cells, clamped to the map."""
    height, width = square.shape[1:]
    x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
    i, j = min(int(y), height - 2), min(int(x), width - 2)
    a, b = y - i, x - j
    top = (1 - b) * square[:, i, j] + b * square[:, i, j + 1]
    bottom = (1 - b) * square[:, i + 1, j] + b * square[:, i + 1, j + 1]
    return (1 - a) * top + a * bottom


@torch.no_grad()
@pytest.mark.parametrize(("parts", "dilation"), [(2, 2), (3, 1)])
def test_sampling_against_loops(parts, dilation):
    torch.manual_seed(1)
    layer = DeformedPatches(5, parts=parts, dilation=dilation)
    torch.nn.init.normal_(layer.offset.weight, std=0.2)
    z = torch.randn(2, 5, 3, 4)
    offsets, stacks = layer.offsets(z), layer(z)
    assert float(offsets.abs().max()) > 0.5
    unit = F.relu(z) / F.relu(z).norm(dim=1, keepdim=True).clamp_min(1e-6)
    m = parts**2
    for n in range(2):
        for row in range(3):
            for col in range(4):
                for part in range(m):
                    x = col + dilation * (part % parts - (parts - 1) / 2) + float(offsets[n, part, 0, row, col])
                    y = row + dilation * (part // parts - (parts - 1) / 2) + float(offsets[n, part, 1, row, col])
                    expected = (sampled(unit[n].square(), x, y) / m).sqrt()
                    torch.testing.assert_close(stacks[n, part::m, row, col], expected, rtol=1e-3, atol=1e-4)


def test_the_offset_penalty_has_a_gradient(batch):
    model = build()
    terms = model.loss(batch, ALL)
    assert tuple(terms) == model.terms
    terms["offsets"].backward()
    assert float(model.addon.offset.weight.grad.abs().sum()) > 0
    model.zero_grad()
    model.loss(batch, ALL)["task"].backward()
    assert float(model.addon.offset.weight.grad.abs().sum()) > 0  # similarities move the parts


@torch.no_grad()
def test_margin_against_loops(batch):
    model = build().eval()
    cosine = (1 - distances(model.feature_map(batch.x), model.prototypes, "cosine")).amax((2, 3))
    logits = torch.zeros(len(batch), 10)
    for n in range(len(batch)):
        for u in range(20):
            s = float(cosine[n, u])
            if int(model.owner[u]) != int(batch.y[n]):
                s = math.cos(max(0.0, math.acos(s) - 0.1))
            logits[n] += s * model.head.weight[:, u]
    expected = float(F.cross_entropy(logits, batch.y))
    assert float(model.loss(batch, {})["task"]) == pytest.approx(expected, rel=1e-4)
    plain = F.cross_entropy(model(batch.x), batch.y)
    assert expected > float(plain)  # the margin makes the task harder


def test_parts_have_one_length_and_offsets_start_at_zero():
    model = create_model("deformable_protopnet", num_classes=2, backbone="resnet10t", backbone_level=1, per_class=2)
    with torch.no_grad():
        assert not model.addon.offsets(torch.rand(1, 64, 4, 4)).any()
        model.prototypes.mul_(torch.rand_like(model.prototypes))
    model.after_step()
    torch.testing.assert_close(model.part_vectors().norm(dim=1), torch.full((4, 4), 0.5))


def test_projection_is_a_deformed_training_patch(data):
    model = build()
    model.project(data.loader("train"))
    everything = next(iter(data.loader("train", batch_size=1000)))
    with torch.no_grad():
        stacks, maps = model.feature_map(everything.x), model.maps(everything.x)
    for u in range(20):
        i, row, col = (int(getattr(model, f"source_{k}")[u]) for k in ("index", "row", "col"))
        assert int(everything.y[i]) == int(model.owner[u])
        torch.testing.assert_close(model.prototypes[u, :, 0, 0], stacks[i, :, row, col], rtol=1e-4, atol=1e-5)
        assert float(maps[i, u, row, col]) == pytest.approx(1.0, abs=1e-4)
