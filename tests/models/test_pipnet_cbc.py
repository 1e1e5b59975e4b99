"""PIP-Net and classification by components, which share their prototypes."""

import math

import pytest
import torch
import torch.nn.functional as F

from zoo import create_data, create_model
from zoo.batch import Batch, content_hash
from zoo.phase import Phase
from zoo.training.cache import CachedFeatures, features_as_inputs


def build(name="pipnet", **args):
    torch.manual_seed(0)
    small = {"num_classes": 10, "backbone": "resnet10t", "backbone_level": 1, "features": 6}
    return create_model(name, **small | args)


@pytest.fixture(scope="module")
def data():
    data = create_data("digits", size=16, batch_size=16, limit=60, views=2)
    data.setup()
    return data


@pytest.fixture(scope="module")
def batch(data):
    return next(iter(data.loader("train", augment=True)))


@torch.no_grad()
@pytest.mark.parametrize("name", ["pipnet", "cbc"])
def test_losses_against_loops(batch, name):
    model = build(name)
    terms = model.loss(batch, {"align": 1.0, "tanh": 1.0})
    both = model.feature_map(torch.cat([batch.x, batch.views[:, 0]]))
    a, b = both[: len(batch)], both[len(batch) :]
    align = [
        -math.log(float(a[n, :, i, j] @ b[n, :, i, j]) + 1e-12)
        for n in range(len(batch))
        for i in range(a.shape[2])
        for j in range(a.shape[3])
    ]
    assert float(terms["align"]) == pytest.approx(sum(align) / len(align), rel=1e-4)
    tanh = [
        -math.log(math.tanh(sum(float(z[n, u].max()) for n in range(len(batch)))) + 1e-8)
        for z in (a, b)
        for u in range(6)
    ]
    assert float(terms["tanh"]) == pytest.approx(sum(tanh) / 12, rel=1e-3, abs=1e-6)
    task = []
    for z in (a, b):
        out = F.linear(z.amax((2, 3)), model.class_weights(), model.class_bias())
        if name == "pipnet":
            task.append(float(F.cross_entropy((1 + out * out).log(), batch.y)))
        else:
            wrong = [max(float(v) for k, v in enumerate(row) if k != y) for row, y in zip(out, batch.y, strict=True)]
            true = [float(row[y]) for row, y in zip(out, batch.y, strict=True)]
            task.append(sum(max(0.0, w - t + 0.025) for w, t in zip(wrong, true, strict=True)) / len(batch))
    assert float(terms["task"]) == pytest.approx(sum(task) / 2, rel=1e-4)


def test_the_gradient_of_alignment_is_half_of_the_plain_one(batch):
    model = build()
    model.loss(batch, {"align": 1.0})["align"].backward()
    half = model.addon[0].weight.grad.clone()
    model.zero_grad()
    a, b = model.feature_map(torch.cat([batch.x, batch.views[:, 0]])).chunk(2)
    (-((a * b).sum(1) + 1e-12).log().mean()).backward()
    torch.testing.assert_close(2 * half, model.addon[0].weight.grad, rtol=1e-3, atol=1e-6)


def test_views_are_needed_for_alignment(batch):
    single = Batch(batch.x, batch.y, batch.index)
    with pytest.raises(ValueError, match=r"one view of each image; .* data.views=2"):
        build().loss(single, {"align": 1.0})
    assert tuple(build().loss(single, {})) == ("task",)


@torch.no_grad()
def test_views_are_cached_with_their_images(data):
    """A phase on cached features has the same losses as one on images."""
    model = build().eval()
    cached = CachedFeatures(model, data, passes=2, device=torch.device("cpu"))
    loader, images = cached.train_dataloader(), data.train_dataloader()
    weights = {"align": 1.0, "tanh": 1.0}
    with features_as_inputs(model):
        features = next(iter(loader))
        losses = model.loss(features, weights)
    batch = next(iter(images))
    assert torch.equal(features.index, batch.index)
    assert features.views.shape == (16, 1, *features.x.shape[1:])
    for name, value in model.loss(batch, weights).items():
        torch.testing.assert_close(losses[name], value, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_absent_prototypes_count_nothing_in_evaluation(batch):
    model = build(features=30).eval()
    shares = model.feature_map(batch.x).amax((2, 3))
    assert bool((shares < 0.1).any())
    torch.testing.assert_close(model.scores(batch.x), torch.where(shares < 0.1, 0.0, shares))
    torch.testing.assert_close(model.maps(batch.x).sum(1), torch.ones(len(batch), 4, 4))


def test_only_training_steps_shrink_the_head(batch, data):
    model = build()
    before = model.head.weight.clone()
    model.configure_phase(Phase(epochs=1, lr={"backbone": 1e-3}))
    model.after_step()
    assert torch.equal(model.head.weight, before)
    model.configure_phase(Phase(epochs=1, lr={"head": 1e-3}))
    model.after_step()
    torch.testing.assert_close(model.head.weight, (before - 1e-3).clamp_min(0))
    model.eval()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    model.extra_metrics(data.loader("test"))
    model.score_matrix(data.loader("test"))
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


@torch.no_grad()
def test_prune_and_examples(data):
    model = build(features=30)
    scores, _ = model.score_matrix(data.loader("train"))
    absent = (scores == 0).all(0)
    numbers = model.prune(data.loader("train"))
    assert numbers["never present"] == int(absent.sum())
    assert not model.head.weight[:, absent].any()
    model.find_examples(data.loader("train", batch_size=7))
    everything = next(iter(data.loader("train", batch_size=1000)))
    shares = model.feature_map(everything.x)
    for u in range(30):
        i, row, col = (int(getattr(model, f"source_{k}")[u]) for k in ("index", "row", "col"))
        assert float(shares[i, u, row, col]) == pytest.approx(float(shares[:, u].max()), abs=1e-6)
        assert int(model.source_hash[u]) == int(content_hash(everything.x[i : i + 1]))
    assert "sources" in model.capabilities
    other = build(features=30).eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(everything.x), model(everything.x))


@torch.no_grad()
def test_extra_metrics_by_hand(data):
    model = build(features=4, num_classes=2)
    model.head.weight.copy_(torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, -1.0]]))
    present = torch.tensor([[0.5, 0.5, 0.0, 0.9], [0.0, 0.0, 0.9, 0.9]])
    model.score_matrix = lambda loader: (present, torch.tensor([0, 1]))
    assert model.extra_metrics(None) == {
        "prototypes with a weight": 2,
        "prototypes of an explanation": 1.0,
        "share of zero weights": 0.75,
        "share of images without a prototype": 0.5,
    }


@torch.no_grad()
@pytest.mark.parametrize("reasoning", ["signed", "positive"])
def test_reasoning_weights_are_probabilities(batch, reasoning):
    model = build("cbc", reasoning=reasoning).eval()
    positive, negative = model.reasoning()
    assert bool((positive >= 0).all() and (negative >= 0).all())
    torch.testing.assert_close((positive + negative).sum(1), torch.ones(10))
    d = model.scores(batch.x)
    for n in range(len(batch)):
        for c in range(10):
            p = sum(positive[c, k] * d[n, k] + negative[c, k] * (1 - d[n, k]) for k in range(6))
            assert float(model(batch.x)[n, c]) == pytest.approx(float(p), abs=1e-6)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="features is -1"):
        build(features=-1)
    with pytest.raises(ValueError, match="shrinkage is -0.1"):
        build(shrinkage=-0.1)
    with pytest.raises(ValueError, match="reasoning|both"):
        build("cbc", reasoning="both")
