"""The lean loop of plain runs does what Lightning's own loop does: weights, log, checkpoints, what callbacks see."""

import pytest
import pytorch_lightning as pl
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

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


def stepper(*, schedule=False):
    weight = torch.ones(2, requires_grad=True)
    weight.grad = torch.ones(2)
    optimizer = torch.optim.AdamW([weight], lr=0.1)
    if schedule:
        torch.optim.lr_scheduler.ConstantLR(optimizer)
    return optimizer, weight


@pytest.mark.parametrize("schedule", [False, True])
def test_a_step_without_its_record_is_the_same_step(schedule, monkeypatch):
    monkeypatch.setattr(lean_loop, "_global_optimizer_post_hooks", {})  # that a model of another test has left
    (bare, one), (whole, two) = stepper(schedule=schedule), stepper(schedule=schedule)
    step = lean_loop.unrecorded_step(bare)
    assert step != bare.step
    for _ in range(3):
        step()
        whole.step()
    assert torch.equal(one, two)
    assert getattr(bare, "_opt_called", None) == getattr(whole, "_opt_called", None) == (True if schedule else None)


def before(optimizer):
    return optimizer.register_step_pre_hook


def after(optimizer):
    return optimizer.register_step_post_hook


def before_all(optimizer):
    return register_optimizer_step_pre_hook


def after_all(optimizer):
    return register_optimizer_step_post_hook


@pytest.mark.parametrize("register", [before, after, before_all, after_all])
def test_hooks_of_an_optimizer_are_called(register):
    optimizer, _ = stepper()
    seen = []
    handle = register(optimizer)(lambda *args: seen.append(args))
    try:
        lean_loop.unrecorded_step(optimizer)()
    finally:
        handle.remove()
    assert len(seen) == 1


def test_an_own_step_of_an_optimizer_is_called():
    optimizer, _ = stepper(schedule=True)
    inner, seen = optimizer.step, []
    optimizer.step = lambda: seen.append(inner())
    lean_loop.unrecorded_step(optimizer)()
    assert len(seen) == 1


def test_a_profiler_sees_steps_and_batches(tmp_path):
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as recorded:
        run(tmp_path, ["phases.joint.epochs=1"])
    count = {event.key: event.count for event in recorded.key_averages()}
    loader = "enumerate(DataLoader)#_SingleProcessDataLoaderIter.__next__"
    assert count["Optimizer.step#AdamW.step"] == 8  # of 120 samples in batches of 16
    assert count[loader] >= 8


def test_a_stop_is_heard_between_two_logged_steps(tmp_path):
    class Stop(pl.Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, index):
            trainer.should_stop = index == 2

    config = load_config("blackbox/digits_mlp", ["data.limit=120", "data.batch_size=16", "trainer.accelerator=cpu"])
    model, data = build(config)
    seen = Watch(tmp_path / "none")
    run_phases(model, data, config, tmp_path, callbacks=[Stop(), seen], progress=False)
    assert [row[1] for row in seen.seen if len(row) == 5] == [0, 1, 2]
