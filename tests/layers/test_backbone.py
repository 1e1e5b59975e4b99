import copy

import pytest
import timm
import torch
from safetensors.torch import save_file

from zoo import paths
from zoo.layers.backbone import Backbone


@pytest.fixture(scope="module")
def full():
    torch.manual_seed(0)
    return {k: v.clone() for k, v in timm.create_model("resnet10t").state_dict().items()}


@pytest.fixture
def written(full, tmp_path):
    def write(change=lambda state: state):
        file = tmp_path / "weights.safetensors"
        save_file({k: v.contiguous() for k, v in change(dict(full)).items()}, file)
        return str(file)

    return write


def without(key):
    return lambda state: {k: v for k, v in state.items() if k != key}


def test_weights_are_those_of_the_full_model(written, full):
    own = Backbone("resnet10t", level=2, weights=written()).net.state_dict()
    assert torch.equal(own["layer1.0.conv1.weight"], full["layer1.0.conv1.weight"])
    x = torch.randn(2, 3, 64, 64)
    model = timm.create_model("resnet10t")
    model.load_state_dict(full)
    deep = Backbone("resnet10t", weights=written())
    with torch.no_grad():
        torch.testing.assert_close(deep.eval()(x), model.eval().forward_features(x))


def test_half_precision_files_are_cast(written, full):
    half = lambda state: {k: v.half() if v.is_floating_point() else v for k, v in state.items()}  # noqa: E731
    own = Backbone("resnet10t", weights=written(half)).net.state_dict()
    assert own["conv1.0.weight"].dtype == torch.float32
    assert torch.equal(own["conv1.0.weight"], full["conv1.0.weight"].half().float())


def test_counters_may_be_missing(written):
    drop = lambda state: {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}  # noqa: E731
    Backbone("resnet10t", weights=written(drop))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("layer1.0.conv1.weight"), r"lacks resnet10t: layer1.0.conv1.weight \(1 in all\)"),
        (lambda s: s | {"nonsense": torch.zeros(1)}, r"has tensors unknown to resnet10t: nonsense \(1 in all\)"),
        (
            lambda s: s | {"conv1.0.weight": torch.zeros(1, 2)},
            r"other shapes than resnet10t: conv1.0.weight \(1, 2\) for",
        ),
    ],
)
def test_strict(written, change, words):
    with pytest.raises(ValueError, match=words):
        Backbone("resnet10t", weights=written(change))


def test_weights_of_another_architecture(written):
    with pytest.raises(ValueError, match="lacks resnet18"):
        Backbone("resnet18", weights=written())


def test_missing_and_corrupt_files(tmp_path):
    for content in (None, b"", b"no weights at all", b"\x08\x00\x00\x00\x00\x00\x00\x00{}"):
        file = tmp_path / "w.safetensors"
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(ValueError, match=f"{file}"):
            Backbone("resnet10t", weights=str(file))
    with pytest.raises(ValueError, match=f"backbone_weights {tmp_path}"):
        Backbone("resnet10t", weights=str(tmp_path))


def test_two_sources_of_weights():
    with pytest.raises(ValueError, match="are both given; expected one of them"):
        Backbone("resnet10t", pretrained=True, weights="x")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"name": "resnet9000"}, "backbone 'resnet9000'.*did you mean resnet200"),
        ({"name": "resnet10t", "level": 9}, "backbone 'resnet10t' .level 9"),
        ({"name": "resnet10t", "args": {"colour": 1}}, "backbone 'resnet10t'.*colour"),
    ],
)
def test_unknown(args, words):
    with pytest.raises(ValueError, match=words):
        Backbone(**args)


@pytest.mark.parametrize(("level", "channels", "side"), [(1, 64, 16), (2, 128, 8), (-1, 512, 2), (4, 512, 2)])
def test_level(level, channels, side):
    b = Backbone("resnet10t", level=level).eval()
    assert b.channels == channels
    with torch.no_grad():
        assert b(torch.randn(1, 3, 64, 64)).shape == (1, channels, side, side)


def test_vit_gives_a_map(tmp_path):
    args = {"img_size": 64, "depth": 2}
    full = timm.create_model("vit_tiny_patch16_224", **args)
    save_file(full.state_dict(), tmp_path / "vit.safetensors")
    b = Backbone("vit_tiny_patch16_224", weights=str(tmp_path / "vit.safetensors"), args=args).eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert b(x).shape == (1, b.channels, 4, 4)
        blocks = full.eval().get_intermediate_layers(x, n=1, reshape=True)[0]
        torch.testing.assert_close(b(x), blocks, rtol=1e-4, atol=1e-5)


def test_cached_features_are_returned_as_they_are():
    b = Backbone("resnet10t", level=1)
    b.entry, z = "end", torch.randn(1, 64, 2, 2)
    assert b(z) is z


def test_real_weights():
    file = paths.data() / "backbones" / "mobilenetv2_100_imagenet.safetensors"
    if not file.is_file():
        pytest.skip(f"{file} is not there; set ZOO_DATA")
    b = Backbone("mobilenetv2_100", weights=str(file), args={"pad_type": "same"}).eval()
    with torch.no_grad():
        assert b(torch.randn(1, 3, 64, 64)).isfinite().all()


def test_mlp_is_its_formula():
    torch.manual_seed(0)
    net = Backbone("mlp", input_shape=[2, 3], args={"hidden": [5, 4]})
    x = torch.randn(7, 2, 3)
    h = x.reshape(7, 6)
    weights = list(net.parameters())
    for w, b in zip(weights[::2], weights[1::2], strict=True):
        h = (h @ w.T + b).clamp_min(0)
    assert net.channels == 4
    assert net(x).shape == (7, 4, 1, 1)
    torch.testing.assert_close(net(x)[..., 0, 0], h)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"input_shape": None}, "needs model.input_shape"),
        ({"input_shape": [3], "args": {"hidden": [0]}}, "takes hidden"),
        ({"input_shape": [3], "args": {"widths": [4]}}, "takes hidden"),
        ({"input_shape": [3], "pretrained": True}, "no pretrained weights"),
    ],
)
def test_mlp_refusals(args, words):
    with pytest.raises(ValueError, match=words):
        Backbone("mlp", **args)


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv2_100"])
def test_channels_last_changes_the_rounding_alone(name):
    torch.manual_seed(0)
    backbone = Backbone(name).double()
    x = torch.randn(4, 3, 32, 32).double()
    results = []
    for memory_format in (torch.channels_last, torch.contiguous_format):
        other = copy.deepcopy(backbone)
        if memory_format == torch.contiguous_format:
            other.to(memory_format=memory_format)
        weights = [w for w in other.parameters() if w.ndim == 4 and min(w.shape[1:]) > 1]
        assert weights
        assert all(w.is_contiguous(memory_format=memory_format) for w in weights)
        features = other(x)
        features.square().mean().backward()
        results.append([features, *(w.grad for w in other.parameters()), *other.buffers()])
        other.load_state_dict({key: value.contiguous() for key, value in backbone.state_dict().items()})
        assert all(w.is_contiguous(memory_format=memory_format) for w in weights)  # a checkpoint does not change it
    for last, first in zip(*results, strict=True):
        torch.testing.assert_close(last, first, rtol=1e-8, atol=1e-10)
