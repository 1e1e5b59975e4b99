"""Verbs, exit codes and one-line errors."""

import json
import os
from pathlib import Path

import pytest
import torch

from zoo import __version__, list_models, paths
from zoo.cli import main


@pytest.fixture
def work_dir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def one_line(err, verb):
    assert err.startswith(f"zoo {verb}: ")
    assert err.count("\n") == 1, err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "argv", [["fly"], [], ["train"], ["ls", "--colour"], ["ls", "a", "b=c"], ["train", "x", "--oot", "y"]]
)
def test_usage(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    assert "usage: zoo" in capsys.readouterr().err


def test_help_and_version(capsys):
    for argv in (["--help"], ["--version"], ["train", "--help"]):
        with pytest.raises(SystemExit) as stop:
            main(argv)
        assert stop.value.code == 0
    out = capsys.readouterr().out
    assert __version__ in out
    assert "--resume" in out


def test_ls(capsys):
    assert main(["ls"]) == 0
    out = capsys.readouterr().out
    for name in (*paths.list_configs(), *list_models(), "digits"):
        assert f"  {name}" in out
    assert main(["ls", "black*"]) == 0
    out = capsys.readouterr().out
    assert "blackbox/digits" in out
    assert "protopnet" not in out.replace("the reference model of protopnet", "")


def test_show(capsys, finished):
    for name, words in (
        ("protopnet/digits", "phases:"),
        (str(paths.configs() / "protopnet" / "digits.yaml"), "phases:"),
        ("protopnet", "Chen et al."),
        ("train", "def train("),
        (str(finished), "library_name: zoo"),
    ):
        assert main(["show", name]) == 0
        assert words in capsys.readouterr().out
    assert main(["show", "protopnet/digit"]) == 2
    err = capsys.readouterr().err
    one_line(err, "show")
    assert "did you mean protopnet/digits" in err


def test_cp(work_dir, capsys):
    assert main(["cp", "protopnet/digits", "mine.yaml"]) == 0
    assert main(["cp", "train", "deep/er/train.py"]) == 0
    assert (work_dir / "deep/er/train.py").read_text() == (paths.recipes() / "train.py").read_text()
    assert main(["cp", "train", "."]) == 0
    assert main(["cp", "consistency", "my_score.py"]) == 0
    assert main(["cp", "curves", "my_panel.py"]) == 0
    assert all(Path(f"my_panel{suffix}").is_file() for suffix in (".py", ".html", ".css"))
    assert "class Consistency" in Path("my_score.py").read_text()
    assert (work_dir / "train.py").is_file()
    capsys.readouterr()
    assert main(["cp", "protopnet/digits", "mine.yaml"]) == 2
    one_line(capsys.readouterr().err, "cp")
    assert main(["cp", "nothing", "x"]) == 2
    assert main(["validate", "mine.yaml", "model.per_class=3"]) == 0


def test_validate(capsys, work_dir):
    assert main(["validate", "protopnet/digits", "seed=3"]) == 0
    assert "is valid" in capsys.readouterr().out
    for argv in (
        ["protopnet/digits", "model.per_clas=3"],
        ["protopnet/nowhere"],
        ["protopnet/digits", "phases.joint.lr.hed=1"],
    ):
        assert main(["validate", *argv]) == 2
        one_line(capsys.readouterr().err, "validate")
    assert list(work_dir.iterdir()) == []


def test_debug_shows_the_trace():
    with pytest.raises(ValueError, match="no config"):
        main(["validate", "protopnet/nowhere", "--debug"])


def test_options_may_stand_before_overrides(tiny, work_dir, capsys):
    assert main(["train", str(tiny), "seed=1", "--dry-run", "data.limit=20"]) == 0
    capsys.readouterr()


def test_dry_run_writes_nothing(tiny, work_dir, capsys):
    assert main(["train", str(tiny), "--dry-run"]) == 0
    assert "dry run" in capsys.readouterr().out
    assert list(work_dir.iterdir()) == []


def test_dry_run_finds_mistakes(tiny, work_dir, capsys):
    assert main(["train", str(tiny), "phases.joint.lr.adon=1", "--dry-run"]) == 2
    one_line(capsys.readouterr().err, "train")


def test_a_folder_in_use_is_refused(tiny, finished, capsys):
    before = (finished / "config.yaml").read_text()
    assert main(["train", str(tiny), "--out", str(finished)]) == 2
    err = capsys.readouterr().err
    one_line(err, "train")
    assert "--resume" in err
    assert "--overwrite" in err
    assert (finished / "config.yaml").read_text() == before
    assert (finished / "checkpoint").is_dir()


def test_a_folder_that_is_not_a_run_is_not_overwritten(tiny, work_dir, capsys):
    """``--overwrite`` replaces an older run, not whatever else stands there."""
    (work_dir / "thesis").mkdir()
    (work_dir / "thesis" / "chapter1.txt").write_text("years of work")
    assert main(["train", str(tiny), "--out", "thesis", "--overwrite"]) == 2
    assert "thesis" in capsys.readouterr().err
    assert (work_dir / "thesis" / "chapter1.txt").is_file()


def test_files_of_a_run(finished):
    assert {p.name for p in finished.iterdir()} == {
        "config.yaml",
        "inputs.yaml",
        "data.json",
        "log.csv",
        "phases",
        "checkpoint",
        "report.html",
    }
    assert "data:image/" in (finished / "report.html").read_text()


def test_evaluate(finished, work_dir, capsys):
    argv = ["evaluate", str(finished), "--out", "scores", "data.limit=20"]
    assert main(argv) == 0
    assert "accuracy" in capsys.readouterr().out.lower()
    assert {p.name for p in (work_dir / "scores").iterdir()} >= {"metrics.json", "report.html"}
    result = json.loads((work_dir / "scores" / "metrics.json").read_text())
    assert {"seed", "data", "versions", "command", "units"} <= result.keys()
    assert all(one["protocol"] and "support" in one for one in result["scores"].values())
    assert main(argv) == 2
    one_line(capsys.readouterr().err, "evaluate")


def test_sources_are_shown_only_if_the_data_have_them(finished, work_dir):
    import zoo
    from zoo.evaluation.units import gallery

    model, args = zoo.load(str(finished)), {"size": 16, "limit": 60, "seed": 3}
    units = range(len(model.units))
    assert len(gallery.sources(model, zoo.create_data("digits", **args), units)) == len(units)
    divided_otherwise = zoo.create_data("digits", **{**args, "seed": 9})
    other = gallery.sources(model, divided_otherwise, units)
    assert len(other) < len(units)


def test_explain(finished, work_dir, capsys):
    assert main(["explain", str(finished), "3"]) == 0
    assert len(list((work_dir / "runs" / "explain").glob("*.html"))) == 1
    for wrong, words in (("60", "samples 0 to 59"), ("nowhere.png", "nowhere.png")):
        assert main(["explain", str(finished), wrong]) == 2
        err = capsys.readouterr().err
        one_line(err, "explain")
        assert words in err


def test_explain_a_picture(finished, work_dir, capsys):
    from PIL import Image

    Image.new("RGB", (20, 10), "white").save(work_dir / "mine.png")
    assert main(["explain", str(finished), "mine.png", "--shown", "3"]) == 0
    assert "mine.png" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["evaluate", "explain"])
