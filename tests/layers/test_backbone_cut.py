import pytest
import torch

from zoo import create_model
from zoo.layers.backbone import Backbone
from zoo.phase import Phase


def build(name, **args):
    torch.manual_seed(0)
    return Backbone(name, **args).eval()


@torch.no_grad()
@pytest.mark.parametrize("name", ["mobilenetv2_035", "resnet10t"])
def test_the_tail_continues_the_stem(name):
    x = torch.randn(2, 3, 64, 64)
    whole = build(name)
    cut = build(name, cut=2, blur=0.0)
    cut.load_state_dict(whole.state_dict())
    stem = cut.stem(x)
    assert stem.shape[-1] == 8  # stride 8
    torch.testing.assert_close(stem, build_level(name, whole, 2)(x))
    torch.testing.assert_close(cut.tail(stem), whole(x))
    torch.testing.assert_close(cut(x), whole(x))
    cut.entry = "cut"
    torch.testing.assert_close(cut(stem), whole(x))
    cut.entry = "end"
    assert cut(stem) is stem


def build_level(name, whole, level):
    """A backbone that ends at a level, with the weights of a whole one: timm's own way to the features of the cut."""
    part = build(name, level=level)
    part.load_state_dict({key: whole.state_dict()[key] for key in part.state_dict()})
    return part


def test_halves_are_a_partition_of_the_parameters():
    cut = build("mobilenetv2_035", cut=2)
    stem, tail = ({id(p) for p in half.parameters()} for half in cut.halves())
    assert not stem & tail
    assert stem | tail == {id(p) for p in cut.parameters()}
    assert id(cut.net.conv_stem.weight) in stem
    assert id(cut.net.blocks[3][0].conv_pw.weight) in tail


@torch.no_grad()
def test_pyramid_from_the_cut():
    x = torch.randn(2, 3, 64, 64)
    whole = build("mobilenetv2_035", shallow=2)
    cut = build("mobilenetv2_035", shallow=2, cut=2)
    deeper = build("mobilenetv2_035", shallow=3, cut=2)
    above = build("mobilenetv2_035", shallow=1, cut=2)
    for one in (cut, deeper, above):
        one.load_state_dict(whole.state_dict())
    expected = whole.pyramid(x)
    for one in (cut, deeper, above):
        torch.testing.assert_close(one.pyramid(x)[1], expected[1])
    torch.testing.assert_close(cut.pyramid(x)[0], expected[0])
    shallow = deeper.pyramid(x)[0]
    for one in (cut, deeper, above):
        one.entry = "cut"
    torch.testing.assert_close(cut.pyramid(expected[0]), expected)
    torch.testing.assert_close(deeper.pyramid(expected[0]), (shallow, expected[1]))
    with pytest.raises(ValueError, match="no shallow feature map: the phase caches deeper features"):
        above.pyramid(expected[0])


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"name": "vit_tiny_patch16_224", "cut": 1}, "backbone_cut is set and timm does not run .* step by step"),
        ({"name": "mobilenetv2_035", "cut": 4}, "backbone_cut is 4; expected a feature level below 4, the deepest"),
        ({"name": "mobilenetv2_035", "cut": -2}, "expected levels counted from 0"),
        ({"name": "mlp", "cut": 1, "input_shape": [4]}, "backbone_cut is set; expected a timm architecture"),
        ({"name": "resnet10t", "blur": -1.0}, "standard deviation of a blur is -1.0"),
    ],
)
def test_cuts_and_blurs_that_are_refused(args, words):
    with pytest.raises(ValueError, match=words):
        Backbone(**args)


def test_a_cut_model_has_the_part_stem():
    args = {"num_classes": 2, "backbone": "mobilenetv2_035", "per_class": 1, "dim": 4}
    model = create_model("protopnet", **args, backbone_cut=2)
    parts = model.trainable_parts()
    assert list(parts) == ["stem", "backbone", "addon", "prototypes", "head"]
    assert sum(
        p.numel()
        for part in parts.values()
        for p in ([part] if isinstance(part, torch.nn.Parameter) else part.parameters())
    ) == sum(p.numel() for p in model.parameters())
    of = {key: model.part_of(key) for key in model.state_dict()}
    assert of["backbone.net.conv_stem.weight"] == of["backbone.net.blocks.2.0.bn1.running_mean"] == "stem"
    assert of["backbone.net.blocks.3.0.conv_pw.weight"] == "backbone"
    assert of["addon.0.weight"] == "addon"
    assert model.part_of("backbone.net.unknown") == "backbone"
    model.configure_phase(Phase(epochs=1, lr={"backbone": 1e-3}))
    trained = {key for key, p in model.named_parameters() if p.requires_grad}
    assert {of[key] for key in trained} == {"backbone"}
    model.train()
    assert not model.backbone.net.blocks[2][0].bn1.training
    assert model.backbone.net.blocks[3][0].bn1.training
    model.configure_phase(Phase(epochs=1, lr={"backbone": 1e-3}, freeze_norm=True))
    model.train()
    assert model.backbone.net.blocks[3][0].training
    assert not model.backbone.net.blocks[3][0].bn1.training
    assert model.backbone.net.blocks[3][0].bn1.weight.requires_grad
    uncut = create_model("protopnet", **args)
    uncut.load_state_dict(model.state_dict())  # a cut changes no key
    assert "stem" not in uncut.trainable_parts()
