"""Predictions for new files, after the training data are deleted: by Python and by the command line."""

import csv
import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import zoo
from zoo import paths
from zoo.batch import Batch
from zoo.cli import main
from zoo.prediction.writer import PredictionWriter

CASES = Path(__file__).parent / "cases" / "table"
IMAGES = """\
model: {name: blackbox, num_classes: 2, backbone: resnet10t, backbone_level: 1, pretrained: false}
data: {name: folder, root: ROOT, size: 32, batch_size: 16, augment: none}
phases:
  joint: {epochs: 1, lr: {backbone: 1e-3, head: 1e-3}}
trainer: {accelerator: cpu}
"""


def command(*args, code=0):
    assert (main([str(arg) for arg in args]) or 0) == code


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Run folder of a table model whose training file is deleted."""
    folder = tmp_path_factory.mktemp("table")
    shutil.copy(CASES / "a.csv", folder / "gone.csv")
    data = [f"data.file={folder / 'gone.csv'}", "data.target=state", "trainer.accelerator=cpu"]
    command("train", "bilinear_mlp/table", "--out", folder / "run", *data, "phases.joint.epochs=5")
    (folder / "gone.csv").unlink()
    return folder / "run"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of 40 images of two classes."""
    root = tmp_path_factory.mktemp("photos") / "photos"
    generator = np.random.default_rng(0)
    for i in range(40):
        path = root / ("cat", "dog")[i % 2] / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 100, (20, 30, 3)) + 100 * (i % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return root


@pytest.fixture(scope="module", params=["protopnet", "blackbox"])
def images(request, photos, tmp_path_factory):
    """Run folder of an image model whose training folder is deleted."""
    folder = tmp_path_factory.mktemp(request.param)
    shutil.copytree(photos, folder / "gone")
    config = folder / "mine.yaml"
    text = IMAGES.replace("ROOT", str(folder / "gone"))
    if request.param == "protopnet":
        text = text.replace("pretrained: false", "pretrained: false, per_class: 2, dim: 16").replace(
            "{backbone: 1e-3, head: 1e-3}", "{backbone: 1e-3, addon: 1e-3, prototypes: 1e-3}"
        )
        text = text.replace("name: blackbox", "name: protopnet")
    config.write_text(text)
    command("train", config, "--out", folder / "run")
    shutil.rmtree(folder / "gone")
    return folder / "run"


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def expected(model, x):
    with torch.no_grad():
        return (model(x).double() / model.task.temperature).softmax(1)


def test_table_columns(table, tmp_path):
    model = zoo.load(str(table))
    rows = pd.read_csv(CASES / "a.csv").drop(columns="state")
    rows.to_csv(tmp_path / "new.csv", index=False)
    command("predict", table, tmp_path / "new.csv", "-o", tmp_path / "out.csv", "--shown", 2)
    answers = read_csv(tmp_path / "out.csv")
    names = ["row", "prediction", "p_ill", "p_well", "unit_1", "contribution_1", "unit_2", "contribution_2"]
    assert list(answers[0]) == names
    x = model.inputs.read(rows).x
    probabilities = expected(model, x)
    assert len(answers) == len(rows) == len(x)
    assert [a["prediction"] for a in answers] == [model.class_names[i] for i in probabilities.argmax(1)]
    np.testing.assert_allclose([float(a["p_ill"]) for a in answers], probabilities[:, 0], rtol=1e-5)
    explanation = model.explain(x[:1])
    unit = int(explanation.contribution[0].abs().argmax())
    assert answers[0]["unit_1"] == model.units.names[unit]
    assert float(answers[0]["contribution_1"]) == pytest.approx(float(explanation.contribution[0, unit]), rel=1e-5)
    assert not (tmp_path / "out.remarks.csv").exists()


def test_every_form_of_a_table_gives_the_same(table, tmp_path, monkeypatch, capsys):
    model = zoo.load(str(table))
    rows = pd.read_csv(CASES / "a.csv").head(7)
    rows[["bmi", "dose", "age"]].to_csv(tmp_path / "new.csv", index=False)
    whole = model.predict(rows)
    for raw in (str(tmp_path / "new.csv"), tmp_path / "new.csv", rows.to_dict("list"), rows.to_dict("records")):
        assert torch.equal(model.predict(raw).logits, whole.logits)
    parts = [model.predict(rows, batch_size=2), model.predict(rows, shown=0)]
    for part in parts:
        torch.testing.assert_close(part.logits, whole.logits, rtol=1e-5, atol=1e-5)
    assert parts[1].shown.shape == (7, 0)
    frame = whole.to_pandas()
    assert list(frame.prediction) == whole.labels
    assert torch.allclose(whole.probabilities.sum(1), torch.ones(7))
    monkeypatch.setattr("sys.stdin", (tmp_path / "new.csv").open())
    capsys.readouterr()
    command("predict", table, "-")
    printed = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["prediction"] for row in printed] == whole.labels


