"""Weights in the layout of their authors compute, as models of zoo, what the formulas of the papers give."""

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet18

import zoo
from zoo.importers import import_cem, import_protopnet, save_imported
from zoo.weights.state_files import read_state

CLASSES = ["robin", "tit", "wren"]
CONCEPTS = ["red", "small", "long bill", "crest"]


def backbone():
    """A ResNet of torchvision with running statistics that are not the initial ones."""
    torch.manual_seed(0)
    net = resnet18()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.8, 1.2)
    return net.eval()


def features(net, x):
    x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
    return net.layer4(net.layer3(net.layer2(net.layer1(x))))


@pytest.fixture(scope="module")
def protopnet(tmp_path_factory):
    """A state dict in the authors' layout, pruned to 7 prototypes, and its logits of two images."""
    net = backbone()
    addon = nn.Sequential(nn.Conv2d(512, 16, 1), nn.ReLU(), nn.Conv2d(16, 16, 1), nn.Sigmoid())
    prototypes = torch.rand(7, 16, 1, 1)
    owner = torch.tensor([0, 0, 0, 1, 1, 2, 2])
    weight = torch.where(torch.arange(3)[:, None] == owner, 1.0, -0.5) + 0.1 * torch.rand(3, 7)
    state = {f"features.{key}": value for key, value in net.state_dict().items() if not key.startswith("fc.")}
    state |= {f"add_on_layers.{key}": value for key, value in addon.state_dict().items()}
    state |= {"prototype_vectors": prototypes, "ones": torch.ones(7, 16, 1, 1), "last_layer.weight": weight}
    file = tmp_path_factory.mktemp("protopnet") / "bird.pth"
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, file)
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        patches = addon(features(net, x)).flatten(2)  # (b, d, n)
        distance = (patches[:, None] - prototypes[None, :, :, 0]).square().sum(2).amin(2)
        logits = torch.log((distance + 1) / (distance + 1e-4)) @ weight.T
    return file, state, x, logits, owner


def test_protopnet_of_the_authors(protopnet, tmp_path):
    file, _, x, logits, owner = protopnet
    model = import_protopnet(file, backbone="resnet18", class_names=CLASSES, size=96)
    with torch.no_grad():
        assert (model(x) - logits).abs().max() < 1e-3
    assert model.owner.tolist() == owner.tolist()
    assert model.units.names[:4] == ["robin #0", "robin #1", "robin #2", "tit #0"]
    assert "sources" not in model.capabilities, "the file does not say where prototypes came from"
    folder = save_imported(model, tmp_path / "birds", source="the authors")
    again = zoo.load(str(folder))
    assert torch.equal(again(x), model(x))
    assert again.predict(torch.zeros(20, 30, 3, dtype=torch.uint8).numpy()).labels[0] in CLASSES
    assert "Source: the authors." in (folder / "README.md").read_text()


def test_cem_of_the_authors(tmp_path):
    net = backbone()
    net.fc = nn.Linear(512, len(CONCEPTS))
    contexts = [nn.Sequential(nn.Linear(len(CONCEPTS), 2 * 5), nn.LeakyReLU()) for _ in CONCEPTS]
    scorer, head = nn.Linear(2 * 5, 1), nn.Linear(5 * len(CONCEPTS), 3)
    state = {f"pre_concept_model.{key}": value for key, value in net.state_dict().items()}
    for i, context in enumerate(contexts):
        state |= {f"concept_context_generators.{i}.{key}": value for key, value in context.state_dict().items()}
    state |= {f"concept_prob_generators.0.{key}": value for key, value in scorer.state_dict().items()}
    state |= {f"c2y_model.0.{key}": value for key, value in head.state_dict().items()}
    save_file(state, tmp_path / "cem.safetensors")
    x = torch.randn(2, 3, 64, 64)
    mixed, probabilities = [], []
    with torch.no_grad():
        h = net(x)
        for context in contexts:
            pair = context(h)
            p = torch.sigmoid(scorer(pair))
            mixed.append(p * pair[:, :5] + (1 - p) * pair[:, 5:])
            probabilities.append(p)
        logits = head(torch.cat(mixed, 1))
    arguments = {"backbone": "resnet18", "class_names": CLASSES, "concept_names": CONCEPTS, "size": 64}
    model = import_cem(tmp_path / "cem.safetensors", **arguments)
    explanation = model.explain(x)
    assert (explanation.logits - logits).abs().max() < 1e-4
    assert (explanation.strength - torch.cat(probabilities, 1)).abs().max() < 1e-5
    assert list(model.units.names) == CONCEPTS
    with pytest.raises(ValueError, match="has 4 concepts; 1 names are given"):
        import_cem(tmp_path / "cem.safetensors", **{**arguments, "concept_names": ["red"]})
    other = {**state, "concept_prob_generators.1.weight": torch.zeros(1, 10)}
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"has concept_prob_generators.1.weight; expected one scorer for all"):
        import_cem(tmp_path / "other.safetensors", **arguments)


