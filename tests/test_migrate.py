"""A checkpoint without inputs is completed from its training data, and only from these."""

import shutil

import pytest
import torch
import yaml

import zoo
from zoo import checkpoint, paths
from zoo.cli import main
from zoo.weights.integrity import file_hash


@pytest.fixture
def old(tmp_path):
    """A shipped checkpoint as an earlier version of zoo wrote it."""
    folder = tmp_path / "old"
    shutil.copytree(paths.home() / "checkpoints" / "protopnet-digits", folder)
    (folder / "inputs.yaml").unlink(missing_ok=True)
    (folder / "model.safetensors.sha256").unlink(missing_ok=True)
    return folder


def test_the_inputs_of_the_training_data_are_stored(old, capsys):
    before = zoo.load(str(old))
    assert before.inputs is None
    assert main(["migrate", str(old)]) == 0
    assert str(old / "inputs.yaml") in capsys.readouterr().out
    assert (old / "model.safetensors.sha256").read_text().split()[0] == file_hash(old / "model.safetensors")
    stored = yaml.safe_load((old / "inputs.yaml").read_text())
    assert stored["class_names"] == [str(i) for i in range(10)]
    assert (stored["size"], stored["mean"]) == (32, [0.5, 0.5, 0.5])
    after = zoo.load(str(old))
    assert after.class_names == tuple("0123456789")
    assert all(
        torch.equal(a, b) for a, b in zip(before.state_dict().values(), after.state_dict().values(), strict=True)
    )
    batch = zoo.create_data("digits", size=32).samples("test", [0, 5])
    images = [(x.permute(1, 2, 0) * 127.5 + 127.5).round().to(torch.uint8).numpy() for x in batch.x]
    assert after.predict(images).labels == [after.class_names[int(y)] for y in after(batch.x).argmax(1)]


def test_mistakes(old, capsys):
    assert main(["migrate", str(old), "data.val=0.3"]) == 2
    assert "was trained on data with hash ef45887ca54e" in capsys.readouterr().err
    assert not (old / "inputs.yaml").exists()
    assert main(["migrate", str(old)]) == 0
    assert main(["migrate", str(old)]) == 2
    assert "has inputs.yaml and model.safetensors.sha256 already" in capsys.readouterr().err


def test_a_missing_hash_is_written(old, capsys):
    assert main(["migrate", str(old)]) == 0
    (old / "model.safetensors.sha256").unlink()
    assert main(["migrate", str(old)]) == 0
    assert (old / "model.safetensors.sha256").is_file()


def test_sequences(capsys, tmp_path):
    shutil.copytree(paths.home() / "checkpoints" / "transformer_program-hist", tmp_path / "hist")
    (tmp_path / "hist" / "inputs.yaml").unlink(missing_ok=True)
    assert main(["migrate", str(tmp_path / "hist")]) == 0
    model = zoo.load(str(tmp_path / "hist"))
    assert model.predict("3 1 3").labels == ["2", "1", "2"]


def test_data_without_inputs(capsys, tmp_path):
    arguments = {"num_classes": 2, "input_shape": [2], "width": 4}
    model = zoo.create_model("bilinear_mlp", **arguments)
    config = {"model": {"name": "bilinear_mlp", **arguments}, "data": {"name": "toys", "kind": "xor"}}
    checkpoint.save(tmp_path / "c", model, config=config, metrics={}, card="")
    assert main(["migrate", str(tmp_path / "c")]) == 2
    assert "has no inputs that a checkpoint can store" in capsys.readouterr().err
