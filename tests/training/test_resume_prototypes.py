"""Prototype models whose training has a state beside the optimizer's: an interrupted run ends bit-identically."""

import pytest
import pytorch_lightning as pl
import torch

from zoo.training.phases import run_phases
from zoo.training.run import build, load_config

pytestmark = pytest.mark.slow  # three trainings of each model

CONFIG = """\
model: {{name: {name}, num_classes: 10, backbone: resnet10t, backbone_level: 1, {args}}}
data: {{name: digits, size: 16, batch_size: 16, limit: 60, views: {views}}}
phases:
  joint: {{epochs: 3, lr: {{{lr}}}, loss: {{{loss}}}}}
trainer: {{accelerator: cpu, save_every: 3}}
"""
CASES = {
    "prototree": ("height: 3, dim: 8", 1, "addon: 1e-3, prototypes: 1e-3, leaves: 1.0", ""),
    "protopool": ("pool: 12, slots: 3, dim: 8", 1, "addon: 1e-3, assignment: 1e-3", "cluster: {from: 0, to: 1}"),
    "pipnet": ("features: 8", 2, "addon: 1e-3, head: 1e-2", "align: {from: 0, to: 5}, tanh: 1"),
}


class Stop(pl.Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            raise RuntimeError("interrupted")


def run(config, out, *callbacks, resume=False):
    model, data = build(config)
    run_phases(model, data, config, out, resume=resume, callbacks=list(callbacks), progress=False)
    return model.state_dict()


@pytest.mark.parametrize("name", CASES)
def test_an_interrupted_run_ends_the_same(name, tmp_path):
    args, views, lr, loss = CASES[name]
    file = tmp_path / "tiny.yaml"
    file.write_text(CONFIG.format(name=name, args=args, views=views, lr=lr, loss=loss))
    whole = run(load_config(str(file)), tmp_path / "whole")
    with pytest.raises(RuntimeError, match="interrupted"):
        run(load_config(str(file)), tmp_path / "parts", Stop(8))  # four steps an epoch, saved at 3, 4, 6, 8
    resumed = run(load_config(str(file)), tmp_path / "parts", resume=True)
    different = [key for key, value in whole.items() if not torch.equal(value, resumed[key])]
    assert not different
