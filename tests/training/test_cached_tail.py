"""Features cached at a cut of the backbone, in memory and on disk, and the part after it trained on them."""

import copy

import pytest
import torch

from zoo import create_data, create_model
from zoo.config import load
from zoo.phase import Phase
from zoo.training import cache
from zoo.training.cache import CachedFeatures, features_as_inputs
from zoo.training.check import check_phases
from zoo.training.feature_store import FeatureStore
from zoo.training.run import classes

CPU = torch.device("cpu")
LOSS = {"cluster": 0.8, "separation": -0.08, "sdfa": 0.5}


def build(**args):
    torch.manual_seed(0)
    small = {"num_classes": 10, "backbone": "resnet10t", "per_class": 2, "dim": 8, "backbone_cut": 2}
    model = create_model("sdfa_sa", **small, shallow_level=2, **args)
    model.configure_phase(Phase(epochs=1, lr={"backbone": 1e-3, "addon": 1e-3, "prototypes": 1e-3}))
    return model


@pytest.fixture(scope="module")
def data():
    return create_data("digits", size=32, batch_size=16, limit=60, noise=0.2)


def test_losses_and_gradients_are_those_of_images(data):
    model = build().eval()
    cached = CachedFeatures(model, data, passes=2, device=CPU)
    features, images = next(iter(cached.train_dataloader())), next(iter(data.train_dataloader()))
    assert torch.equal(features.index, images.index)
    assert features.x.shape == (16, 128, 4, 4)
    terms = model.loss(images, LOSS)
    sum(terms.values()).backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    assert any(name.startswith("backbone.net.layer3") for name in expected)
    assert not any(name.startswith("backbone.net.layer1") for name in expected)
    model.zero_grad()
    with features_as_inputs(model):
        again = model.loss(features, LOSS)
        sum(again.values()).backward()
    assert model.backbone.entry == "input"
    for name, value in terms.items():
        torch.testing.assert_close(again[name], value)
    for name, p in model.named_parameters():
        if name in expected:
            torch.testing.assert_close(p.grad, expected[name], rtol=1e-3, atol=1e-6)


@torch.no_grad()
def test_a_frozen_backbone_is_cached_at_its_end(data):
    model = build().eval()
    model.configure_phase(Phase(epochs=1, lr={"addon": 1e-3, "prototypes": 1e-3}))
    cached = CachedFeatures(model, data, passes=1, device=CPU)
    features, images = next(iter(cached.train_dataloader())), next(iter(data.train_dataloader()))
    torch.testing.assert_close(features.x, model.backbone(images.x))
    expected = model(images.x)
    with features_as_inputs(model):
        torch.testing.assert_close(model(features.x), expected)


def test_bfloat16_takes_half_the_memory(data):
    model = build().eval()
    whole, half = (CachedFeatures(model, data, passes=1, device=CPU, half=h).train.passes[0].x for h in (False, True))
    assert half.dtype == torch.bfloat16
    assert half.nbytes * 2 == whole.nbytes
    torch.testing.assert_close(half.float(), whole, rtol=0.1, atol=0.1)


