"""Maps of units: from an explanation to one map, models that forget, and what a unit detects."""

import math

import numpy as np
import pytest
import torch
from rows_maps import UNITS, _dissection
from scipy import stats
from torch import nn
from torch.nn import functional as F
from worlds import Toy, batch

import zoo
from zoo.explanation import Explanation, Units
from zoo.metrics._shared_pass import SharedPass
from zoo.metrics.attribution_maps import (
    Dissection,
    Mprt,
    attributor,
    evidence,
    iou,
    mprt,
    overlap,
    randomized,
    thresholds,
)
from zoo.metrics.attribution_maps._overlap import pack, unpack
from zoo.metrics.record_batch import record_batch


def values(where, contribution, shown):
    b, u = contribution.shape
    zero = torch.zeros(b)
    units = Units("prototype", [str(i) for i in range(u)])
    return Explanation(units, torch.zeros(b, 2), zero.long(), contribution, contribution, zero, shown, where)


# Evidence.


def test_evidence_of_known_units():
    """Unit 2 adds 3, three quarters of it above; unit 0 takes 2, all below; the last is padding."""
    where = torch.tensor([[[[3.0], [1.0]], [[0.0], [5.0]], [[0.0], [0.0]]]])
    one = values(where, torch.tensor([[-2.0, 9.0, 3.0]]), torch.tensor([[2, 0, -1]]))
    result = evidence(one, (2, 1))
    assert result.shape == (1, 2, 1)
    assert result.flatten().tolist() == pytest.approx([2.25, 0.75 - 2])
    assert evidence(one, 8).shape == (1, 8, 8)


def test_evidence_sums_to_what_the_units_shown_add_and_is_stretched_as_pictures_are():
    g = torch.Generator().manual_seed(0)
    where, contribution = torch.rand(4, 2, 5, 5, generator=g), torch.randn(4, 3, generator=g)
    one = values(where, contribution, torch.tensor([[0, 2]] * 4))
    torch.testing.assert_close(evidence(one, 5).sum((1, 2)), contribution[:, 0] + contribution[:, 2])
    flat = contribution[:, [0, 2], None, None] * where / where.sum((2, 3), keepdim=True)
    wide = F.interpolate(flat, (10, 15), mode="bicubic", align_corners=False).sum(1)
    torch.testing.assert_close(evidence(one, (10, 15)), wide)
    half = values(where.bfloat16(), contribution.bfloat16(), one.shown)
    assert evidence(half, 5).dtype == torch.float32


def test_units_without_a_place_have_no_map():
    with pytest.raises(ValueError, match="a map over the input needs units with a place"):
        evidence(values(None, torch.zeros(1, 3), torch.tensor([[0]])), 4)


@pytest.mark.parametrize("owned", [True, False])
def test_an_attributor_asks_as_the_suite_does(owned):
    model, samples = Toy(owned=owned).eval(), batch()
    record = record_batch(model, samples, model.units.of_class(samples.y) if owned else 2, owned=owned)
    again = attributor(record)(model, samples.x, samples.y)
    torch.testing.assert_close(again, evidence(record.explanation, (32, 32)).detach(), rtol=0, atol=0)


# Mprt.


class Two(nn.Module):
    """Two layers and a map that each of them can be asked for."""

    def __init__(self, bias=False):
        super().__init__()
        g = torch.Generator().manual_seed(0)
        self.first, self.second = nn.Linear(36, 4, bias=bias), nn.Linear(36, 4, bias=bias)
        for layer in (self.first, self.second):
            layer.weight.data = torch.randn(4, 36, generator=g)
        self.norm = nn.BatchNorm1d(4)


def of(layer):
    return lambda model, x, target: getattr(model, layer).weight[target].unflatten(1, (6, 6)) + 0 * x[:, 0]


X, Y = torch.randn(4, 1, 6, 6, generator=torch.Generator().manual_seed(1)), torch.arange(4)


