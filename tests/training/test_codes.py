"""Codebooks in training: revival survives a kill to the bit, and two processes agree."""

import signal

import pytest
import torch
from safetensors.torch import load_file, save_file

from zoo.layers.codebook.bottleneck import Codebook

CONFIG = """\
model: {name: codebook_transformer, width: 16, depth: 1, heads: 2, codes: 30, sites: [mix, mlp], revive: 3}
data: {name: tokfsm, context: 9, n_train: 96, n_val: 8, n_test: 8, batch_size: 8}
phases:
  start: {then: {start_codes: {batches: 2}}}
  joint: {epochs: 1, lr: {embed: 1e-2, blocks: 1e-2, norm: 1e-2, head: 1e-2, codebooks: 1e-2}, loss: {match: 1.0}}
trainer: {accelerator: cpu, save_every: 3}
seed: 3
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    file = tmp_path_factory.mktemp("codes") / "codes.yaml"
    file.write_text(CONFIG)
    return file


def weights(run):
    return load_file(run / "phases" / "1-joint.safetensors")


@pytest.mark.slow
def test_killed_and_resumed(processes, config, tmp_path):
    """Saved behind step 6, at which codes were revived, and killed at step 7."""
    argv = ["train", str(config), "--out"]
    assert processes.run("cli", [*argv, str(tmp_path / "whole")], {"bare": True}) == 0
    how = {"phase": "joint", "step": 7, "signal": signal.SIGKILL, "bare": True}
    assert processes.run("cli", [*argv, str(tmp_path / "killed")], how) == -signal.SIGKILL
    resumed = {"steps": str(tmp_path / "steps"), "bare": True}
    assert processes.run("cli", [*argv, str(tmp_path / "killed"), "--resume"], resumed) == 0
    assert (tmp_path / "steps").read_text().startswith("joint 7\n")
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert [k for k in one if not torch.equal(one[k], two[k])] == []
    started = load_file(tmp_path / "whole" / "phases" / "0-start.safetensors")
    key = "codebooks.0-mlp.codes"
    assert ((one[key] - started[key]).abs().amax(2) > 0.2).any()  # more than twelve steps of 1e-2 can move: revived


def test_two_processes_agree(processes, config, tmp_path):
    argv = ["train", str(config), "--out", str(tmp_path / "run"), "trainer.devices=2", "trainer.strategy=ddp"]
    (tmp_path / "dump").mkdir()
    assert processes.ranks("cli", argv, {"dump": tmp_path / "dump", "bare": True}) == [0, 0]
    one, two = (load_file(tmp_path / "dump" / f"1-joint.{rank}") for rank in (0, 1))
    assert [k for k in one if not torch.equal(one[k], two[k])] == []


def test_processes_count_together(processes, tmp_path):
    """Hits are those of all processes, steps and micro-batches; what only the second rank chose is not revived."""
    g = torch.Generator().manual_seed(1)
    x = {f"{step}.{rank}": torch.randn(2, 3, 2, 2, 4, generator=g) for step in range(2) for rank in range(2)}
    save_file(x, tmp_path / "x.safetensors")
    assert processes.ranks("revived", tmp_path) == [0, 0]
    one, two = (load_file(tmp_path / f"book.{rank}") for rank in (0, 1))
    torch.manual_seed(0)
    book, expected = Codebook(2, 40, 4, 1), torch.zeros(2, 40, dtype=torch.int64)
    for step in range(2):
        for rank in range(2):
            ids = book(x[f"{step}.{rank}"].flatten(0, 2)).ids[..., 0]
            expected += torch.stack([torch.bincount(ids[:, i], minlength=40) for i in range(2)])
        assert torch.equal(one[f"hits.{step}"], expected)
        assert torch.equal(two[f"hits.{step}"], expected)
    assert torch.equal(one["codes"], two["codes"])
    assert torch.equal((one["codes"] == book.codes).all(2), expected > 0)
