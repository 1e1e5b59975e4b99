"""Mistakes that are found before training, and what a run writes and leaves alone."""

import importlib.util
import json

import pytest
import torch

from zoo.cli import main
from zoo.training.loggers import CsvLog, read_log, trackers
from zoo.training.run import load_config


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("suite=nope", "nope"),
        ("trainer.save_every=0", "trainer.save_every is 0"),
        ("trainer.devices=0", "trainer.devices is 0"),
        ("phases.joint.epochs=-1", "epochs is -1"),
        ("phases.joint.every=0", "every is 0"),
        ("phases.joint.lr.addon=-1", "lr.addon is -1"),
        ("phases.joint.loss.cluster={from: 0}", "loss.cluster is {'from': 0}; expected a finite number"),
        ("phases.joint.loss.cluster=much", "loss.cluster is much; expected a finite number"),
        ("phases.last.then.fit_head.l1=abc", "fit_head.l1 is 'abc'"),
        ("phases.joint.cache=1", "cache is set and lr trains the backbone"),
        ("model.dim=0", "dim is 0"),
        ("model.prototype_size=20", "cannot take images"),
        ("model.backbone=vit_tiny_patch16_224", "cannot take images"),
        ("finetune.from=nowhere", "no checkpoint 'nowhere'"),
        ("finetune={from: nowhere}", "no checkpoint 'nowhere'"),
        ("trainer.loggers=[tensorbord]", "tensorbord"),
    ],
)
def test_validate_finds_what_would_fail_later(tiny, override, words, capsys):
    more = ["model.backbone_args={}"] if "vit" in override else []
    assert main(["validate", str(tiny), override, *more]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_the_seed_of_a_run_is_that_of_its_data_unless_said(tiny):
    tiny_seed = 3
    assert load_config(str(tiny)).data.seed == tiny_seed
    assert load_config(str(tiny), ["seed=5"]).data.seed == 5
    both = load_config(str(tiny), ["seed=5", "data.seed=7"])
    assert (both.seed, both.data.seed) == (5, 7)


@pytest.mark.slow
def test_the_suite_may_change_when_a_run_is_resumed(tiny, finished, capsys):
    argv = ["train", str(tiny), "--out", str(finished), "--resume"]
    assert main([*argv, "suite=full", "reference=blackbox/digits"]) == 0
    assert "stability_v1" in json.loads((finished / "checkpoint" / "metrics.json").read_text())["scores"]
    assert main([*argv, "model.dim=17"]) == 2
    assert main(argv) == 0  # as it was, for the other tests


@pytest.mark.slow
def test_evaluate_leaves_a_run_alone(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", str(finished), "--out", str(finished), "--overwrite"]) == 2
    assert "holds a training run" in capsys.readouterr().err
    assert (finished / "checkpoint" / "model.safetensors").is_file()
    for wrong in ("model.per_class=3", "seed=9"):
        assert main(["evaluate", str(finished), wrong]) == 2
        assert "a trained model is fixed" in capsys.readouterr().err
    argv = ["evaluate", str(finished), "data.limit=20"]
    assert main(argv) == 0
    first = json.loads((tmp_path / "runs/evaluate-tiny-quick/metrics.json").read_text())
    assert main([*argv, "--suite", "full"]) == 0, "another suite has another folder"
    assert main(argv) == 2
    assert main([*argv, "--overwrite"]) == 0
    again = json.loads((tmp_path / "runs/evaluate-tiny-quick/metrics.json").read_text())
    assert first["scores"] == again["scores"]
    assert "training" not in first


def test_overwrite_spares_what_is_no_part_of_a_run(tiny, tmp_path, capsys):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "config.yaml").write_text("a: 1\n")
    (mine / "thesis.txt").write_text("years of work")
    assert main(["train", str(tiny), "--out", str(mine), "--overwrite"]) == 2
    assert "thesis.txt" in capsys.readouterr().err
    assert (mine / "thesis.txt").is_file()


def test_a_recipe_of_ones_own(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["cp", "train", "mine.py"]) == 0
    recipe = tmp_path / "mine.py"
    shorter = "result = run_dry(resolved, parts)\n        return replace(result, rows=result.rows[:1])"
    text = recipe.read_text().replace("return run_dry(resolved, parts)", shorter)
    recipe.write_text(text.replace("import shlex\n", "import shlex\nfrom dataclasses import replace\n"))
    assert main(["train", str(tiny), "--recipe", "mine.py", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "accuracy" in printed.lower()
    assert "completeness" not in printed.lower(), "the copy leaves all rows but the first out"
    assert main(["train", str(tiny), "--recipe", "gone.py"]) == 2


def test_the_csv_log_is_only_appended(tmp_path):
    for phase in ("warm", "joint"):
        CsvLog(tmp_path / "log.csv", phase).log_metrics({"train/loss": 0.5, "epoch": 0}, step=9)
    lines = read_log(tmp_path / "log.csv")
    assert [(x["phase"], x["step"], x["name"], x["value"]) for x in lines] == [
        ("warm", "9", "train/loss", "0.5"),
        ("joint", "9", "train/loss", "0.5"),
    ]
    assert read_log(tmp_path / "none.csv") == []


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_tracker_writes_or_says_what_to_install(name, tmp_path):
    package = "tensorboard" if name == "tensorboard" else name
    if importlib.util.find_spec(package) is None:
        with pytest.raises(ValueError, match=f"pip install {name}"):
            trackers([name], tmp_path, "warm")
        return
    (logger,) = trackers([name], tmp_path, "warm")
    logger.log_metrics({"train/loss": torch.tensor(0.5).item()}, step=1)
    logger.finalize("success")
    assert any(tmp_path.iterdir())