def test_bad_rows_are_errors_or_listed(table, tmp_path, capsys):
    lines = (CASES / "a.csv").read_text().splitlines()[:6]
    header = lines[0].split(",")
    cells = lines[2].split(",")
    cells[header.index("age")] = "old"
    lines[2] = ",".join(cells)
    file = tmp_path / "bad.csv"
    file.write_text("\n".join(lines) + "\n")
    out = tmp_path / "out.csv"
    command("predict", table, file, "-o", out, code=2)
    message = " ".join(capsys.readouterr().err.split())
    assert "line 3" in message
    assert "'age'" in message
    assert not list(tmp_path.glob("*out*")), "an error leaves no file"
    assert not list(tmp_path.glob(".*"))
    command("predict", table, file, "-o", out, "--skip-bad")
    assert "skipped: " in capsys.readouterr().err
    assert len(read_csv(out)) == 4
    (remark,) = read_csv(tmp_path / "out.remarks.csv")
    assert (remark["status"], remark["column"]) == ("skipped", "age")
    command("predict", table, CASES / "a.csv", "-o", out, code=2)
    assert "--overwrite" in capsys.readouterr().err
    command("predict", table, CASES / "a.csv", "-o", out, "--overwrite")
    assert not (tmp_path / "out.remarks.csv").exists(), "remarks of the older file"


def test_json_lines_equal_csv(table, tmp_path):
    command("predict", table, CASES / "a.csv", "-o", tmp_path / "out.csv")
    command("predict", table, CASES / "a.csv", "-o", tmp_path / "out.jsonl")
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    for record, row in zip(records, read_csv(tmp_path / "out.csv"), strict=True):
        assert list(record) == list(row)
        assert record["prediction"] == row["prediction"]
        assert record["p_ill"] == float(row["p_ill"])


def test_parquet(table, tmp_path, capsys):
    out = tmp_path / "out.parquet"
    if find_spec("pyarrow") is None:
        command("predict", table, CASES / "a.csv", "-o", out, code=2)
        assert "pip install pyarrow" in " ".join(capsys.readouterr().err.split())
        assert not out.exists()
        return
    command("predict", table, CASES / "a.csv", "-o", out)
    frame = pd.read_parquet(out)
    whole = zoo.load(str(table)).predict(CASES / "a.csv")
    assert list(frame.prediction) == whole.labels
    np.testing.assert_array_equal(frame.p_ill, whole.probabilities[:, 0])


