"""A transformer program that is stopped behind its last epoch: resumed, it ends with the same weights."""

import pytest
import torch
from safetensors.torch import load_file

from zoo.cli import main
from zoo.training import phases

RUN = [
    "train",
    "transformer_program/hist",
    "data.limit=60",
    "phases.anneal.epochs=1",
    "~phases.prune",
    "~phases.improve",
    "~phases.shrink",
    "reference=null",
    "trainer.accelerator=cpu",
]


@pytest.mark.slow
def test_what_follows_the_last_epoch_is_done_after_a_resume(tmp_path, monkeypatch):
    assert main([*RUN, "--out", str(tmp_path / "whole")]) in (0, None)

    def stopped(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(phases, "tqdm", stopped)  # the loader of the method behind the epochs
        assert main([*RUN, "--out", str(tmp_path / "stopped")]) == 130
    assert main([*RUN, "--out", str(tmp_path / "stopped"), "--resume"]) in (0, None)
    one, other = (load_file(tmp_path / name / "checkpoint" / "model.safetensors") for name in ("whole", "stopped"))
    assert float(one["soft"].abs().sum()) > 0, "the run computes something behind its last epoch"
    assert one.keys() == other.keys()
    assert [key for key in one if not torch.equal(one[key], other[key])] == []


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_plain_fit_does_it_too(epochs):
    import pytorch_lightning as pl

    import zoo

    data = zoo.create_data("rasp", task="hist", limit=20, batch_size=10)
    model = zoo.create_model(
        "transformer_program",
        num_classes=6,
        heads=1,
        counters=0,
        tables=1,
        restarts=1,
        sequence=data.sequence.to_config(),
    )
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(model, datamodule=data)
    assert float(model.soft.abs().sum()) > 0
