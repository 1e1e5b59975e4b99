"""What is logged of a step is that step's: every tenth, and the last one of a training that is stopped early."""

import pytest
import pytorch_lightning as pl
import torch

from zoo.batch import Batch
from zoo.training.loggers import read_log
from zoo.training.phases import run_phases
from zoo.training.run import build, load_config


class Losses(pl.Callback):
    def __init__(self, stop):
        self.stop = stop
        self.losses = []

    def on_train_batch_end(self, trainer, module, outputs, *_):
        self.losses.append(float(outputs["loss"]))
        trainer.should_stop = trainer.should_stop or len(self.losses) == self.stop


@pytest.mark.parametrize("stop", [None, 20, 25])
def test_the_log_has_the_losses_of_its_steps(stop, tmp_path):
    config = load_config("bilinear_mlp/digits", ["phases.joint.epochs=2", "trainer.accelerator=cpu"])
    model, data = build(config)
    note = Losses(stop)
    run_phases(model, data, config, tmp_path, callbacks=[note], progress=False)
    rows = [row for row in read_log(tmp_path / "log.csv") if row["name"] == "train/loss"]
    steps = [9, 19, 29, 39] if stop is None else [9, 19, *([stop - 1] if stop % 10 else [])]
    assert [int(row["step"]) for row in rows] == steps
    assert [float(row["value"]) for row in rows] == pytest.approx([note.losses[i] for i in steps])


def test_a_batch_on_its_device_is_not_copied():
    batch = Batch(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64), torch.arange(2))
    assert batch.to("cpu") is batch
    assert batch.to("meta").x.is_meta
    assert batch.to("meta").concepts is None
