"""Trains a program and its reference model on tagged sentences from the command line."""

import json
import random
import subprocess
import sys

import pytest

from zoo.cli import main

PROGRAM = """\
model: {{name: transformer_program, num_classes: 5, variables: 2, width: 10, layers: 1, heads: 2, counters: 0,
         tables: 1, number_tables: 0, restarts: 1, anneal: 6}}
data: {{name: tagged, folder: {folder}, length: 10, batch_size: 16}}
phases:
  start: {{then: embed}}
  anneal: {{epochs: 6, lr: {{network: 0.05, readout: 0.05}}, clip: 1.0, then: {{discretise: {{l2: 1e-4}}}}}}
  prune: {{then: {{prune: {{l2: 1e-4, val: true, some: 100, words: true}}}}}}
reference: {reference}
seed: 0
"""
ENCODER = """\
model: {{name: dense_encoder, num_classes: 5, width: 16, depth: 1, heads: 2, dropout: 0.0}}
data: {{name: tagged, folder: {folder}, length: 10, batch_size: 16}}
phases:
  start: {{then: embed}}
  joint: {{epochs: 4, lr: {{embed: 1e-2, blocks: 1e-2, norm: 1e-2, head: 1e-2}}}}
seed: 0
"""
PARTS = [["Rome B-LOC"], ["New B-LOC", "York I-LOC"], ["Mr B-PER", "Ito I-PER"], ["in O"], ["on O", "12 O"], ["a O"]]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder, draw = tmp_path_factory.mktemp("tags"), random.Random(0)
    for name, n in (("train", 200), ("valid", 60), ("test", 40)):
        rows = [sum(draw.choices(PARTS, k=draw.randint(1, 6)), []) for _ in range(n)]
        (folder / f"{name}.bio").write_text("\n\n".join("\n".join(row) for row in rows))
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    patch.chdir(folder)
    for name, text in (("encoder", ENCODER), ("program", PROGRAM)):
        (folder / f"{name}.yaml").write_text(text.format(folder=folder, reference=folder / "runs" / "encoder"))
        assert main(["train", f"{name}.yaml", "--out", f"runs/{name}", "trainer.accelerator=cpu"]) == 0
    yield folder
    patch.undo()


def scores(folder, name):
    metrics = json.loads((folder / "runs" / name / "checkpoint" / "metrics.json").read_text())["scores"]
    return {key: value["value"] for key, value in metrics.items()}


@pytest.mark.parametrize("name", ["encoder", "program"])
def test_spans_are_scored(run, name):
    result = scores(run, name)
    assert result["F1 of spans"] > 0.9
    assert result["sentences"] == 40
    assert result["F1 by word alone"] == 1  # every word has one tag here
    assert 0 <= result["sequence accuracy"] <= 1


def test_the_reference_model_is_reported(run):
    assert "black-box accuracy" in (run / "runs/program/report.html").read_text()


def test_pruning_uses_validation_data(run):
    log = (run / "runs/program/log.csv").read_text()
    assert "prune/words," in log


def test_the_file_answers_alone(run, capsys):
    assert main(["export", "runs/program/checkpoint", "--to", "program", "-o", "tags.py"]) == 0
    done = subprocess.run(
        [sys.executable, "-I", "-S", "tags.py", "Mr", "Ito", "in", "Rome", "1999"],
        capture_output=True,
        text=True,
        cwd=run,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["B-PER", "I-PER", "O", "B-LOC", "O"]
    text = (run / "tags.py").read_text()
    assert "by_word(" in text
    capsys.readouterr()


def test_a_sentence_is_explained(run, capsys):
    assert main(["explain", "runs/program/checkpoint", "Ito in York", "--out", "pages"]) == 0
    output = capsys.readouterr().out
    assert "answer 3" in output
    assert main(["explain", "runs/encoder/checkpoint", "Ito in York", "--out", "pages"]) == 0
