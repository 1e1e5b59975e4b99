"""Pictures whose target is in a CSV file: classes, numbers, several labels; trained, predicted, evaluated."""

import csv
import shutil

import pytest
import torch
from PIL import Image

import zoo
from zoo.cli import main
from zoo.inputs.base import load

CONFIG = """\
model: {name: blackbox, backbone: resnet10t, backbone_level: 1}
data: {name: folder, root: photos, labels: labels.csv, size: 16, batch_size: 16, augment: none}
phases: {joint: {epochs: 2, lr: {backbone: 1e-2, head: 1e-2}}}
trainer: {accelerator: cpu}
"""


def write(file, rows):
    with file.open("w", newline="") as out:
        csv.writer(out).writerows(rows)


@pytest.fixture
def work(tmp_path, monkeypatch):
    """40 pictures in two folders, whose gray value is the target, and an additional one."""
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        (tmp_path / "photos" / folder).mkdir(parents=True)
    rows = [["file", "gray", "dark", "odd", "kind"]]
    for i in range(40):
        name = f"{'ab'[i % 2]}/{i}.png"
        Image.new("RGB", (16, 16), (6 * i,) * 3).save(tmp_path / "photos" / name)
        rows.append([name, f"{6 * i / 10:.1f}", "yes" if i < 20 else "no", i % 2, ["x", "y", "z"][i % 3]])
    Image.new("RGB", (16, 16)).save(tmp_path / "photos" / "extra.png")
    write(tmp_path / "labels.csv", rows)
    (tmp_path / "mine.yaml").write_text(CONFIG)
    return tmp_path


def data(**arguments):
    source = zoo.create_data("folder", root="photos", labels="labels.csv", size=8, **arguments)
    with pytest.warns(UserWarning, match="1 pictures of photos have no row and are left out: extra.png"):
        source.setup()
    return source


def read(file):
    with open(file, newline="") as lines:
        return list(csv.DictReader(lines))


def test_targets_are_those_of_the_rows(work):
    source = data(target=["gray"])
    assert (source.model_task.kind, source.output_names, source.class_names) == ("regression", ("gray",), ())
    for split in ("train", "val", "test"):
        numbers = [int(name.split("/")[1].removesuffix(".png")) for name in source.splits[split].names]
        assert torch.allclose(source.splits[split].y, torch.tensor(numbers) * 0.6)
    every = sorted(name for split in source.splits.values() for name in split.names)
    assert len(set(every)) == len(every) == 40
    assert source.inputs.target.columns == ("gray",)
    source = data(target=["dark", "odd"])
    assert (source.model_task.kind, source.class_names) == ("multilabel", ("dark", "odd"))
    numbers = torch.tensor([int(n.split("/")[1].removesuffix(".png")) for n in source.splits["test"].names])
    assert source.splits["test"].y.tolist() == torch.stack([numbers < 20, numbers % 2 == 1], 1).float().tolist()
    source = data(target=["kind"])
    assert (source.model_task.kind, source.class_names) == ("classification", ("x", "y", "z"))


def test_a_column_divides_the_pictures(work):
    rows = read("labels.csv")
    lines = [[row["file"], "test" if i < 8 else "train", row["gray"]] for i, row in enumerate(rows)]
    write(work / "labels.csv", [["file", "split", "gray"], *lines])
    source = data()
    assert source.output_names == ("gray",)
    assert sorted(source.splits["test"].names) == sorted(row["file"] for row in rows[:8])


def test_mistakes_are_named(work):
    lines = (work / "labels.csv").read_text().splitlines()
    cases = [
        (
            [lines[0], "a/00.png,1,yes,0,x"],
            r"labels.csv, line 2, column 'file': no image 'a/00.png', did you mean a/0.png or",
        ),
        ([*lines, lines[1]], r"line 42, column 'file': 'a/0.png' has an earlier row"),
        (["name,gray", "a/0.png,1"], r"has no column 'file' \(data.labels\)"),
        (["file", "a/0.png"], r"no column beside 'file'; add one for the target"),
        ([*lines[:5], "a/4.png,,yes,0,x"], r"column 'gray': 1 of 5 targets are missing \(lines 6\)"),
    ]
    for content, message in cases:
        (work / "labels.csv").write_text("\n".join(content) + "\n")
        target = None if "name" in content[0] or content[0] == "file" else ["gray"]
        with pytest.raises(ValueError, match=message):
            zoo.create_data("folder", root="photos", labels="labels.csv", size=8, target=target).setup()
    with pytest.raises(ValueError, match="data.target and data.task describe the columns of data.labels"):
        zoo.create_data("folder", root="photos", target=["gray"])


def test_numbers_of_pictures_are_predicted(work, capsys):
    assert main(["train", "mine.yaml", "data.target=[gray]", "--out", "run"]) == 0
    assert load(work / "run" / "checkpoint").target.columns == ("gray",)
    photos = work / "photos"
    shutil.copytree(photos, work / "new")
    assert main(["evaluate", "run", "data.root=new", "--out", "again"]) == 0
    write(work / "other.csv", [["file", "grey"], ["a/0.png", "1"]])
    assert main(["evaluate", "run", "data.labels=other.csv", "--out", "other"]) == 2
    assert "has no column 'gray'" in " ".join(capsys.readouterr().err.split())
    shutil.rmtree(photos)
    (work / "labels.csv").unlink()
    assert main(["predict", "run", "new", "-o", "answers.csv"]) == 0
    answers = read("answers.csv")
    assert [row["row"] for row in answers[:2]] == ["a/0.png", "a/10.png"]
    assert len(answers) == 41
    model = zoo.load("run")
    logits = model(torch.stack([model.inputs.read(f"new/{row['row']}").x[0] for row in answers[:3]]))
    assert [float(row["prediction"]) for row in answers[:3]] == pytest.approx(logits[:, 0].tolist(), rel=1e-4)
    assert main(["explain", "run", "new/a/0.png", "--out", "page"]) == 0


def test_labels_of_pictures_are_predicted(work):
    result = zoo.train("mine.yaml", overrides=["data.target=[dark,odd]"], out="run")
    assert result.model.task.kind == "multilabel"
    prediction = zoo.load("run").predict("photos/a")
    assert list(prediction.columns())[2:4] == ["p_dark", "p_odd"]
    assert prediction.probabilities.shape == (20, 2)
