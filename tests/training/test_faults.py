"""What goes wrong within a run: losses that are not finite, damaged files, a full disk."""

import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file

import zoo
from zoo import checkpoint
from zoo.cli import main
from zoo.models.protopnet import ProtoPNet
from zoo.training import atomic_files
from zoo.training.atomic_files import WholeCheckpoint, place_in, read_running, read_weights, write_weights, write_whole
from zoo.training.callbacks import LOG_EVERY, FiniteLoss
from zoo.weights.integrity import write_hash

NAN = float("nan")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def one_line(capsys):
    error = capsys.readouterr().err.splitlines()
    complaints = [line for line in error if line.startswith("zoo train: ") and ": warning: " not in line]
    assert len(complaints) == 1, error
    return complaints[0]


@pytest.mark.parametrize("value", [NAN, float("inf")])
def test_the_first_bad_step_is_named_and_the_run_stops(tiny, here, monkeypatch, capsys, value):
    loss, calls = ProtoPNet.loss, []

    def poisoned(self, batch, weights):
        calls.append(0)
        terms = loss(self, batch, weights)
        return {**terms, "cluster": terms["cluster"] * value} if len(calls) == 11 else terms

    monkeypatch.setattr(ProtoPNet, "loss", poisoned)
    assert main(["train", str(tiny), "--out", "run"]) == 2
    assert one_line(capsys).startswith(
        "zoo train: phase joint, step 3: term 'cluster' of the loss is not finite; lower"
    )
    assert len(calls) == 11
    assert not (here / "run" / "checkpoint").exists()
    assert not (here / "run" / "phases" / "1-joint.ckpt").exists(), "the next save would have been at step 3"
    assert read_weights(here / "run" / "phases" / "0-warm.safetensors")


def test_a_term_of_weight_zero_does_not_count(tiny, here, monkeypatch):
    loss = ProtoPNet.loss
    monkeypatch.setattr(
        ProtoPNet, "loss", lambda self, *args: {**loss(self, *args), "orthogonality": torch.tensor(NAN)}
    )
    assert main(["train", str(tiny), "--dry-run"]) == 0


def test_steps_on_other_devices_are_checked_when_metrics_are_logged():
    """What is done on a device that is not the CPU: noted at each step, read later."""

    class Strategy:
        def reduce_boolean_decision(self, decision, all):
            return decision

    class Trainer:
        strategy = Strategy()
        global_step = 0

    def note(check, trainer, name, value):
        check._note(trainer, {"task": torch.tensor(1.0), name: torch.tensor(value), "loss": torch.tensor(value)})

    trainer, check = Trainer(), FiniteLoss("joint")
    for trainer.global_step in range(1, LOG_EVERY):
        note(check, trainer, "l1", NAN if trainer.global_step in (4, 6) else 1.0)
    with pytest.raises(ValueError, match="phase joint, step 4: term 'l1' of the loss"):
        check.on_save_checkpoint(trainer, None, {})
    with pytest.raises(ValueError, match="phase joint, step 4"):
        check.on_train_end(trainer, None)


def test_a_method_that_computes_nan_writes_nothing(tiny, here, monkeypatch, capsys):
    def project(self, loader):
        with torch.no_grad():
            self.prototypes[0] = NAN
        return {}

    monkeypatch.setattr(ProtoPNet, "project", project)
    assert main(["train", str(tiny), "--out", "run"]) == 2
    assert "phase project: 2-project.safetensors is not written: tensor prototypes" in one_line(capsys)
    assert not (here / "run/phases/2-project.safetensors").exists()


def test_checkpoints_with_tensors_that_are_not_finite(finished, tmp_path):
    model = zoo.load(str(finished))
    config, metrics = checkpoint.read(finished / "checkpoint")
    good = checkpoint.save(tmp_path / "good", model, config=config, metrics=metrics, card="")
    state = load_file(good / "model.safetensors")
    state["head.weight"][0, 0] = float("inf")
    save_file(state, good / "model.safetensors")
    (good / "model.safetensors.sha256").unlink(missing_ok=True)  # a checkpoint of an earlier version has none
    write_hash(good / "model.safetensors")
    with pytest.raises(ValueError, match=r"model.safetensors: tensor head.weight has a value that is not finite"):
        zoo.load(str(good))
    with torch.no_grad():
        model.head.weight[0, 0] = NAN
    with pytest.raises(ValueError, match="bad is not written: tensor head.weight"):
        checkpoint.save(tmp_path / "bad", model, config=config, metrics=metrics, card="")
    assert [p.name for p in tmp_path.iterdir()] == ["good"]