@pytest.mark.slow
def test_a_new_process_gives_the_same(table, tmp_path):
    command("predict", table, CASES / "reordered.csv", "-o", tmp_path / "here.csv")
    out = tmp_path / "there.csv"
    args = ["-m", "zoo", "predict", str(table), str(CASES / "reordered.csv"), "-o", str(out)]
    done = subprocess.run([sys.executable, *args], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == (tmp_path / "here.csv").read_bytes()


def test_nothing_is_read_ahead_of_what_is_written(table, tmp_path, monkeypatch):
    """Each piece of the inputs is written before the next one is read, so that memory does not grow with rows."""
    model = zoo.load(str(table))
    events = []
    scan, write = type(model.inputs).scan, PredictionWriter.write

    def scanned(self, *args, **kwargs):
        for reading in scan(self, *args, **kwargs):
            events.append("read")
            yield reading

    monkeypatch.setattr(type(model.inputs), "scan", scanned)
    monkeypatch.setattr(PredictionWriter, "write", lambda *args: (events.append("write"), write(*args)))
    rows = pd.concat([pd.read_csv(CASES / "a.csv")] * 50)
    rows.to_csv(tmp_path / "many.csv", index=False)
    assert zoo.predict(table, tmp_path / "many.csv", out=tmp_path / "out.csv").count == len(rows)
    reads = [i for i, event in enumerate(events) if event == "read"]
    assert len(reads) > 2
    assert all("write" in events[a:b] for a, b in zip(reads, reads[1:], strict=False))


@pytest.mark.filterwarnings("ignore")
def test_images(images, photos, tmp_path):
    model = zoo.load(str(images))
    command("predict", images, photos, "-o", tmp_path / "out.csv", "--shown", 2)
    answers = read_csv(tmp_path / "out.csv")
    files = sorted(path for path in photos.rglob("*.png"))
    assert [a["row"] for a in answers] == [path.relative_to(photos).as_posix() for path in files]
    x = torch.stack([model.inputs.normalize(model.inputs.pixels(path)) for path in files])
    probabilities = expected(model, x)
    np.testing.assert_allclose([float(a["p_dog"]) for a in answers], probabilities[:, 1], rtol=1e-4)
    assert ("unit_1" in answers[0]) == (len(model.units) > 0)
    pictures = [Image.open(path) for path in files[:3]]
    arrays = [np.asarray(picture) for picture in pictures]
    wanted = model.predict(files[:3]).logits
    for raw in (pictures, arrays, np.stack(arrays), [str(path) for path in files[:3]]):
        assert torch.equal(model.predict(raw).logits, wanted)
    for raw in (pictures[0], arrays[0], files[0]):
        torch.testing.assert_close(model.predict(raw).logits, wanted[:1], rtol=1e-4, atol=1e-4)


def test_a_damaged_image(images, photos, tmp_path, capsys):
    root = tmp_path / "mixed"
    shutil.copytree(photos, root)
    (root / "cat" / "00.png").write_bytes(b"not an image")
    command("predict", images, root, "-o", tmp_path / "out.csv", code=2)
    assert "00.png" in capsys.readouterr().err
    command("predict", images, root, "-o", tmp_path / "out.csv", "--skip-bad")
    assert len(read_csv(tmp_path / "out.csv")) == 39
    assert read_csv(tmp_path / "out.remarks.csv")[0]["row"] == "cat/00.png"


def test_a_model_without_inputs_says_what_is_missing(tmp_path, capsys):
    shutil.copytree(paths.home() / "checkpoints" / "protopnet-digits", tmp_path / "old")
    (tmp_path / "old" / "inputs.yaml").unlink()
    command("predict", tmp_path / "old", CASES / "a.csv", "-o", tmp_path / "out.csv", code=2)
    error = " ".join(capsys.readouterr().err.split())
    assert "has no inputs (inputs.yaml)" in error
    assert "complete it with `zoo migrate`" in error
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("name", "prompt"), [("codebook_transformer-tokfsm", "12 34"), ("transformer_program-hist", "3 1 3")]
)
def test_shipped_models_of_tokens(name, prompt):
    model = zoo.load(name)
    x = model.inputs.read(prompt).x
    prediction = model.predict(prompt)
    with torch.no_grad():
        assert prediction.labels == [model.class_names[i] for i in model(x).argmax(1)]


def test_wrong_outputs_and_inputs(table, tmp_path, capsys):
    command("predict", table, CASES / "a.csv", "-o", tmp_path / "out.txt", code=2)
    assert ".csv, .jsonl, .parquet" in " ".join(capsys.readouterr().err.split())
    command("predict", table, tmp_path / "gone.csv", "-o", tmp_path / "out.csv", code=2)
    assert "gone.csv" in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())


def test_a_batch_without_labels_has_a_length():
    batch = Batch(x=torch.zeros(3, 2), y=None, index=torch.arange(3))
    assert len(batch) == len(batch.to("cpu")) == 3
    sample = Batch(x=torch.zeros(2), y=None, index=torch.tensor(0))
    assert Batch.stack([sample, sample]).y is None
