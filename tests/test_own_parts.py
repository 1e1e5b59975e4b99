"""Own backbones, own loaders, a plain ``Trainer.fit``; copies of models, and half precision."""

import copy
import pickle
import warnings

import pytest
import pytorch_lightning as pl
import torch
from test_contract import CASES, build, draw
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import zoo
from zoo.batch import Batch
from zoo.data.own.loaders import Loaders, own_data
from zoo.testing import check_data, check_model

G = torch.Generator().manual_seed(0)
X = torch.randn(160, 4, generator=G)
Y = (X[:, 0] + X[:, 1] > 0).long()
CONCEPTS = {"columns": {"round": {"kind": "binary"}, "red": {"kind": "binary"}}}
PHASES = "phases: {joint: {epochs: 12, lr: {backbone: 1e-2, head: 1e-2}}}\n"
TRAINER = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}


def loaders(x=X, y=Y):
    rows = TensorDataset(x, y)
    split = {"train": range(96), "val": range(96, 128), "test": range(128, 160)}
    return {
        name: DataLoader(torch.utils.data.Subset(rows, ids), batch_size=16, shuffle=name == "train")
        for name, ids in split.items()
    }


class Net(nn.Module):
    """A network of the user: maps of 8 channels, a quarter of the side."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 5, 2, 2), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1))

    def forward(self, x):
        return self.layers(x)


def test_a_backbone_of_ones_own():
    """It explains as any other; a vector of features is a map of one cell; only its class is written down."""
    torch.manual_seed(0)
    net = Net()
    model = zoo.create_model("protopnet", num_classes=3, backbone=net, per_class=2, dim=8)
    assert net.training, "trying it on a zero input leaves its mode alone"
    model.eval()
    x = torch.randn(3, 3, 32, 32, generator=G)
    check_model(model, x, torch.tensor([0, 1, 2]))
    assert model.explain(x, shown=2).where.shape == (3, 2, 8, 8)
    assert model.backbone.net is net
    assert model.hparams["backbone"] == "own:Net"
    flat = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
    model = zoo.create_model("cbm", num_classes=2, backbone=flat, input_shape=[4], concepts=CONCEPTS).eval()
    check_model(model, X[:3], Y[:3])
    with pytest.raises(ValueError, match=r"gives \(1, 8, 512\); expected maps"):
        zoo.create_model("blackbox", num_classes=2, backbone=nn.Sequential(Net(), nn.Flatten(2), nn.Linear(256, 512)))
    with pytest.raises(ValueError, match="cannot be tried on an input of"):
        zoo.create_model("blackbox", num_classes=2, backbone=nn.Linear(5, 6))
    with pytest.raises(ValueError, match="Key 'backbone' not in"):
        zoo.create_model("bilinear_mlp", num_classes=2, backbone=flat, input_shape=[4])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A black box on an own backbone, trained on own loaders."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 16), nn.ReLU())
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.yaml").write_text("model: {name: blackbox, backbone: mlp}\ndata: {name: toys}\n" + PHASES)
    overrides = ["trainer.accelerator=cpu"]
    result = zoo.train(
        folder / "own.yaml",
        data=loaders(),
        class_names=["low", "high"],
        backbone=net,
        overrides=overrides,
        out=folder / "run",
    )
    return result, net


def test_own_loaders_and_backbone_are_trained_and_stored(trained):
    result, net = trained
    assert result.scores["accuracy"].value > 0.9
    assert result.scores["accuracy"].support == 32
    assert result.model.backbone.net is net
    with pytest.raises(ValueError, match=r"module of your own \(Sequential\); pass it: zoo.load"):
        zoo.load(str(result.folder))
    other = nn.Sequential(nn.Linear(4, 16), nn.ReLU())
    again = zoo.load(str(result.folder), backbone=other)
    assert again.task == result.model.task
    assert torch.equal(again(X), result.model(X))


class Module(pl.LightningDataModule):
    """Numbers to be predicted."""

    def train_dataloader(self):
        return loaders(y=X[:, :1].sum(1) * 30 + 100)["train"]

    def test_dataloader(self):
        return loaders(y=X[:, :1].sum(1) * 30 + 100)["test"]


def test_a_module_of_ones_own(tmp_path):
    text = "model: {name: bilinear_mlp, width: 8, bias: true}\ndata: {name: toys}\n"
    lr = PHASES.replace("backbone", "embed").replace("head", "layers")
    (tmp_path / "m.yaml").write_text(text + lr.replace("layers: 1e-2", "layers: 1e-2, head: 1e-2"))
    result = zoo.train(tmp_path / "m.yaml", data=Module(), out=tmp_path / "run", seed=1)
    assert result.model.task.kind == "regression"
    assert abs(result.model.task.mean - 100) < 10
    assert result.scores["r2"].value > 0.8
    with pytest.raises(ValueError, match="there is no train loader; pass yours"):
        zoo.evaluate(str(result.folder))


@pytest.mark.parametrize("how", ["trainer.devices=2", "torchrun"])
def test_own_loaders_on_two_processes_are_refused(how, tmp_path, monkeypatch):
    text = "model: {name: blackbox, backbone: mlp}\ndata: {name: toys}\n" + PHASES
    (tmp_path / "own.yaml").write_text(text)
    if how == "torchrun":
        monkeypatch.setenv("WORLD_SIZE", "2")
    overrides = ["trainer.accelerator=cpu", *([how] if how != "torchrun" else [])]
    with pytest.raises(ValueError, match=r"has 2 processes, and your loaders .* same batches; set trainer.devices=1"):
        zoo.train(tmp_path / "own.yaml", data=loaders(), overrides=overrides, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_own_loaders_are_a_source_like_any_other():
    fixed = {name: DataLoader(loader.dataset, batch_size=8) for name, loader in loaders().items()}
    data = own_data(fixed)
    check_data(data, workers=0)
    assert [len(data.splits[s]) for s in ("train", "val", "test")] == [96, 32, 32]
    batches = list(data.train_dataloader())
    assert torch.equal(torch.cat([b.x for b in batches]), X[:96])
    data.resume_at(epoch=1, batch=3)
    assert torch.equal(next(iter(data.train_dataloader())).x, X[24:32])
    assert own_data({"limit": 3}) is None
    labels = own_data({"train": loaders(y=torch.rand(160, 2).round())["train"], "test": loaders()["test"]})
    with pytest.raises(ValueError, match="differ in type or shape"):
        labels.setup()
    for wrong, words in (
        (fixed["train"], "data is one loader; expected"),
        (3, "data is int; expected loaders"),
        ({"train": fixed["train"], "tset": fixed["test"]}, "data has 'tset'"),
    ):
        with pytest.raises(ValueError, match=words):
            own_data(wrong)
    with pytest.raises(ValueError, match="yields str; expected zoo.Batch"):
        Loaders(train=["text"], test=["text"]).setup()
    with pytest.raises(ValueError, match="there is no test loader"):
        Loaders(train=fixed["train"]).setup()


def test_fit_without_phases_trains_all_parts():
    """A plain ``Trainer.fit`` and ``predict`` with loaders of (x, y)."""
    torch.manual_seed(0)
    model = zoo.create_model("bilinear_mlp", num_classes=2, input_shape=[4], width=16, bias=True)
    before = {name: p.clone() for name, p in model.named_parameters()}
    trainer = pl.Trainer(max_epochs=25, **TRAINER)
    trainer.fit(model, loaders()["train"], loaders()["val"])
    assert all(not torch.equal(before[name], p) for name, p in model.named_parameters())
    assert float(trainer.callback_metrics["val/accuracy"]) > 0.8
    answers = trainer.predict(model, loaders()["test"])
    assert torch.cat([a.answers.prediction for a in answers]).shape == (32,)
    assert float(trainer.test(model, loaders()["test"], verbose=False)[0]["test/loss"]) < 0.6


@pytest.mark.parametrize("how", ["loaders", "module", "batches"])
def test_fit_without_phases_warns_of_nothing(how):
    """In a plain ``Trainer``, with loaders of (x, y), a data module or a source of zoo."""
    given = loaders() if how == "loaders" else {"train": zoo.create_data("toys", kind="xor", batch_size=16)}
    inputs, classes = (4, 2) if how == "loaders" else (2, 2)
    model = zoo.create_model("bilinear_mlp", num_classes=classes, input_shape=[inputs], width=4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer = pl.Trainer(max_epochs=1, log_every_n_steps=1, **TRAINER)
        if how == "module":
            trainer.fit(model, datamodule=given["train"])
        elif how == "batches":
            trainer.fit(model, given["train"].train_dataloader(), given["train"].val_dataloader())
        else:
            trainer.fit(model, given["train"], given["val"])
        trainer.predict(model, given["test"] if how == "loaders" else given["train"].test_dataloader())
    own = [str(w.message) for w in caught if "many workers" not in str(w.message)]  # advice about the user's loader
    assert own == []


def test_fit_without_targets_is_one_clear_sentence():
    model = zoo.create_model("blackbox", num_classes=2, backbone="mlp", input_shape=[4])
    rows = DataLoader([Batch(X[0], None, torch.tensor(0))], collate_fn=Batch.stack)
    with pytest.raises(ValueError, match=r"the batch has no targets \(y is None\); expected samples"):
        pl.Trainer(max_epochs=1, **TRAINER).fit(model, rows)


ONE_OF_A_FAMILY = list({case[0]: case for case in reversed(CASES)}.values())
OTHERS = [pytest.param(case, marks=pytest.mark.slow) for case in CASES if case not in ONE_OF_A_FAMILY]


@pytest.mark.parametrize(
    "case", [*ONE_OF_A_FAMILY, *OTHERS], ids=lambda c: "-".join([c[0], *map(str, c[1].values())]).replace(" ", "")
)
def test_models_are_pickled_copied_and_halved(case):
    """Copies give the same logits to the last bit; bfloat16 answers in bfloat16, near those of single precision."""
    model = build(*case)
    x = draw(model, 3, torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = model(x)
        model.explain(x)
        for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
            assert torch.equal(twin(x), logits)
            assert torch.equal(twin.explain(x).contribution, model.explain(x).contribution)
            assert twin.task == model.task
        half = copy.deepcopy(model).to(torch.bfloat16)
        halved = half(x.bfloat16() if x.is_floating_point() else x)
        assert halved.dtype == torch.bfloat16
        assert torch.isfinite(half.explain(x.bfloat16() if x.is_floating_point() else x).contribution).all()
        if "hard" not in case[1].values():  # decisions may change
            assert float((halved.float() - logits).abs().max()) <= 0.15 * float(logits.abs().max())