WRONG = {
    "no prototypes": (lambda s: s.pop("prototype_vectors"), "has no prototype_vectors; expected the layout"),
    "order": (
        lambda s: s.update({"last_layer.weight": s["last_layer.weight"].flip(1)}),
        "in the order of their classes",
    ),
    "lacks": (lambda s: s.pop("features.layer3.0.conv1.weight"), "lacks backbone.net.layer3.0.conv1.weight"),
    "shape": (
        lambda s: s.update({"add_on_layers.2.weight": torch.zeros(4, 16, 1, 1)}),
        r"is \(4, 16, 1, 1\); expected",
    ),
    "finite": (lambda s: s["prototype_vectors"].view(-1)[3].fill_(float("nan")), "not finite"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_another_layout_is_refused_with_the_tensor_named(protopnet, wrong, tmp_path):
    state = {key: value.clone() for key, value in protopnet[1].items()}
    change, words = WRONG[wrong]
    change(state)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=words):
        import_protopnet(tmp_path / "w.pth", backbone="resnet18", class_names=CLASSES)


def test_an_unknown_backbone_is_refused(protopnet):
    with pytest.raises(ValueError, match="the backbone is 'densenet121'; expected resnet18"):
        import_protopnet(protopnet[0], backbone="densenet121", class_names=CLASSES)


class Attack:
    """An object whose unpickling writes a file."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (open, (str(self.file), "w"))


def test_no_code_of_a_file_is_run(tmp_path):
    for write in (torch.save, lambda value, file: file.write_bytes(pickle.dumps(value))):
        write({"weight": torch.ones(1), "other": Attack(tmp_path / "written")}, tmp_path / "w.pth")
        with pytest.raises(ValueError, match=r"holds objects other than tensors, .* write its tensors alone"):
            read_state(tmp_path / "w.pth")
        assert not (tmp_path / "written").exists()
    torch.save(backbone(), tmp_path / "whole.pth")
    with pytest.raises(ValueError, match="holds objects other than tensors"):
        read_state(tmp_path / "whole.pth")


@pytest.mark.parametrize(("name", "content"), [("w.pth", b"not weights"), ("w.safetensors", b"\x08"), ("w.pth", b"")])
def test_a_damaged_file_is_refused_in_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"w\.") as error:
        read_state(tmp_path / name)
    assert "\n" not in str(error.value)
    torch.save([1, 2], tmp_path / name)
    with pytest.raises(ValueError, match=r"holds list; expected tensors by name|cannot be read as weights"):
        read_state(tmp_path / name)
    with pytest.raises(ValueError, match="is missing"):
        read_state(tmp_path / "gone.pth")


def test_a_backbone_of_timm_from_a_file_of_torch(tmp_path):
    import timm

    full = timm.create_model("resnet10t", pretrained=False)
    torch.save(full.state_dict(), tmp_path / "resnet10t.pth")
    weights = {"backbone": "resnet10t", "backbone_weights": str(tmp_path / "resnet10t.pth")}
    model = zoo.create_model("blackbox", num_classes=2, **weights)
    assert torch.equal(model.backbone.net.conv1[0].weight, full.conv1[0].weight)
