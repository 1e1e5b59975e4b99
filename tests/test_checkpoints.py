"""A checkpoint is written whole or not at all, loaded strictly or not at all; those that travel with zoo are small."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import load_file, save_file

import zoo
from zoo import checkpoint, create_model, paths
from zoo.capabilities import HasSources, HasUnitTemplates, capability
from zoo.checkpoint import WEIGHTS, find, graft, list_checkpoints, load, read_units, save
from zoo.config import VERSION, check, migrate
from zoo.training.run import classes
from zoo.weights.integrity import write_hash

SHIPPED = sorted(p.parent for p in (paths.home() / "checkpoints").rglob(WEIGHTS))
FILES = {WEIGHTS, f"{WEIGHTS}.sha256", "config.yaml", "README.md", "metrics.json", "units.yaml"}
size = lambda folder: sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())  # noqa: E731


def test_shipped_are_small():
    assert all(size(folder) < 10e6 for folder in SHIPPED)
    assert sum(map(size, SHIPPED)) < 150e6


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda p: p.name)
def test_shipped(folder):
    whole(folder)
    assert folder.name in list_checkpoints()


def test_a_run_leaves_a_whole_checkpoint(finished):
    whole(finished / "checkpoint")


def whole(folder):
    model = load(str(folder))
    assert not model.training
    with torch.no_grad():
        data = model.config["data"]
        result = model.hparams.get("input_shape") or model.config["model"].get("input_shape")
        shape = result or [data.get("channels", 3), data["size"], data["size"]]
        x = torch.randn(1, *shape) if model.input_kind == "numbers" else torch.zeros(1, *shape, dtype=torch.int64)
        if model.config["model"].get("encoder"):  # a text encoder of others, which need not be on this machine
            assert set(model.config["model"]["encoder"]) == {"id", "sha256", "width", "length"}
        else:
            assert model(x).isfinite().all()
    check(OmegaConf.create(model.config), where=str(folder), classes=classes)
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    front = OmegaConf.to_container(OmegaConf.create(front))
    assert front["library_name"] == "zoo"
    assert model.name in front["tags"]
    assert "license" in text.lower()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["scores"]
    assert all(s["protocol"] for s in metrics["scores"].values())
    assert {"seed", "data", "versions", "command"} <= metrics.keys()
    if len(model.units):
        assert len(read_units(folder)) == len(model.units)
        assert {p.name for p in folder.iterdir()} >= FILES
        pictured = capability(model, HasSources) or capability(model, HasUnitTemplates)
        pictures = {p.name for p in folder.glob("*.png")}
        if "No picture of the data is stored here" in text:  # the license of the data does not allow it
            assert not pictures
        else:
            assert ("units.png" in pictures) == bool(pictured)
        assert not (folder / "units").exists()


@pytest.fixture
def small():
    torch.manual_seed(0)
    args = {"num_classes": 4, "backbone": "resnet10t", "backbone_level": 1, "per_class": 2, "dim": 8}
    return create_model("protopnet", **args), {"model": {"name": "protopnet", **args}, "data": {"name": "digits"}}


def write(folder, model, config, **more):
    return save(folder, model, config=config, metrics={"scores": {}}, card="# card\n", **more)


def test_save_and_load(small, tmp_path):
    model, config = small
    config["model"] |= {"pretrained": True, "backbone_weights": "/nowhere.safetensors"}
    write(tmp_path / "c", model, config, unit_lines=["a"] * 8)
    again = load(str(tmp_path / "c"))
    assert again.config["model"]["backbone_weights"] is None
    assert again.config["model"]["pretrained"] is False
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in model.state_dict().items())
    from safetensors import safe_open

    with safe_open(tmp_path / "c" / WEIGHTS, "pt") as file:
        assert file.metadata()["zoo"] == zoo.__version__
        assert len(file.metadata()["config"]) == 12
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_writing_replaces_whole(small, tmp_path):
    model, config = small
    write(tmp_path / "c", model, config, unit_lines=["a"] * 8)
    write(tmp_path / "c", model, config)
    assert {p.name for p in (tmp_path / "c").iterdir()} == FILES - {"units.yaml"} | {"task.yaml"}


def test_units_are_plain_texts_and_old_folders_are_read(small, tmp_path):
    model, config = small
    lines = ["${x}: a", "b, “c”", "no", *"defgh"]
    folder = write(tmp_path / "c", model, config, unit_lines=lines, unit_sheet=Image.new("RGB", (4, 3)))
    assert read_units(folder) == lines
    assert Image.open(folder / "units.png").size == (4, 3)
    (folder / "units.yaml").unlink()
    assert read_units(folder) == []
    (folder / "units").mkdir()
    (folder / "units" / "names.yaml").write_text("0: a, for 1\n1: 'no'\n")
    assert read_units(folder) == ["a, for 1", "no"]
    load(str(folder))
    (folder / "units.yaml").write_text("- a")
    with pytest.raises(ValueError, match="units.yaml is no list of units"):
        read_units(folder)


@pytest.mark.parametrize("broken", ["write_text", "write_bytes"])
def test_a_failure_leaves_the_old_one(small, tmp_path, monkeypatch, broken):
    model, config = small
    write(tmp_path / "c", model, config)
    before = {p.name: p.read_bytes() for p in (tmp_path / "c").iterdir()}

    def fail(*args, **kwargs):
        raise OSError("no space left on device")

    with torch.no_grad():
        model.head.weight.zero_()
    with monkeypatch.context() as patch:
        if broken == "write_text":
            patch.setattr(Path, "write_text", fail)
        else:
            patch.setattr(Path, "write_bytes", fail)
        with pytest.raises(OSError, match="no space"):
            write(tmp_path / "c", model, config)
    assert {p.name: p.read_bytes() for p in (tmp_path / "c").iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["c"], "nothing half written is left behind"


def test_half_written_folders_are_not_listed(small, tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CHECKPOINTS", str(tmp_path))
    model, config = small
    write(tmp_path / "right", model, config)
    shutil.copytree(tmp_path / "right", tmp_path / ".wrong.abc")
    assert "right" in list_checkpoints()
    assert not [n for n in list_checkpoints() if n.startswith(".")]
    assert list_checkpoints("righ?") == ["right"]
    assert load("right").name == "protopnet"
    with pytest.raises(ValueError, match="no checkpoint 'rihgt', did you mean right"):
        load("rihgt")


def test_find_a_run_folder(small, tmp_path):
    model, config = small
    write(tmp_path / "run" / "checkpoint", model, config)
    assert find(str(tmp_path / "run")) == find(str(tmp_path / "run" / "checkpoint")) == tmp_path / "run" / "checkpoint"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: {k: v for k, v in s.items() if k != "head.weight"}, "Missing key.*head.weight"),
        (lambda s: s | {"extra": torch.zeros(1)}, "Unexpected key.*extra"),
        (lambda s: s | {"head.weight": torch.zeros(4, 9)}, "size mismatch for head.weight"),
        (lambda s: {k: v for k, v in s.items() if k != "source_hash"}, "source_hash"),
    ],
)
def test_loading_is_strict(small, tmp_path, change, words):
    model, config = small
    folder = write(tmp_path / "c", model, config)
    state = {k: v.clone() for k, v in load_file(folder / WEIGHTS).items()}
    save_file(change(state), folder / WEIGHTS)
    write_hash(folder / WEIGHTS)
    with pytest.raises(ValueError, match=words) as error:
        load(str(folder))
    assert "\n" not in str(error.value)
    assert str(folder / WEIGHTS) in str(error.value)


def test_damaged(small, tmp_path):
    model, config = small
    folder = write(tmp_path / "c", model, config)
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="model.safetensors is damaged: its SHA-256"):
        load(str(folder))
    (folder / WEIGHTS).write_bytes(data)
    (folder / "metrics.json").write_text("{")
    with pytest.raises(ValueError, match="no whole checkpoint"):
        load(str(folder))
    (folder / "metrics.json").unlink()
    with pytest.raises(ValueError, match="no whole checkpoint"):
        load(str(folder))
    write(folder, model, config)
    (folder / "config.yaml").write_text("model: [")
    with pytest.raises(ValueError, match="no whole checkpoint"):
        load(str(folder))
    (folder / "config.yaml").write_text("data: {name: digits}\n")
    with pytest.raises(ValueError, match="model"):
        load(str(folder))


def test_there_is_no_pickle():
    text = "".join(f.read_text() for f in paths.PACKAGE.rglob("*.py"))
    assert text.count("torch.load(") == text.count("weights_only=True, map_location")
    assert not [w for w in ("pickle.load", "Unpickler(", "allow_pickle=True") if w in text]


def proto(**args):
    torch.manual_seed(args.pop("seed", 0))
    small = {"num_classes": 4, "backbone": "resnet10t", "backbone_level": 1, "per_class": 2, "dim": 8}
    return create_model("protopnet", **small | args)


def test_graft_takes_over_all_but_the_replaced(small):
    source, model = proto(), proto(seed=1)
    fresh = {k: v.clone() for k, v in model.state_dict().items()}
    graft(model, source, ["head"])
    theirs = source.state_dict()
    for name, value in model.state_dict().items():
        expected = fresh if name.startswith("head") else theirs
        assert torch.equal(value, expected[name]), name
    assert not torch.equal(fresh["prototypes"], theirs["prototypes"])


def test_graft_onto_other_classes():
    source, model = proto(), proto(seed=1, num_classes=6)
    fresh = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(ValueError, match="finetune: head.weight is .* add 'head' to finetune.replace"):
        graft(proto(seed=1, num_classes=6), source, [])
    with pytest.raises(ValueError, match="add '(prototypes|head)' to finetune.replace"):
        graft(proto(seed=1, num_classes=6), source, ["prototypes"])
    graft(model, source, ["head", "prototypes"])
    for name, value in model.state_dict().items():
        own = model.part_of(name) in ("head", "prototypes")
        assert torch.equal(value, (fresh if own else source.state_dict())[name]), name


def test_graft_from_a_pruned_source():
    source = proto()
    keep = torch.tensor([True] * 5 + [False] * 3)
    source.prototypes = torch.nn.Parameter(source.prototypes[keep].detach())
    source.head = torch.nn.Linear(5, 4, bias=False)
    for name in ("owner", "source_index", "source_row", "source_col", "source_distance", "source_hash"):
        setattr(source, name, getattr(source, name)[keep])
    model = proto(seed=1)
    graft(model, source, ["head"])
    assert len(model.units) == 5
    assert model(torch.randn(1, 3, 16, 16)).shape == (1, 4)


def test_graft_errors():
    with pytest.raises(ValueError, match=r"no part 'hed', did you mean head"):
        graft(proto(), proto(), ["hed"])
    with pytest.raises(ValueError, match="finetune: .*backbone|finetune: addon"):
        graft(proto(), proto(backbone="resnet18"), ["head"])
    other = create_model("blackbox", num_classes=4, backbone="resnet10t", backbone_level=1)
    with pytest.raises(ValueError, match="finetune: the source has no tensor"):
        graft(proto(), other, ["head"])
    graft(proto(), other, ["head", "addon", "prototypes"])  # a backbone trained as a black box


def test_finetune_by_config(finished, tmp_path, tiny):
    from zoo.training.run import build, load_config

    config = load_config(str(tiny), [f"finetune.from={finished}", "finetune.replace=[addon]", "seed=11"])
    model, _ = build(config)
    theirs = load(str(finished)).state_dict()
    changed = {model.part_of(k) for k, v in model.state_dict().items() if not torch.equal(v, theirs[k])}
    assert changed == {"addon"}


def test_standalone():
    args = {"name": "x", "pretrained": True, "backbone_weights": "f", "dim": 3}
    assert checkpoint.standalone(args) == {"name": "x", "pretrained": False, "backbone_weights": None, "dim": 3}
    assert checkpoint.standalone({"name": "x"}) == {"name": "x"}


def test_load_from_the_hub(monkeypatch):
    requests = []

    def fetched(repo, revision=None):
        requests.append((repo, revision))
        return str(paths.home() / "checkpoints" / "protopnet-digits")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetched)
    assert len(zoo.load("hub:org/name@v1").units) == len(zoo.load("protopnet-digits").units)
    assert requests == [("org/name", "v1")]

    def unreachable(repo, revision=None):
        raise OSError("no network\nand a long story")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(ValueError, match="hub:org/name: no network$"):
        zoo.load("hub:org/name")


@pytest.fixture
def version_1(finished, tmp_path):
    """The run ``finished`` as version 1 of zoo wrote it: no version, the reference model under ``yardstick``."""
    folder = tmp_path / "old"
    shutil.copytree(finished, folder)
    for file in (folder / "config.yaml", folder / "checkpoint" / "config.yaml"):
        config = yaml.safe_load(file.read_text())
        assert config.pop("version") == VERSION
        config["yardstick"] = config.pop("reference")
        file.write_text(yaml.safe_dump(config))
        assert "yardstick" in file.read_text()
    return folder


def test_a_config_of_version_1_is_migrated():
    old = {"model": {"name": "protopnet"}, "yardstick": "blackbox/digits"}
    assert migrate(old) == {"model": {"name": "protopnet"}, "reference": "blackbox/digits", "version": VERSION}
    assert "yardstick" in old, "the mapping given is not changed"
    assert migrate(migrate(old)) == migrate(old)
    for version in (VERSION + 1, 0, "two", True):
        with pytest.raises(ValueError, match=f"config has version {version!r}; this zoo reads versions 1 to {VERSION}"):
            migrate({"version": version})


def test_a_checkpoint_of_version_1_is_loaded_and_finetuned(version_1, finished, tiny):
    from zoo.training.run import build, load_checkpoint, load_config

    model, config = load_checkpoint(str(version_1), ["data.limit=20"])
    assert (config.version, config.reference, config.data.limit) == (VERSION, None, 20)
    theirs = load(str(finished)).state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in model.state_dict().items())
    tuned, _ = build(load_config(str(tiny), [f"finetune.from={version_1}"]))
    assert all(torch.equal(value, theirs[key]) for key, value in tuned.state_dict().items())


def test_a_run_of_version_1_is_resumed(version_1, tiny):
    before = load_file(version_1 / "checkpoint" / WEIGHTS)
    shutil.rmtree(version_1 / "checkpoint")
    with pytest.raises(ValueError, match="was started with another config"):
        zoo.train(tiny, out=version_1, resume=True, seed=5)
    zoo.train(tiny, out=version_1, resume=True)
    after = load_file(version_1 / "checkpoint" / WEIGHTS)
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert yaml.safe_load((version_1 / "config.yaml").read_text())["version"] == VERSION


def test_a_config_file_of_version_1_is_read(tmp_path, tiny):
    from zoo.training.run import load_config

    file = tmp_path / "old.yaml"
    file.write_text(tiny.read_text() + "yardstick: blackbox/digits\n")
    assert load_config(str(file)).reference == "blackbox/digits"
    file.write_text(tiny.read_text() + f"version: {VERSION}\nyardstick: blackbox/digits\n")
    with pytest.raises(ValueError, match="yardstick"):
        load_config(str(file))


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda p: p.name)
def test_shipped_are_complete(folder):
    model = load(str(folder))
    assert model.inputs is not None
    if model.task.kind != "regression":
        assert len(model.class_names) == model.hparams.get("num_classes", len(model.class_names))
    shape = model.hparams.get("input_shape")
    assert shape is None or math.prod(shape) == math.prod(model.inputs.shape)


@pytest.mark.parametrize("name", ["protopnet-digits", "cbm-digits", "blackbox-shapes"])
def test_backbones_of_checkpoints_are_laid_out_channels_last(name):
    """As trained, so that scoring and prediction are as fast."""
    model = zoo.load(name)
    weights = [w for w in model.backbone.parameters() if w.ndim == 4 and min(w.shape[1:]) > 1]
    assert weights
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)
    assert not any(w.is_contiguous() for w in weights)
