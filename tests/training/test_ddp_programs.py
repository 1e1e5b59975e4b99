"""Restarts of a transformer program on two processes: one race, one program."""

import json

import pytest
import torch
from safetensors.torch import load_file

import zoo
from zoo.programs.learn.restarts import unpack

CONFIG = """\
model: {name: transformer_program, num_classes: 4, heads: 1, counters: 2, restarts: 4, anneal: 6, hidden: 16}
data: {name: rasp, task: hist, vocabulary: 5, length: 5, size: 200, batch_size: 16}
phases:
  race: {epochs: 3, lr: {network: 0.05, readout: 0.05}, clip: 1.0, then: {race: {keep: 2}}}
  anneal: {epochs: 3, lr: {network: 0.05, readout: 0.05}, clip: 1.0}
  program: {then: {discretise: {}, prune: {}, improve: {tries: 200}, shrink: {}}}
trainer: {accelerator: cpu, devices: 2, strategy: ddp}
"""
PHASES = ("0-race", "1-anneal", "2-program")


@pytest.fixture(scope="module")
def run(processes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ddp_program")
    (folder / "dump").mkdir()
    (folder / "tiny.yaml").write_text(CONFIG)
    argv = ["train", str(folder / "tiny.yaml"), "--out", str(folder / "run")]
    assert processes.ranks("cli", argv, {"dump": folder / "dump", "steps": str(folder / "steps")}) == [0, 0]
    return folder


@pytest.mark.parametrize("phase", PHASES)
def test_replicas_are_identical(run, phase):
    a, b = (load_file(run / "dump" / f"{phase}.{rank}") for rank in (0, 1))
    assert a.keys() == b.keys()
    assert [k for k in a if not torch.equal(a[k], b[k])] == []


def test_the_race_was_judged_on_all_validation_data(run):
    state = load_file(run / "dump" / "1-anneal.0")
    assert len(state["accuracy"]) == len(state["soft"]) == 2
    questions = state["accuracy"].double() * _validation(run)
    torch.testing.assert_close(questions, questions.round(), rtol=0, atol=1e-3)
    assert 0 < float(state["soft"].min()) <= float(state["soft"].max()) <= 1


def _validation(run):
    from zoo.data import create_data

    data = create_data("rasp", task="hist", vocabulary=5, length=5, size=200)
    return len(data.splits["val"])


def test_one_program_was_shipped(run):
    model = zoo.load(str(run / "run"))
    assert len(unpack(model.restart_programs)) == 2
    scores = json.loads((run / "run" / "checkpoint" / "metrics.json").read_text())["scores"]
    assert scores["best of raw programs"]["value"] >= scores["median of raw programs"]["value"] > 0
    assert scores["accuracy"]["value"] > 0.5
