"""Models of text, tagged words and rows of categories with hostile names: trained, data deleted, asked again."""

import csv
import json
import random
import shutil
import subprocess
import sys

import pytest
import torch
import yaml

import zoo
from zoo.cli import main
from zoo.inputs import base

TEXT = """\
model: {name: NAME, width: 16, depth: 1, heads: 2MORE}
data: {name: text, file: gone.txt, context: 24, batch_size: 16, limit: 48ARGS}
phases: {joint: {epochs: 1, lr: {embed: 1e-2, blocks: 1e-2, norm: 1e-2, head: 1e-2}}}
"""
TAGGED = """\
model: {name: dense_encoder, num_classes: 3, width: 16, depth: 1, heads: 2, dropout: 0.0}
data: {name: tagged, folder: gone, length: 10, batch_size: 16}
phases: {joint: {epochs: 6, lr: {embed: 1e-2, blocks: 1e-2, norm: 1e-2, head: 1e-2}}}
"""
CATEGORIES = """\
model: {name: transformer_program, num_classes: 2, pooled: true, layers: 1, heads: 1, counters: 0, tables: 1,
        number_tables: 0, restarts: 1, anneal: 2}
data: {name: categories, file: gone.csv, target: "${y}", batch_size: 32}
phases:
  anneal: {epochs: 4, lr: {network: 0.05, readout: 0.05}, clip: 1.0, then: {discretise: {l2: 1e-4}}}
"""
COLUMNS = ["${shape}", "???", "{}"]
VALUES = [["${round}", "???", "NA"], ["{}", "[/b]", "on"], ["1e3", "#", "é"]]
WORDS = [("${HOME}", "B-${place}"), ("???", "I-${place}"), ("{}", "O"), ("a\u00a0b", "O"), ("c\u2028d", "O")]
KINDS = ["characters", "bytes", "tagged", "categories"]


def command(*args, code=0):
    assert (main([str(arg) for arg in args]) or 0) == code