def test_passes_are_read_from_disk(data, tmp_path, monkeypatch):
    store = FeatureStore(tmp_path / "features", limit=10**9)
    model = build().eval()
    first = CachedFeatures(model, data, passes=2, device=CPU, store=store)
    assert len(list(store.folder.iterdir())) == 3  # two passes and the validation split

    def refuse(*args):
        raise AssertionError("computed again")

    other = build(average=3, own_weight=2.0).eval()  # another network after the same stem
    with monkeypatch.context() as patched:
        patched.setattr(cache.Backbone, "stem", refuse)
        again = CachedFeatures(other, data, passes=2, device=CPU, store=store)
        for one, two in zip((*first.train.passes, first.val), (*again.train.passes, again.val), strict=True):
            assert torch.equal(one.x, two.x)
            assert torch.equal(one.y, two.y)
            assert torch.equal(one.index, two.index)
        changed = copy.deepcopy(other)
        with torch.no_grad():
            changed.backbone.net.layer1[0].conv1.weight[0, 0, 0, 0] += 1e-3
        noisier = create_data("digits", size=32, batch_size=16, limit=60, noise=0.1)
        fewer = create_data("digits", size=32, batch_size=16, limit=50, noise=0.2)
        blurred = build(input_blur=1.0).eval()
        for one, source, half in (
            (changed, data, False),
            (other, noisier, False),
            (other, fewer, False),
            (blurred, data, False),
            (other, data, True),
        ):
            with pytest.raises(AssertionError, match="computed again"):
                CachedFeatures(one, source, passes=2, device=CPU, store=store, half=half)
    with torch.no_grad():
        other.backbone.net.layer4[0].conv1.weight.zero_()  # after the cut
    CachedFeatures(other, data, passes=2, device=CPU, store=store)
    assert len(list(store.folder.iterdir())) == 3


def test_the_store_is_bounded_and_forgets_the_oldest(tmp_path):
    store = FeatureStore(tmp_path, limit=3000)
    tensors = {"x": torch.zeros(250)}  # 1000 bytes and a header
    for key in ("a", "b"):
        store.put(key, tensors)
    assert torch.equal(store.get("a")["x"], tensors["x"])  # now b is the oldest
    store.put("c", tensors)
    assert [key for key in "abc" if store.get(key) is not None] == ["a", "c"]
    store.put("d", {"x": torch.zeros(1000)})  # larger than the limit
    assert store.get("d") is None
    assert store.get("a") is not None
    (tmp_path / "a.safetensors").write_bytes(b"damaged")
    assert store.get("a") is None
    off = FeatureStore(tmp_path / "off", limit=0)
    off.put("a", tensors)
    assert off.get("a") is None
    assert not (tmp_path / "off").exists()


def config(phase):
    model = {"name": "protopnet", "num_classes": 10, "backbone": "resnet10t", "per_class": 1, "dim": 4}
    settings = load("protopnet/digits", [], classes=classes)
    settings.model = model
    settings.phases = {"joint": phase}
    return settings


def test_a_cache_needs_frozen_layers_before_it():
    cut = create_model("protopnet", num_classes=10, backbone="resnet10t", per_class=1, dim=4, backbone_cut=2)
    whole = create_model("protopnet", num_classes=10, backbone="resnet10t", per_class=1, dim=4)
    trained = {"epochs": 1, "lr": {"backbone": 1e-3}, "cache": 1}
    check_phases(cut, config(trained))
    with pytest.raises(ValueError, match="lr trains the backbone; expected a frozen backbone, or model.backbone_cut"):
        check_phases(whole, config(trained))
    with pytest.raises(ValueError, match="lr trains the stem; expected a frozen stem"):
        check_phases(cut, config({"epochs": 1, "lr": {"stem": 1e-3}, "cache": 1}))


def test_one_cycle_rises_and_falls():
    model = create_model("protopnet", num_classes=2, backbone="resnet10t", per_class=1, dim=4)
    model.configure_phase(Phase(epochs=1, lr={"addon": 1e-3, "prototypes": 4e-3}, schedule="one_cycle"))
    model._trainer = type("Trainer", (), {"estimated_stepping_batches": 100})()
    [optimizer], [entry] = model.configure_optimizers()
    rates = []
    for _ in range(100):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        entry["scheduler"].step()
    addon, prototypes = torch.tensor(rates).T
    torch.testing.assert_close(prototypes, 4 * addon)
    assert int(addon.argmax()) in (14, 15)
    assert float(addon.max()) == pytest.approx(1e-3, rel=0.01)
    assert float(addon[0]) < 1e-4
    assert float(addon[-1]) < 1e-5
    assert bool((addon[:14].diff() > 0).all())
    assert bool((addon[16:].diff() < 0).all())
