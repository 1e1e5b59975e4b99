"""Experts in training: two processes agree on the weights, and count together which neurons are dead."""

import csv

import pytest
import torch
from safetensors.torch import load_file

CONFIG = """\
model: {name: NAME, width: 16, depth: 1, heads: 2, experts: 3, hidden: 8}
data: {name: tokfsm, context: 9, n_train: 64, n_val: 8, n_test: 8, batch_size: 8}
phases:
  joint: {epochs: 1, lr: {embed: 1e-2, blocks: 1e-2, norm: 1e-2, head: 1e-2}, loss: {balance: 0.01}}
trainer: {accelerator: cpu}
seed: 3
"""


@pytest.mark.parametrize("name", ["moex", pytest.param("switch_transformer", marks=pytest.mark.slow)])
def test_two_processes_agree(processes, tmp_path, name):
    file = tmp_path / "experts.yaml"
    file.write_text(CONFIG.replace("NAME", name))
    argv = ["train", str(file), "--out", str(tmp_path / "run"), "trainer.devices=2", "trainer.strategy=ddp"]
    (tmp_path / "dump").mkdir()
    assert processes.ranks("cli", argv, {"dump": tmp_path / "dump", "bare": True}) == [0, 0]
    one, two = (load_file(tmp_path / "dump" / f"0-joint.{rank}") for rank in (0, 1))
    assert [k for k in one if not torch.equal(one[k], two[k])] == []
    with (tmp_path / "run" / "log.csv").open() as lines:
        result = {row["name"]: float(row["value"]) for row in csv.DictReader(lines)}
    assert sum(result[f"val/load.L0.E{e}"] for e in range(3)) == pytest.approx(1)
    own = [result[f"val/dead.L0.E{e}"] for e in range(3)]
    assert result["val/dead"] == pytest.approx(sum(own) / 3)
