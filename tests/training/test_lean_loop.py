"""The lean loop of plain runs does what Lightning's own loop does: weights, log, checkpoints, what callbacks see."""

import pytest
import pytorch_lightning as pl
import torch

from zoo.training import lean_loop
from zoo.training.atomic_files import read_running
from zoo.training.loggers import read_log
from zoo.training.phases import run_phases
from zoo.training.run import build, load_config

SCHEDULES = {
    "cosine": [],
    "step": ["phases.joint.schedule=step", "phases.joint.every=1", "phases.joint.gamma=0.5"],
    "ramp": ["phases.joint.loss={task: {from: 1, to: 2}}"],
}


class Watch(pl.Callback):
    """Notes what a callback sees at the end of each batch and epoch, and the checkpoints that are saved on the way."""

    def __init__(self, file):
        self.file = file
        self.seen = []
        self.checkpoints = []

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        rates = [group["lr"] for group in trainer.optimizers[0].param_groups]
        self.seen.append((trainer.global_step, index, float(outputs["loss"]), rates, module.training))
        if self.file.exists():
            self.checkpoints.append(parts(read_running(self.file)))

    def on_train_epoch_end(self, trainer, module):
        self.seen.append((trainer.current_epoch, {k: float(v) for k, v in trainer.callback_metrics.items()}))


def parts(checkpoint):
    """What a checkpoint says of the place in the run; tensors as lists."""
    return {key: repr(checkpoint[key]) for key in ("epoch", "global_step", "loops", "lr_schedulers")}


def run(folder, more, limit=None):
    common = ["data.limit=120", "phases.joint.epochs=2", "trainer.accelerator=cpu", "trainer.save_every=7"]
    config = load_config("blackbox/digits_mlp", [*common, "data.batch_size=16", *more])
    model, data = build(config)
    watch = Watch(folder / "phases" / "0-joint.ckpt")
    run_phases(model, data, config, folder, callbacks=[watch], progress=False, limit=limit)
    log = [(row["step"], row["name"], row["value"]) for row in read_log(folder / "log.csv") if row["name"] != "seconds"]
    return model.state_dict(), log, watch


@pytest.mark.parametrize(("schedule", "limit"), [*((name, None) for name in SCHEDULES), ("cosine", 5)])
def test_the_same_run_as_by_lightning(schedule, limit, tmp_path, monkeypatch):
    lean = run(tmp_path / "lean", SCHEDULES[schedule], limit)
    calls = []
    monkeypatch.setattr(lean_loop, "is_plain", lambda trainer: calls.append(trainer))
    whole = run(tmp_path / "whole", SCHEDULES[schedule], limit)
    assert calls  # the second run was Lightning's
    assert all(torch.equal(lean[0][name], value) for name, value in whole[0].items())
    assert lean[1] == whole[1]
    assert any(name.startswith("val/") for _, name, _ in lean[1])
    assert lean[2].seen == whole[2].seen
    assert lean[2].checkpoints == whole[2].checkpoints
    assert lean[2].checkpoints or limit