def test_a_config_that_describes_a_far_larger_model(finished, tmp_path):
    model = zoo.load(str(finished))
    config, metrics = checkpoint.read(finished / "checkpoint")
    for key, value in (("num_classes", 10**9), ("dim", 10**8), ("per_class", 10**12)):
        folder = checkpoint.save(tmp_path / key, model, config=config, metrics=metrics, card="")
        text = (folder / "config.yaml").read_text()
        old = next(line for line in text.splitlines() if line.startswith(f"  {key}: "))
        (folder / "config.yaml").write_text(text.replace(old, f"  {key}: {value}"))
        with pytest.raises(ValueError, match="far larger than its weights|cannot be built"):
            zoo.load(str(folder))


STATE = {
    "state_dict": {"w": torch.ones(3)},
    "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}}],
    "loops": {
        "fit_loop": {
            "epoch_progress": {"current": {"processed": 2}},
            "epoch_loop.batch_progress": {"is_last_batch": False, "current": {"processed": 3}},
        }
    },
    "global_step": 11,
}


def test_the_running_checkpoint_is_whole_and_finite(tmp_path):
    file = tmp_path / "a.ckpt"
    WholeCheckpoint().save_checkpoint(STATE, file)
    assert place_in(file) == (2, 3, 11)
    for key, bad in (("state_dict", {"w": torch.tensor(NAN)}), ("optimizer_states", [{"state": torch.tensor(NAN)}])):
        with pytest.raises(ValueError, match=f"a.ckpt is not written: tensor {key}"):
            WholeCheckpoint().save_checkpoint({**STATE, key: bad}, file)
    assert place_in(file) == (2, 3, 11), "the former one stays"
    assert [p.name for p in tmp_path.iterdir()] == ["a.ckpt"]


def test_damaged_running_checkpoints(tmp_path):
    file = tmp_path / "a.ckpt"
    torch.save({**STATE, "state_dict": {"w": torch.tensor(NAN)}}, file)
    with pytest.raises(ValueError, match="a.ckpt: tensor state_dict.w has a value that is not finite; remove it"):
        read_running(file)
    torch.save({**STATE, "state_dict": {"w": torch.zeros(1 << 20)}}, file)
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(tmp_path / "b.ckpt", "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in whole.infolist():
            packed.writestr(entry.filename, whole.read(entry))
    with pytest.raises(ValueError, match="b.ckpt has packed records"):
        read_running(tmp_path / "b.ckpt")
    content = file.read_bytes()
    for damage in (b"", content[: len(content) // 2], b"x" * 100, content[:200] + b"\0" * 300 + content[500:]):
        file.write_bytes(damage)
        with pytest.raises(ValueError, match="a.ckpt is damaged.*; remove it to repeat the phase"):
            read_running(file)
    for odd in ({}, {**STATE, "global_step": None}, {**STATE, "loops": {"fit_loop": []}}, [1]):
        torch.save(odd, file)
        with pytest.raises(ValueError, match="a.ckpt is damaged"):
            read_running(file)


def test_weights_of_a_phase(tmp_path):
    file = tmp_path / "0-warm.safetensors"
    write_weights(file, {"w": torch.arange(3.0)}, "phase warm: w")
    assert read_weights(file)["w"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="phase warm: w is not written: tensor w"):
        write_weights(file, {"w": torch.tensor(NAN)}, "phase warm: w")
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(ValueError, match="0-warm.safetensors is damaged"):
        read_weights(file)


def test_an_error_while_writing_keeps_the_former_file(tmp_path, monkeypatch):
    write_whole(tmp_path / "a", b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "a", b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"old")]


@pytest.mark.slow
def test_a_full_disk_costs_one_line_and_the_run_is_resumed(processes, tiny, finished, tmp_path):
    """No file may grow beyond a limit, as on a full disk; then the limit is lifted."""
    argv = ["train", str(tiny), "--out", str(tmp_path / "run")]
    size = (finished / "phases" / "0-warm.safetensors").stat().st_size
    for limit in (1000, size // 2, size + 1000):
        assert processes.run("limited", argv, limit, tmp_path / "error") == 2
        lines = (tmp_path / "error").read_text().splitlines()
        [line] = [line for line in lines if ": warning: " not in line]
        assert line.startswith("zoo train: ")
        assert "File too large" in line
        if "--resume" in argv or (tmp_path / "run/config.yaml").exists():
            assert f"resume with: zoo train {tiny} --out {tmp_path / 'run'} --resume" in line
            argv = [*argv[:4], "--resume"]
    assert processes.run("cli", argv, {}) == 0
    mine, theirs = (load_file(run / "checkpoint/model.safetensors") for run in (tmp_path / "run", finished))
    assert [key for key in theirs if not torch.equal(mine[key], theirs[key])] == []