def test_unknown_checkpoint(verb, work_dir, capsys):
    assert main([verb, "protopnet-nothing", *(["0"] if verb == "explain" else [])]) == 2
    one_line(capsys.readouterr().err, verb)
    assert list(work_dir.iterdir()) == []


def test_finetune(finished, tiny, work_dir, capsys):
    assert main(["finetune", str(tiny)]) == 2
    one_line(capsys.readouterr().err, "finetune")
    start = [f"finetune.from={finished}", "finetune.replace=[head]"]
    assert main(["finetune", str(tiny), *start, "--dry-run"]) == 0
    assert main(["finetune", str(tiny), f"finetune.from={finished}", "finetune.replace=[hed]", "--dry-run"]) == 2
    assert "did you mean head" in capsys.readouterr().err
    assert list(work_dir.iterdir()) == []


def test_mixed_precision(tiny, work_dir, capsys):
    assert main(["train", str(tiny), "trainer.precision=bf16-mixed", "--dry-run"]) == 0
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.slow
def test_compile(tiny, work_dir):
    assert main(["train", str(tiny), "trainer.compile=true", "--dry-run"]) == 0


def test_the_command_itself(tmp_path):
    """``python -m zoo`` in a process of its own."""
    import subprocess
    import sys

    env = {**os.environ, "PYTHONPATH": str(paths.PACKAGE.parent)}
    for argv, code in ((["ls"], 0), (["cp", "nothing", "x"], 2), (["fly"], 2)):
        done = subprocess.run(
            [sys.executable, "-m", "zoo", *argv], cwd=tmp_path, env=env, capture_output=True, timeout=60
        )
        assert done.returncode == code, done.stderr