def write_data(kind, folder, cases):
    draw = random.Random(0)
    if kind in ("characters", "bytes"):
        shutil.copy(cases / "text" / "shell.txt", folder / "gone.txt")
    elif kind == "tagged":
        (folder / "gone").mkdir()
        pairs = [[" ".join(WORDS[0]), " ".join(WORDS[1])], *([" ".join(pair)] for pair in WORDS[2:])]
        for name in ("train", "valid", "test"):
            rows = [sum(draw.choices(pairs, k=3), []) for _ in range(60)]
            (folder / "gone" / f"{name}.bio").write_text("\n\n".join("\n".join(row) for row in rows), encoding="utf-8")
    else:
        with (folder / "gone.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*COLUMNS, "${y}"])
            for _ in range(150):
                row = [draw.choice(values) for values in VALUES]
                writer.writerow([*row, "${yes}" if row[0] == "${round}" else "???"])


CONFIGS = {
    "characters": TEXT.replace("NAME", "dense_transformer").replace("MORE", "").replace("ARGS", ""),
    "bytes": TEXT.replace("NAME", "codebook_transformer")
    .replace("MORE", ", codes: 8, k: 2, sites: [mix]")
    .replace("ARGS", ", tokenizer: bytes, size: 290")
    .replace("head: 1e-2}", "head: 1e-2, codebooks: 1e-2}"),
    "tagged": TAGGED,
    "categories": CATEGORIES,
}
INPUTS = {
    "characters": 'cd "${HOME}"',
    "bytes": 'cd "${HOME}"',
    "tagged": "{} ${HOME} ??? a\u00a0b",
    "categories": "${shape}=NA,???=on,{}=#",
}


SLOW_KINDS = ("bytes", "characters", "tagged")


@pytest.fixture(
    scope="module",
    params=[pytest.param(kind, marks=pytest.mark.slow) if kind in SLOW_KINDS else kind for kind in KINDS],
)
def trained(request, cases, tmp_path_factory):
    """Kind and folder of a finished run ``run``; its data are gone."""
    kind = request.param
    if kind == "bytes":
        pytest.importorskip("tokenizers")
    folder = tmp_path_factory.mktemp(kind)
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    patch.chdir(folder)
    write_data(kind, folder, cases)
    (folder / "mine.yaml").write_text(CONFIGS[kind])
    command("train", "mine.yaml", "--out", "run", "trainer.accelerator=cpu")
    command("evaluate", "run", "--out", "scored", "trainer.accelerator=cpu")
    for name in ("gone", "cache"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("gone.txt", "gone.csv"):
        (folder / name).unlink(missing_ok=True)
    yield kind, folder
    patch.undo()


def test_scores_are_those_of_training(trained):
    _, folder = trained
    both = [json.loads((folder / p / "metrics.json").read_text())["scores"] for p in ("run/checkpoint", "scored")]
    values = [{name: score.get("value") for name, score in scores.items()} for scores in both]
    assert values[0] == values[1]
    assert values[0]["accuracy"] is not None


def test_names_are_kept(trained):
    kind, folder = trained
    model = zoo.load("run")
    if kind == "tagged":
        assert model.class_names == ("O", "B-${place}", "I-${place}")
        assert {"${HOME}", "???", "{}", "a\u00a0b", "c\u2028d"} < set(model.inputs.sequence.tokens)
    elif kind == "categories":
        assert set(model.class_names) == {"${yes}", "???"}
        assert model.inputs.sequence.columns == tuple(COLUMNS)
    else:
        assert model.inputs.next_token
        assert "$" in model.class_names
    assert base.load(folder / "run").to_config() == model.inputs.to_config()
    assert (folder / "run" / "checkpoint" / "tokenizer.json").is_file() == (kind == "bytes")
    if len(model.units):
        units = yaml.safe_load((folder / "run" / "checkpoint" / "units.yaml").read_text(encoding="utf-8"))["units"]
        assert len(units) == len(model.units)


@pytest.mark.slow
def test_answers_without_the_data_and_in_another_process(trained, capsys):
    kind, folder = trained
    model = zoo.load("run")
    text = INPUTS[kind]
    x = model.inputs.read(text).x
    with torch.no_grad():
        logits = model(x)
    prediction = model.predict(text)
    assert torch.allclose(prediction.logits, logits)
    code = (
        "import sys, json, zoo\nmodel = zoo.load('run')\nprint(json.dumps(model.predict(sys.argv[1]).logits.tolist()))"
    )
    done = subprocess.run([sys.executable, "-c", code, text], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == prediction.logits.tolist()
    command("explain", "run", text, "--out", "pages")
    assert "page" in capsys.readouterr().out
    command("predict", "run", text, "-o", f"{kind}.csv", "--overwrite")
    with (folder / f"{kind}.csv").open(newline="", encoding="utf-8") as file:
        assert [row["prediction"] for row in csv.DictReader(file)] == prediction.labels
    command("explain", "run", "0", code=2)
    assert "input 0 is the index of a test sample, and the data are not there" in capsys.readouterr().err
    if len(model.units):
        command("intervene", "run", text, f"{model.units.names[0]}=1", "--out", "pages")


def test_steers_or_exports_without_the_data(trained, capsys):
    kind, folder = trained
    if kind == "categories":
        command("export", "run", "--to", "program", "-o", "program.py", "--overwrite")
        text = (folder / "program.py").read_text(encoding="utf-8")
        compile(text, "program.py", "exec")
    elif kind != "tagged":
        command("steer", "run", 'cd "${', "--new", "3", "--temperature", "0")
        assert 'cd "${|' in capsys.readouterr().out


def test_other_data_are_matched_by_name(trained, tmp_path, cases, capsys):
    kind, _ = trained
    if kind in ("characters", "bytes"):
        other = tmp_path / "other.txt"
        other.write_text((cases / "text" / "shell.txt").read_text().replace("bin", "b\u00fcn"))
        code = 0 if kind == "bytes" else 2
        command("evaluate", "run", f"data.file={other}", "--out", tmp_path / "out", code=code)
        if code:
            assert "character '\u00fc'" in capsys.readouterr().err
    elif kind == "tagged":
        write_data(kind, tmp_path, cases)
        command("evaluate", "run", f"data.folder={tmp_path / 'gone'}", "--out", tmp_path / "out")
        file = tmp_path / "gone" / "test.bio"
        file.write_text(file.read_text(encoding="utf-8").replace("-${place}", "-${plaza}"), encoding="utf-8")
        command("evaluate", "run", f"data.folder={tmp_path / 'gone'}", "--out", tmp_path / "again", code=2)
        assert "'B-${plaza}', a tag not in training" in " ".join(capsys.readouterr().err.split())
    else:
        write_data(kind, tmp_path, cases)
        rows = list(csv.reader((tmp_path / "gone.csv").open(encoding="utf-8", newline="")))
        with (tmp_path / "turned.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(row[::-1] for row in rows)
        scores = []
        for name in ("gone", "turned"):
            command("evaluate", "run", f"data.file={tmp_path / name}.csv", "--out", tmp_path / name)
            scores.append(json.loads((tmp_path / name / "metrics.json").read_text())["scores"]["accuracy"]["value"])
        assert scores[0] == scores[1] > 0.9
        text = (tmp_path / "turned.csv").read_text(encoding="utf-8")
        (tmp_path / "renamed.csv").write_text(text.replace("${yes}", "${no}"), encoding="utf-8")
        command("evaluate", "run", f"data.file={tmp_path / 'renamed.csv'}", "--out", tmp_path / "r", code=2)
        assert "perhaps renamed: '${yes}' to '${no}'" in " ".join(capsys.readouterr().err.split())
