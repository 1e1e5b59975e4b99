"""A table model from a user's file to answers without it: trained, moved, evaluated on other files, explained."""

import re
import shutil

import pandas as pd
import pytest
import torch

import zoo
from zoo.cli import main
from zoo.inputs import base


def zoo_command(*args, code=0):
    assert (main([str(arg) for arg in args]) or 0) == code


@pytest.fixture(scope="module")
def trained(cases, tmp_path_factory):
    """The run folder of a model whose training file is gone."""
    folder = tmp_path_factory.mktemp("complete")
    shutil.copy(cases / "table" / "a.csv", folder / "gone.csv")
    zoo_command(
        "train",
        "bilinear_mlp/table",
        "--out",
        folder / "run",
        f"data.file={folder / 'gone.csv'}",
        "data.target=state",
        "trainer.accelerator=cpu",
    )
    (folder / "gone.csv").unlink()
    return folder / "run"


def accuracy(model, cases, name):
    batch = model.inputs.read(cases / "table" / f"{name}.csv")
    with torch.no_grad():
        return float((model(batch.x).argmax(1) == batch.y).float().mean())


@pytest.mark.filterwarnings("ignore:.*no inputs were ignored")
def test_other_files_score_as_well(trained, cases):
    model = zoo.load(str(trained))
    assert model.class_names == ("ill", "well")
    assert model.units.names[0] in ("ill +1", "ill -1")  # in the words of the data, as the classes
    assert model.units.names[-1].startswith("well ")
    assert model.inputs.schema.names == ("age", "dose", "bmi")
    assert accuracy(model, cases, "a") > 0.95
    assert accuracy(model, cases, "reordered") > 0.95
    assert accuracy(model, cases, "same_shift") > 0.9
    assert accuracy(model, cases, "ext") == accuracy(model, cases, "same_shift")


def test_rows_are_answered_without_the_training_file(trained, cases, capsys):
    model = zoo.load(str(trained))
    x = model.inputs.read("bmi=26,age=58,dose=5").x
    with torch.no_grad():
        logits = model(x)[0]
    answer = model.class_names[int(logits.argmax())]
    out = trained.parent / "page"
    zoo_command("explain", trained, "age=58,dose=5,bmi=26", "--out", out)
    assert f"age=58,dose=5,bmi=26: {answer}, logit {float(logits.max()):.4g}" in capsys.readouterr().out
    (page,) = out.glob("*.html")
    assert "age" in page.read_text()
    for other in ("same_shift", "reordered"):  # naming another file changes nothing
        zoo_command("explain", trained, "age=58,dose=5,bmi=26", f"data.file={cases / 'table' / f'{other}.csv'}")
        assert f"{answer}, logit {float(logits.max()):.4g}" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "least"), [("reordered", 0.95), ("same_shift", 0.9), ("ext", 0.9)])
def test_evaluate_on_other_files(trained, cases, tmp_path, capsys, name, least):
    split = ["data.split=split"] if name == "ext" else []
    zoo_command("evaluate", trained, f"data.file={cases / 'table' / f'{name}.csv'}", *split, "--out", tmp_path / "out")
    match = re.search(r"(?i)accuracy\s+(\d[\d.]*)", capsys.readouterr().out)
    assert float(match[1]) > least


def test_a_renamed_class_is_refused(trained, cases, tmp_path, capsys):
    file = cases / "table" / "renamed.csv"
    zoo_command("evaluate", trained, f"data.file={file}", "--out", tmp_path / "out", code=2)
    assert "perhaps renamed: 'well' to 'a_well'" in " ".join(capsys.readouterr().err.split())


def test_the_run_and_the_checkpoint_hold_the_inputs(trained, cases):
    run, checkpoint = base.load(trained), base.load(trained / "checkpoint")
    assert run.to_config() == checkpoint.to_config()
    train = pd.read_csv(cases / "table" / "a.csv")
    column = run.schema.columns[0]
    assert column.rows < len(train)  # the training split alone
    assert abs(column.mean - train.age.mean()) < 2


def test_what_each_column_became_is_printed(cases, tmp_path, capsys):
    data = pd.read_csv(cases / "table" / "a.csv")
    data.insert(0, "patient", [f"p{i}" for i in range(len(data))])
    data["sex"] = ["M", "F", "F"] * 100
    data.to_csv(tmp_path / "more.csv", index=False)
    zoo_command(
        "train",
        "bilinear_mlp/table",
        "--out",
        tmp_path / "run",
        f"data.file={tmp_path / 'more.csv'}",
        "data.target=state",
        "trainer.accelerator=cpu",
    )
    out = " ".join(capsys.readouterr().out.split())
    assert "age: number, " in out
    assert "sex: category, 2 levels: F, M" in out
    assert "patient: left out, an identifier or free text" in out
    assert "target state: 2 classes: ill " in out


def test_concepts_are_matched_by_name(cases, tmp_path, capsys):
    file = cases / "concepts" / "co.csv"
    args = [f"data.file={file}", "data.target=state", "trainer.accelerator=cpu"]
    zoo_command("train", "cbm/table", "--out", tmp_path / "run", *args, "data.concept_columns=[fever,cough]")
    scores = []
    for order in ("[fever,cough]", "[cough,fever]"):
        capsys.readouterr()
        zoo_command("evaluate", tmp_path / "run", *args[:1], f"data.concept_columns={order}", "--out", tmp_path / order)
        scores.append(re.search(r"Concept accuracy\s+(\d[\d.]*)", capsys.readouterr().out)[1])
    assert scores[0] == scores[1]
    assert float(scores[0]) > 0.9


def test_a_run_is_resumed_with_its_own_data_alone(cases, tmp_path, capsys):
    shutil.copy(cases / "table" / "a.csv", tmp_path / "t.csv")
    args = [
        "train",
        "bilinear_mlp/table",
        "--out",
        str(tmp_path / "run"),
        f"data.file={tmp_path / 't.csv'}",
        "data.target=state",
        "trainer.accelerator=cpu",
    ]
    zoo_command(*args)
    shutil.copy(cases / "table" / "same_shift.csv", tmp_path / "t.csv")
    zoo_command(*args, "--resume", code=2)
    assert "the data differ from those that" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("source", ["table", "sentences"])
def test_a_model_without_concepts_of_data_with_concepts_is_evaluated_and_explained(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"good food {i},{i / 40},1,{i % 2},yes" for i in range(40)]
    rows += [f"bad food {i},{-i / 40},0,{i % 2},no" for i in range(40)]
    (tmp_path / "rows.csv").write_text("text,a,fever,cough,label\n" + "\n".join(rows))
    column = {"table": "features: [a], target: label", "sentences": "text: text, label: label, length: 5"}[source]
    model, phases = {
        "table": (
            "bilinear_mlp, width: 4, patterns: 2",
            "joint: {epochs: 1, lr: {embed: 1e-2, layers: 1e-2, head: 1e-2}}",
        ),
        "sentences": ("bag_of_concepts", "fit: {then: {fit_words: {val: true}}}"),
    }[source]
    (tmp_path / "mine.yaml").write_text(
        f"model: {{name: {model}}}\nphases: {{{phases}}}\ntrainer: {{accelerator: cpu}}\n"
        f"data: {{name: {source}, file: rows.csv, {column}, batch_size: 16, val: 0.2, concept_columns: [fever, cough]}}"
    )
    zoo.train("mine.yaml", out="run")
    assert zoo.evaluate("run").scores["accuracy"].value is not None
    assert zoo.explain("run", 0).page.is_file()
