"""Groups of seeds: the table by hand, runs equal to single runs, and a killed group that continues."""

import csv
import json
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import zoo
from zoo.cli import main
from zoo.config.seed_group import expand, is_finished, members, split_seeds
from zoo.recipe_support.recipe_results import SeedsResult, TrainResult
from zoo.recipe_support.seed_runs import summary

CONFIG = """\
model: {name: bilinear_mlp, num_classes: 10, width: 8, patterns: 2}
data: {name: digits, size: 8, channels: 1, batch_size: 16, augment: none, limit: 60}
phases: {joint: {epochs: 3, lr: {embed: 1e-2, layers: 1e-2, head: 1e-2}}}
suite: SUITE
trainer: {accelerator: cpu}
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    (folder / "suite.yaml").write_text("- accuracy\n- effective_units\n- concept_accuracy\n")
    (folder / "small.yaml").write_text(CONFIG.replace("SUITE", str(folder / "suite.yaml")))
    return folder / "small.yaml"


@pytest.fixture(scope="module")
def group(small):
    result = zoo.train(small, seeds=[2, 0], out=small.parent / "group")
    assert isinstance(result, SeedsResult)
    return result


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["seeds=[]"], "seeds is '.]'"),
        (["seeds=3"], "seeds is '3'; expected different whole numbers"),
        (["seeds=[1,1]"], r"seeds is \[1, 1\]"),
        (["seeds=[-1]"], "seeds is"),
        (["seeds=[a]"], "seeds is"),
        (["seeds=[0]", "seeds=[1]"], "given twice"),
        (["seeds=[0,1]", "seed=3"], r"seed=3 and seeds=\[0, 1\]"),
    ],
)
def test_seeds_that_are_no_list_of_numbers(overrides, words):
    with pytest.raises(ValueError, match=words):
        split_seeds(overrides)


def test_seeds_are_split_from_the_other_overrides():
    assert split_seeds(["a=1", "seeds=[ 4, 2 ]", "~b"]) == ((4, 2), ["a=1", "~b"])
    assert split_seeds(["seed=1"]) == (None, ["seed=1"])


def test_mean_and_spread_by_numpy():
    values = np.array([0.5, 0.9, 0.7])
    scores = {
        seed: {
            "accuracy": {"value": value, "protocol": "top1"},
            "purity": {"value": None if seed == 8 else 0.25, "protocol": "p", "note": "n/a: no parts" * (seed == 8)},
            "leakage": {"value": None, "protocol": "l", "note": "n/a: no concepts"},
            "mixed": {"value": 1.0, "protocol": f"m{seed > 7}"},
        }
        for seed, value in zip((7, 8, 9), values.tolist(), strict=True)
    }
    result = summary("group", "digits", scores, None)
    assert result.seeds == (7, 8, 9)
    assert result.scores["accuracy"].value == pytest.approx(values.mean())
    assert result.spread["accuracy"] == pytest.approx(values.std(ddof=1))
    assert result.scores["purity"].value == 0.25
    assert result.scores["purity"].support == 2
    rows = {row.name: row for row in result.rows}
    assert rows["accuracy"].value == "0.7 ± 0.2"
    assert rows["accuracy"].note == "0.5, 0.9, 0.7"
    assert rows["purity"].note == "0.25, n/a, 0.25; seed 8: n/a: no parts"
    assert rows["leakage"].value == "n/a: no concepts"
    assert rows["mixed"].note.endswith("protocols differ")
    assert result.metrics is None
    assert result.runs == {}


def test_each_run_is_the_run_of_its_seed(group, small, tmp_path):
    assert group.seeds == (2, 0)
    assert list(members(group.folder)) == [0, 2]
    single = zoo.train(small, seed=2, out=tmp_path / "single")
    assert isinstance(single, TrainResult)
    assert single.checkpoint is not None
    one, two = (load_file(run / "model.safetensors") for run in (single.checkpoint, group.runs[2] / "checkpoint"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)
    other = load_file(group.runs[0] / "checkpoint" / "model.safetensors")
    assert not all(torch.equal(one[key], other[key]) for key in one)
    assert group.by_seed["accuracy"][2] == single.scores["accuracy"].value


def test_the_table_on_disk(group):
    record = json.loads(group.metrics.read_text())
    values = [record["scores"]["accuracy"]["seeds"][seed] for seed in ("2", "0")]
    assert record["scores"]["accuracy"]["mean"] == pytest.approx(np.mean(values))
    assert record["scores"]["accuracy"]["spread"] == pytest.approx(np.std(values, ddof=1))
    assert record["scores"]["concept_accuracy"]["mean"] is None
    rows = list(csv.DictReader((group.folder / "seeds.csv").read_text().splitlines()))
    assert float(rows[0]["seed 2"]) == values[0]
    assert [row["score"] for row in rows] == list(record["scores"])


def test_a_group_is_continued_not_trained_again(small, tmp_path):
    out = tmp_path / "group"
    zoo.train(small, seeds=[0], out=out)
    weights = out / "seed-0" / "checkpoint" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    with pytest.raises(ValueError, match=r"seed-0 exists; add --resume to continue the group"):
        zoo.train(small, seeds=[0, 1], out=out)
    result = zoo.train(small, seeds=[0, 1], out=out, resume=True)
    assert weights.stat().st_mtime_ns == before
    assert list(result.by_seed["accuracy"]) == [0, 1]
    with pytest.raises(ValueError, match=r"seed-0 was trained with another config \(phases.joint.epochs: 3 there"):
        zoo.train(small, seeds=[0, 1], out=out, resume=True, phases={"joint": {"epochs": 9}})
    zoo.train(small, seeds=[0, 1], out=out, overwrite=True)
    assert weights.stat().st_mtime_ns != before


@pytest.mark.slow
def test_killed_within_a_run_and_resumed_is_bit_identical(processes, small, group, tmp_path):
    out = tmp_path / "group"
    argv = ["train", str(small), "seeds=[2,0]", "--out", str(out)]
    assert processes.run("cli", argv, {"phase": "joint", "step": 6}) == -signal.SIGKILL
    assert not is_finished(out / "seed-2")
    assert not (out / "seed-0").exists()
    steps = tmp_path / "steps"
    assert processes.run("cli", [*argv, "--resume"], {"steps": str(steps)}) == 0
    assert "joint 1\n" in steps.read_text()  # of seed 0; seed 2 continues behind its last checkpoint
    assert steps.read_text().count("joint 1\n") == 1
    for seed in (2, 0):
        one, two = (load_file(run / f"seed-{seed}" / "checkpoint" / "model.safetensors") for run in (group.folder, out))
        assert all(torch.equal(one[key], two[key]) for key in one)
    assert json.loads((out / "seeds.json").read_text()) == json.loads(group.metrics.read_text())


def test_evaluate_a_group(group, tmp_path, capsys):
    result = zoo.evaluate(group.folder, suite=str(group.folder.parent / "suite.yaml"), out=tmp_path / "scores")
    assert isinstance(result, SeedsResult)
    assert result.by_seed["accuracy"] == dict(sorted(group.by_seed["accuracy"].items()))
    file = tmp_path / "scores" / "seed-0" / "metrics.json"
    before = file.stat().st_mtime_ns
    argv = ["evaluate", str(group.folder), "--suite", str(group.folder.parent / "suite.yaml"), "--out"]
    assert main([*argv, str(tmp_path / "scores"), "--resume"]) == 0
    assert file.stat().st_mtime_ns == before
    assert "2 seeds: mean ± standard deviation" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(ValueError, match="is another evaluation"):
        zoo.evaluate(group.folder, suite="quick", out=tmp_path / "scores", resume=True)
    with pytest.raises(ValueError, match="add --overwrite"):
        zoo.evaluate(group.folder, suite=str(group.folder.parent / "suite.yaml"), out=tmp_path / "scores")


def test_compare_and_other_verbs_of_a_group(group, tmp_path, capsys):
    assert expand([str(group.folder), "cbm-digits"]) == [*map(str, members(group.folder).values()), "cbm-digits"]
    assert main(["compare", str(group.folder), "--dry-run"]) == 0
    assert "seed-0" in capsys.readouterr().out
    assert main(["explain", str(group.folder), "3"]) == 2
    assert "is a group of 2 seeds; name one of its runs, such as" in capsys.readouterr().err


def test_ls_shows_a_group_in_one_line(group, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").symlink_to(group.folder.parent)
    assert main(["ls", "runs/group"]) == 0
    assert capsys.readouterr().out.split("\n")[1].split(maxsplit=1) == ["runs/group", "2 seeds (0, 2), finished"]


def test_dry_run_and_what_a_group_cannot_do(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = zoo.train(small, seeds=[0, 1], dry_run=True)
    assert result.folder is None
    assert list(result.by_seed["accuracy"]) == [0, 1]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="trained on one device"):
        zoo.train(small, seeds=[0], trainer={"devices": 2})
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("seed: 0\n")
    with pytest.raises(ValueError, match="holds a single run"):
        zoo.train(small, seeds=[0], out="run")
