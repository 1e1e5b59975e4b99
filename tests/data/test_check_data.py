"""The conformance check over all registered sources that can be read here, and its failures."""

from dataclasses import replace

import pytest
import torch

from zoo import paths
from zoo.data import create_data, list_data
from zoo.data.tables.toys import Toys
from zoo.testing import check_data

# Arguments that make each source small; a source that needs files of the user gets them in the test.
ARGS = {
    "adult": {"limit": 400},
    "chess": {"n_train": 40, "n_val": 10, "n_test": 10},
    "cifar10": {"limit": 60, "augment": "flip"},
    "concept_words": {"source": "digits", "limit": 60},
    "conll2003": {"limit": 60},
    "cub200": {"limit": 200, "size": 32},
    "digits": {"limit": 60, "size": 16, "augment": "full"},
    "fashion_mnist": {"limit": 60},
    "mnist": {"limit": 60},
    "othello": {"n_train": 40, "n_val": 10, "n_test": 10},
    "rasp": {"size": 200, "batch_size": 16, "even": 0.5},
    "shapes": {"n_train": 40, "n_val": 10, "n_test": 10, "size": 16, "augment": "full"},
    "tokfsm": {"n_train": 40, "n_val": 10, "n_test": 10, "context": 11},
    "toys": {"n_train": 40, "n_val": 10, "n_test": 10},
    "trec6": {"limit": 60},
    "wine_quality": {"limit": 200},
}
FILES = {
    "adult": "tables/adult_train.csv.gz",
    "chess": "chess/games_uci.txt.xz",
    "cifar10": "cifar10/cifar10_jpeg.npz",
    "conll2003": "text/conll2003",
    "cub200": "cub100/cub100_160.npz",
    "fashion_mnist": "fashion_mnist/fashion_mnist.npz",
    "mnist": "mnist/mnist.npz",
    "othello": "othello/wthor.npz",
    "trec6": "text/trec6",
    "wine_quality": "tables/wine_quality_red.csv",
}
USER = ("categories", "folder", "sentences", "table", "tagged", "text")


def user_args(name, tmp_path):
    """Arguments of a source of the user's files, which are written first."""
    lines = [f"{i % 5},{i % 7 / 7},{'ab'[i % 3 % 2]}" for i in range(60)]
    if name in ("table", "categories"):
        (tmp_path / "t.csv").write_text("\n".join(["u,v,y", *lines]) + "\n")
        return {"file": str(tmp_path / "t.csv"), "target": "y", "batch_size": 8}
    if name == "sentences":
        rows = [f"sentence {i} is {('good', 'bad')[i % 3 % 2]},{'ab'[i % 3 % 2]}" for i in range(60)]
        (tmp_path / "t.csv").write_text("\n".join(["text,label", *rows]) + "\n")
        return {"file": str(tmp_path / "t.csv"), "text": "text", "label": "label", "batch_size": 8}
    if name == "tagged":
        for split in ("train", "test"):
            rows = [f"w{i % 9} {'B-X' if i % 4 == 0 else 'O'}" + "\n" * (i % 5 == 0) for i in range(120)]
            (tmp_path / f"{split}.bio").write_text("\n".join(rows) + "\n")
        return {"folder": str(tmp_path), "length": 8, "batch_size": 4}
    (tmp_path / "t.txt").write_text("".join("abcd "[i * i % 7 % 5] for i in range(6000)))
    return {"file": str(tmp_path / "t.txt"), "context": 16, "val": 0.1}


def test_every_source_is_listed():
    assert {*ARGS, *USER, "loaders"} == set(list_data())  # loaders are objects of a program, see test_own_parts


SLOW = ("conll2003", "adult")  # 3 to 6 s; their readers have tests of their own


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in sorted({*ARGS, *USER})]
)
def test_source(name, tmp_path, monkeypatch, request):
    if name in FILES and not (paths.data() / FILES[name]).exists():
        pytest.skip(f"{paths.data() / FILES[name]} is missing; set ZOO_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if name == "chess":
        pytest.importorskip("chess")
    if name == "folder":
        root, points = request.getfixturevalue("user_folder")
        args = {"root": str(root), "keypoints": str(points), "size": 16, "batch_size": 4, "augment": "full"}
    else:
        args = ARGS[name] if name in ARGS else user_args(name, tmp_path)
    check_data(create_data(name, **args), rebuild=lambda: create_data(name, **args))


class Faulty(Toys):
    """A source with one fault."""

    fault = ""

    def _read(self):
        splits = super()._read()
        if self.fault == "names":
            splits["test"] = replace(splits["test"], names=splits["train"].names[: len(splits["test"])])
        return splits

    def _serve(self, name, *, augment):
        dataset = super()._serve(name, augment=augment)
        serve = type(dataset).__getitems__

        class Wrong(type(dataset)):
            def __getitems__(self, keys):
                batch = serve(self, keys)
                if fault == "noise":
                    return replace(batch, x=batch.x + torch.rand(len(batch.x), 1))
                if fault == "order":
                    return replace(batch, x=batch.x + torch.arange(len(batch.x))[:, None])
                if fault == "labels":
                    return replace(batch, y=1 - batch.y)
                if fault == "concepts":
                    return replace(batch, concepts=batch.concepts * 2)
                return batch

        fault = self.fault
        dataset.__class__ = Wrong
        return dataset

    def to_image(self, x):
        return x[:, :1, None, None].expand(-1, 3, 4, 4) * 0 + 2 if self.fault == "image" else None

    def fingerprint(self):
        return "0" * 12 if self.fault == "fingerprint" else super().fingerprint()

    def _sampler(self, split, batch_size, *, shuffle, shard):
        sampler = super()._sampler(split, batch_size, shuffle=shuffle, shard=shard)
        if self.fault == "epochs":
            sampler.set_epoch = lambda epoch: None
        return sampler


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("names", "two samples have the same name"),
        ("noise", "changes the global random state"),
        ("order", "depends on its batch"),
        ("labels", "labels of the batch are not those of the split"),
        ("concepts", "a concept is out of range"),
        ("image", "outside .0, 1."),
        ("fingerprint", "does not change with a label"),
        ("epochs", "two epochs have the same shuffled order"),
    ],
)
def test_faults_are_reported(fault, message):
    data = Faulty(n_train=40, n_val=10, n_test=10, batch_size=8)
    data.fault = fault
    with pytest.raises(AssertionError, match=message):
        check_data(data, workers=0)
