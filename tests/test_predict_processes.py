"""Predictions through Lightning: Trainer.predict, several processes with shards in and out, odd batches."""

import csv
import os
import subprocess
import sys

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from torch.utils.data import DataLoader

import zoo
from zoo import checkpoint, paths
from zoo.cli import main
from zoo.inputs.image import ImageInputs
from zoo.inputs.table import TableInputs

N = 5300  # rows: six readings
TWO = ("--devices", "2")


@pytest.fixture(scope="module")
def rows():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(N, 2, generator=generator)
    return pd.DataFrame({"a": values[:, 0].numpy(), "b": values[:, 1].numpy()})


@pytest.fixture(scope="module")
def model(rows):
    torch.manual_seed(0)
    model = zoo.create_model("bilinear_mlp", num_classes=2, input_shape=[2], width=8).eval()
    table = rows.assign(state=["ill" if a > 0 else "well" for a in rows.a])
    model.inputs = TableInputs.fit(table.to_dict("list"), target="state")
    return model


@pytest.fixture(scope="module")
def folder(model, rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    arguments = {"num_classes": 2, "input_shape": [2], "width": 8}
    config = {
        "model": {"name": "bilinear_mlp", **arguments},
        "data": {"name": "table", "file": "gone", "target": "state"},
    }
    checkpoint.save(folder / "c", model, config=config, metrics={}, card="")
    rows.to_csv(folder / "new.csv", index=False)
    return folder


def command(folder, *args, launcher=("-m", "zoo")):
    path = os.pathsep.join([str(paths.PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *launcher, "predict", *args], cwd=folder, env=env, capture_output=True, text=True, timeout=500
    )


def read(files):
    table = pd.concat([pd.read_csv(file) for file in files])
    return table.sort_values("row").reset_index(drop=True)


def test_trainer_predict(model, rows):
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    x = model.inputs.read(rows.head(50)).x
    whole = model.predict(rows.head(50))
    for loader in (DataLoader(x, 20), DataLoader(torch.utils.data.TensorDataset(x), 20)):
        parts = trainer.predict(model, loader)
        assert [len(part) for part in parts] == [20, 20, 10]
        assert torch.cat([part.logits for part in parts]).equal(whole.logits) or torch.allclose(
            torch.cat([part.logits for part in parts]), whole.logits
        )
        assert parts[1].rows[3] == "batch 1, sample 3"
        assert parts[0].labels == whole.labels[:20]
    data = zoo.create_data("toys", kind="xor", batch_size=8)
    parts = trainer.predict(
        zoo.create_model("bilinear_mlp", num_classes=2, input_shape=[2], width=4), data.loader("test")
    )
    assert parts[0].class_names == ("0", "1")
    assert parts[0].rows[0] == "sample 0"


@pytest.mark.parametrize("how", ["ranks", *(pytest.param(h, marks=pytest.mark.slow) for h in ("devices", "torchrun"))])
def test_two_processes_give_the_same_rows(folder, processes, how, capsys):
    """Started as a cluster starts its ranks, by the option alone, and by torchrun."""
    zoo.predict(str(folder / "c"), folder / "new.csv", out=folder / "one.csv", overwrite=True)
    if how == "ranks":
        argv = [
            "predict",
            str(folder / "c"),
            str(folder / "new.csv"),
            "-o",
            str(folder / "two.csv"),
            "--overwrite",
            *TWO,
        ]
        assert processes.ranks("cli", argv, {}) == [0, 0]
    else:
        torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "zoo")
        launcher, more = (torchrun, ()) if how == "torchrun" else (("-m", "zoo"), ("trainer.devices=2",))
        done = command(folder, "c", "new.csv", *more, "-o", "two.csv", "--overwrite", launcher=launcher)
        assert done.returncode == 0, done.stderr
        assert f"({N} rows)" in done.stdout
    shards = sorted((folder / "two.csv").iterdir())
    assert [shard.name for shard in shards] == ["part-00000.csv", "part-00001.csv"]
    one, two = read([folder / "one.csv"]), read(shards)
    assert set(one.row) == {f"line {i}" for i in range(2, N + 2)}
    pd.testing.assert_frame_equal(one, two)
    assert main(["predict", str(folder / "c"), str(folder / "new.csv"), "-o", str(folder / "two.csv"), *TWO]) == 2
    assert "two.csv exists; add --overwrite" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_parquet_shards_in_and_out(folder, model, rows):
    pytest.importorskip("pyarrow")
    (folder / "in").mkdir(exist_ok=True)
    for i in range(3):
        rows.iloc[i * 2000 : (i + 1) * 2000].to_parquet(folder / "in" / f"part-{i}.parquet")
    done = command(folder, "c", "in", "-o", "out.parquet", "--devices", "2", "--overwrite")
    assert done.returncode == 0, done.stderr
    table = pd.read_parquet(folder / "out.parquet")
    assert len(table) == N
    assert table.row.is_unique
    whole = model.predict(folder / "in").to_pandas()
    both = [t.sort_values("row").reset_index(drop=True) for t in (table, whole)]
    assert both[0].row.tolist() == both[1].row.tolist()
    assert both[0].prediction.tolist() == both[1].prediction.tolist()
    assert abs(both[0].p_ill - both[1].p_ill).max() < 1e-6
    assert both[0].row[0] == "part-0.parquet, row 1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--devices", "2"], "name it with -o"),
        (["--devices", "0"], "devices is 0; expected 1 or more"),
        (["trainer.devices=two"], "expected a number of processes"),
    ],
)
def test_mistakes_of_several_processes(folder, capsys, arguments, message):
    assert main(["predict", str(folder / "c"), str(folder / "new.csv"), *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_folder_of_tables(model, rows, tmp_path):
    for i, name in enumerate(("b.csv", "a.csv")):
        rows.iloc[i * 10 : (i + 1) * 10].to_csv(tmp_path / name, index=False)
    (tmp_path / "notes.txt").write_text("no table")
    prediction = model.predict(tmp_path)
    assert prediction.rows[0] == "a.csv, line 2"
    assert prediction.rows[-1] == "b.csv, line 11"
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty has no table; expected files that end in"):
        model.predict(tmp_path / "empty")


def test_parts_of_pictures_are_decoded_once(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(7):
        Image.new("RGB", (9, 9), (i, i, i)).save(photos / f"{i}.png")
    inputs = ImageInputs(size=8)
    whole = [name for reading in inputs.scan(photos, labels=False) for name in reading.rows]
    parts = [[name for reading in inputs.scan_part(photos, i, 3) for name in reading.rows] for i in range(3)]
    assert sorted(sum(parts, [])) == sorted(whole)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_one_input_without_a_batch(model):
    with pytest.raises(ValueError, match=r"images are \(3, 64, 64\); expected a batch .*; one image is x\[None\]"):
        zoo.create_model("blackbox", num_classes=2, backbone="resnet10t").eval()(torch.zeros(3, 64, 64))
    with pytest.raises(ValueError, match=r"x is \(2,\), one input without a batch dimension; pass x\[None\]"):
        model.predict_step(torch.zeros(2))
    with pytest.raises(ValueError, match="a batch is a str; expected a Batch"):
        model.predict_step("x")


def test_cells_that_need_quotes(tmp_path):
    from zoo.prediction import Prediction
    from zoo.prediction.writer import PredictionWriter

    names = ("a,b", 'c"d', "e\rf", "g\nh", "100 %", "%s", "")
    prediction = Prediction(
        rows=("1,2", "3\r4", "%d"),
        class_names=names,
        unit_names=("u,v", "%(x)s"),
        logits=torch.eye(7)[[0, 2, 5]] * 9,
        shown=torch.tensor([[0, 1], [1, -1], [1, 0]]),
        contribution=torch.tensor([[0.5, -1e-12], [2.0, 0.0], [3.0, 1.0]]),
    )
    with PredictionWriter(tmp_path / "out.csv") as writer:
        writer.write(prediction)
        writer.write(prediction)
    with (tmp_path / "out.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["row"] for line in lines] == [*prediction.rows, *prediction.rows]
    assert [line["prediction"] for line in lines[:3]] == ["a,b", "e\rf", "%s"]
    assert list(lines[0])[2:9] == [f"p_{name}" for name in names]
    assert [line["unit_2"] for line in lines[:3]] == ["%(x)s", "", "u,v"]
    assert [line["contribution_2"] for line in lines[:3]] == ["-1e-12", "", "1"]
    with PredictionWriter(tmp_path / "out.jsonl") as writer:
        writer.write(prediction)
    frame = pd.read_json(tmp_path / "out.jsonl", lines=True, dtype=False)
    assert frame.row.tolist() == list(prediction.rows)
    assert frame["p_100 %"].tolist() == pytest.approx(prediction.probabilities[:, 4].tolist(), rel=1e-5)
    assert frame.unit_2.fillna("none").tolist() == ["%(x)s", "none", "u,v"]