def test_layers_forget_from_the_last_to_the_first_and_the_model_does_not():
    model = Two()
    kept = {k: v.clone() for k, v in model.state_dict().items()}
    result = mprt(of("first"), model, X, Y, stages=3)
    assert result[:, 0].tolist() == [1] * 4  # the norm has nothing to forget, second goes first and is not asked
    assert result[:, 1].abs().max() < 0.6
    assert result[:, 2].isnan().all()
    late = mprt(of("second"), model, X, Y, stages=3)
    assert torch.equal(late[:, 0], late[:, 1])
    assert late[:, 1].abs().max() < 0.6
    assert all(torch.equal(v, kept[k]) for k, v in model.state_dict().items())
    assert model.training


def test_the_model_as_it_is_takes_no_part_in_the_mean():
    """A map of the last layer that forgets is unlike at every step: no 1 for step 0 comes in."""
    model = nn.Sequential(nn.Linear(36, 4, bias=False))
    score = Mprt(stages=5)
    score.update(lambda m, x, y: m[0].weight[y].unflatten(1, (6, 6)), model, X, Y)
    readouts = score.compute()
    (twin,) = randomized(model, stages=5)
    old, new = model[0].weight.detach(), twin[0].weight.detach()
    known = np.mean([stats.spearmanr(a, b)[0] for a, b in zip(old, new, strict=True)])
    assert float(readouts["mprt"]) == pytest.approx(float(known))
    assert float(readouts["last"]) == pytest.approx(float(known))
    assert readouts["curve/likeness_curve"][1:].isnan().all()  # one layer, one step
    edges = Mprt()
    edges.update(lambda m, x, y: x[:, 0], model, X, Y)
    assert float(edges.compute()["mprt"]) == 1


def test_redrawn_parameters_keep_mean_and_spread_and_depend_on_name_and_seed():
    model = nn.Sequential(nn.Linear(200, 300), nn.Linear(300, 2))
    with torch.no_grad():
        model[0].weight.mul_(3).add_(2)
    (twin,) = randomized(model, stages=1)
    old, new = model[0].weight.detach(), twin[0].weight.detach()
    assert float(new.mean()) == pytest.approx(float(old.mean()), abs=0.01)
    assert float(new.std()) == pytest.approx(float(old.std()), rel=0.02)
    assert not torch.equal(old, new)
    (again,) = randomized(model, stages=1)
    (other,) = randomized(model, stages=1, seed=1)
    assert torch.equal(again[0].weight, new)
    assert not torch.equal(other[0].weight, new)
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert p.data_ptr() != q.data_ptr()


def test_gradients_of_the_copies_do_not_reach_the_model():
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 4))

    def gradient(net, x, target):
        x = x.clone().requires_grad_()
        net(x).gather(1, target[:, None]).sum().backward()
        return x.grad[:, 0]

    result = mprt(gradient, model, X, Y)
    assert result.shape == (4, 5)
    assert result[:, :2].isfinite().all()
    assert all(p.grad is None for p in model.parameters())


def test_a_copy_of_a_shared_pass_is_a_copy_of_the_model():
    model = zoo.create_model("bilinear_mlp", num_classes=4, input_shape=list(X.shape[1:]), width=8).eval()
    x = X.clone()
    shared = SharedPass.of(model)
    assert shared.encode(x) is shared.encode(x)
    (twin,) = randomized(shared, stages=1)
    assert type(twin) is type(model)
    assert twin.encode(x) is not twin.encode(x)
    assert not torch.equal(twin.encode(x), model.encode(x))


def test_what_cannot_forget_is_refused():
    with pytest.raises(ValueError, match="BatchNorm2d has no parameters that vary"):
        mprt(lambda m, x, y: x[:, 0], nn.BatchNorm2d(1), X, Y)
    with pytest.raises(ValueError, match="only the parameters of a torch module"):
        mprt(lambda m, x, y: x[:, 0], lambda x: x, X, Y)
    with pytest.raises(ValueError, match="stages is 0"):
        Mprt(stages=0)


# Dissection.


