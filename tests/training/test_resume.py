"""Killed anywhere, then resumed: the same bits as an uninterrupted run, and no finished step is done again."""

import signal

import pytest
import torch
from safetensors.torch import load_file

from zoo.cli import main
from zoo.training.loggers import read_log

STEPS = {"warm": 8, "joint": 12}  # four steps an epoch; a checkpoint behind each epoch and every three steps
KILL, INT, TERM = signal.SIGKILL, signal.SIGINT, signal.SIGTERM
COMMON = {  # causes of the default run, in their order; the others follow with -m slow
    "SIGTERM before the end of a phase",
    "between two phases",
    "in an epoch",
    "in the middle of its second save",
    "Ctrl-C in an epoch",
}
DEATHS = [  # how it dies, exit code, first step after that; each begins where the one before has died
    ("before the first checkpoint", dict(phase="warm", step=2, signal=KILL), -KILL, ("warm", 1)),
    ("in a cached phase", dict(phase="warm", step=7, signal=KILL), -KILL, ("warm", 7)),
    ("SIGTERM before the end of a phase", dict(phase="warm", step=7, signal=TERM), 143, None),
    ("between two phases", dict(between="0-warm"), -KILL, ("joint", 1)),
    ("just behind an epoch", dict(phase="joint", step=5, signal=KILL), -KILL, ("joint", 5)),
    ("in an epoch", dict(phase="joint", step=7, signal=KILL), -KILL, ("joint", 7)),
    ("in the middle of its second save", dict(saving=2), -KILL, ("joint", 9)),
    ("Ctrl-C in an epoch", dict(phase="joint", step=10, signal=INT), 130, ("joint", 12)),
    ("after projection", dict(between="2-project"), -KILL, None),
]


def tensors(run):
    return load_file(run / "checkpoint" / "model.safetensors")


def steps_of(file):
    return [(p, int(s)) for p, s in map(str.split, file.read_text().splitlines())] if file.exists() else []


def same(a, b):
    assert a.keys() == b.keys()
    assert [k for k in a if not torch.equal(a[k], b[k])] == []


@pytest.fixture(scope="module", params=["common causes", pytest.param("all causes", marks=pytest.mark.slow)])
def lives(request, processes, tiny, tmp_path_factory):
    """One run that dies of each cause in turn and is resumed each time: its folder, and each life's
    code, steps and checkpoints, and the causes."""
    out = tmp_path_factory.mktemp("killed") / "run"
    argv, result = ["train", str(tiny), "--out", str(out)], []
    deaths = [d for d in DEATHS if d[0] in COMMON or request.param == "all causes"]
    for n, how in enumerate([*(d[1] for d in deaths), {}]):
        file = out.with_name(f"steps{n}")
        code = processes.run("cli", argv, {**how, "steps": str(file), "bare": True})
        saved = [torch.load(f, weights_only=True) for f in (out / "phases").glob("*.ckpt")]
        result.append((code, steps_of(file), saved))
        argv = [*argv, "--resume"] if n == 0 else argv
    return out, result, deaths


def test_finished_steps_are_not_done_again(lives):
    _, result, deaths = lives
    assert [life[0] for life in result] == [*(code for _, _, code, _ in deaths), 0]
    assert [life[1][:1] for life in result[1:]] == [[first] if first else [] for *_, first in deaths]


def test_checkpoints_on_disk_are_whole(lives):
    none = {"before the first checkpoint", "between two phases", "after projection"}
    assert [len(saved) for _, _, saved in lives[1]] == [*(int(d[0] not in none) for d in lives[2]), 0]
    assert all({"state_dict", "loops", "optimizer_states"} <= s.keys() for life in lives[1] for s in life[2])


def test_killed_and_resumed_is_bit_equal(lives, finished):
    out, result, _ = lives
    assert result[-1][0] == 0
    for phase in ("0-warm", "1-joint", "2-project", "3-last"):
        mine, theirs = (load_file(run / "phases" / f"{phase}.safetensors") for run in (out, finished))
        same(mine, theirs)
    unnoted = {("warm", 8), ("joint", 11)}  # finished after a signal
    steps = {s for _, state, _ in result for s in state} | unnoted
    assert steps == {(p, s) for p, n in STEPS.items() for s in range(1, n + 1)}


def test_the_log_is_that_of_an_uninterrupted_run(lives, finished):
    """No line is repeated; a line written between a save and a kill may be missing, and here none is."""
    mine, theirs = (read_log(run / "log.csv") for run in (lives[0], finished))
    keys = [(line["phase"], line["step"], line["name"]) for line in mine]
    assert len(set(keys)) == len(keys)
    values = ({tuple(r[k] for k in ("phase", "step", "name", "value")) for r in log} for log in (mine, theirs))
    own, uninterrupted = ({row for row in rows if row[2] != "seconds"} for rows in values)
    assert own == uninterrupted


def test_nothing_half_written_is_left(lives):
    hidden = [str(p.relative_to(lives[0])) for p in lives[0].rglob("*") if p.name.startswith(".") or "part" in p.name]
    assert hidden == []


@pytest.mark.slow
def test_a_finished_run_is_not_trained_again(processes, tiny, finished, tmp_path):
    before = tensors(finished)
    argv = ["train", str(tiny), "--out", str(finished), "--resume"]
    assert processes.run("cli", argv, {"steps": str(tmp_path / "steps")}) == 0
    assert steps_of(tmp_path / "steps") == []
    same(tensors(finished), before)


def test_another_config_is_not_resumed(tiny, finished, capsys):
    argv = ["train", str(tiny), "--out", str(finished), "--resume", "phases.joint.epochs=9"]
    assert main(argv) == 2
    assert "phases.joint.epochs: 3 there, 9 now" in capsys.readouterr().err


def test_the_log_names_every_phase_once(finished):
    lines = read_log(finished / "log.csv")
    assert [line["phase"] for line in lines if line["name"] == "seconds"] == ["warm", "joint", "project", "last"]
    names = [line["name"] for line in lines]
    order = [names.index(n) for n in ("project/mean distance", "fit_head/kkt residual", "prune/left")]
    assert order == sorted(order)
    assert {"val/accuracy", "train/loss"} <= set(names)