def test_the_level_leaves_no_larger_share_above():
    values = torch.arange(1.0, 201).reshape(200, 1, 1, 1)
    values = values[torch.randperm(200, generator=torch.Generator().manual_seed(0))]
    assert thresholds(values).tolist() == [199]  # one of 200 is above it
    assert thresholds(values, 0.05).tolist() == [190]
    assert thresholds(values[:50]).tolist() == [float(values[:50].max())]  # less than one place in 50
    assert thresholds(torch.ones(200, 3, 2, 2)).tolist() == [1, 1, 1]
    g = torch.Generator().manual_seed(0)
    many = torch.randn(30, 4, 7, 7, generator=g)
    above = (many > thresholds(many, 0.01)[:, None, None]).double().mean((0, 2, 3))
    assert above.tolist() == [14 / 1470] * 4


def test_dissection_of_known_maps():
    """Unit 0 is above its level on the left, unit 1 never: things are the left half, the top row, nothing."""
    maps = torch.tensor([[[[2.0, 1], [2, 1]], [[1.0, 1], [1, 1]]]])
    masks = torch.tensor([[[[1, 0], [1, 0]], [[1, 1], [0, 0]], [[0, 0], [0, 0]]]]).bool()
    score = Dissection(2, 3, quantile=0.5)
    score.update(maps, masks)
    readouts = score.compute()
    assert readouts["unit/iou"].tolist() == [1, 0]
    assert readouts["unit/thing"].tolist() == [0, -1]
    assert {k: float(readouts[k]) for k in ("detectors", "iou", "things", "support")} == pytest.approx(
        {"detectors": 0.5, "iou": 0.5, "things": 1 / 3, "support": 1}
    )
    assert iou(*overlap(maps, masks, torch.tensor([1.0, 1])))[0].tolist() == pytest.approx([1, 1 / 3, 0])


def test_dissection_agrees_with_a_loop():
    rows = _dissection()
    maps, masks = rows["maps"], rows["masks"]
    score = Dissection(UNITS, 4, quantile=0.02)
    for chunk in torch.arange(24).split(7):
        score.update(maps[chunk], masks[chunk])
    readouts = score.compute()
    for k in range(UNITS):
        ranked = sorted(maps[:, k].flatten().tolist(), reverse=True)
        level = ranked[math.floor(0.02 * len(ranked))]
        best = []
        for p in range(4):
            both = either = 0
            for i in range(24):
                wide = F.interpolate(maps[i, k][None, None], (6, 6), mode="bilinear")[0, 0] > level
                both += int((wide & masks[i, p]).sum())
                either += int((wide | masks[i, p]).sum())
            best.append(both / either)
        assert float(readouts["unit/iou"][k]) == pytest.approx(max(best))
        assert int(readouts["unit/thing"][k]) == (best.index(max(best)) if max(best) > 0.04 else -1)


@pytest.mark.parametrize("p", [1, 7, 8, 9, 16])
def test_masks_are_kept_as_bits(p):
    masks = torch.rand(3, p, 5, 4, generator=torch.Generator().manual_seed(p)) > 0.5
    packed = pack(masks)
    assert packed.shape == (3, -(-p // 8), 5, 4)
    assert packed.dtype == torch.uint8
    assert torch.equal(unpack(packed, p), masks)


def test_dissection_names_what_is_wrong():
    rows, score = _dissection(), Dissection(UNITS, 4)
    with pytest.raises(ValueError, match=r"maps is \(24, 6, 3, 3\); expected \(any, 7, any, any\)"):
        score.update(rows["maps"][:, 1:], rows["masks"])
    with pytest.raises(ValueError, match=r"masks is \(1, 4, 6, 6\)"):
        score.update(rows["maps"], rows["masks"][:1])
    with pytest.raises(ValueError, match="dissection.maps of input 0 holds nan; expected finite numbers"):
        score.update(rows["maps"] * math.nan, rows["masks"])
    with pytest.raises(ValueError, match="quantile is 2"):
        Dissection(UNITS, 4, quantile=2)
    assert Dissection(2, 3, quantile=0.01).protocol == "bau2017-v1/quantile0.01"
