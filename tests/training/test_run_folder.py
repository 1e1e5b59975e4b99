"""One process owns a run folder, and a run is continued with its own config and data alone."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from zoo import paths
from zoo.cli import main
from zoo.training.loggers import COLUMNS, read_log, rewind_log
from zoo.training.run import load_config
from zoo.training.run_folder import LOCK, RunFolder, lock, unlock

CASES = Path(__file__).parents[1] / "cases"

TABLE = """\
model: {name: bilinear_mlp, num_classes: 2, width: 8}
data: {name: table, file: rows.csv, target: y, batch_size: 16, limit: 60}
phases: {joint: {epochs: 2, lr: {embed: 3e-3, layers: 3e-3, head: 3e-3}}}
trainer: {accelerator: cpu}
suite: quick
"""


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A run of a small table in the current folder: ``main(["train", "table.yaml", "--out", "run"])``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.yaml").write_text(TABLE)
    shutil.copy(CASES / "resume" / "ch_a.csv", tmp_path / "rows.csv")
    return tmp_path


def run(*options):
    return main(["train", "table.yaml", "--out", "run", *options])


def test_other_labels_are_refused_on_resume(table, capsys):
    assert run() == 0
    weights = load_file(table / "run/checkpoint/model.safetensors")
    shutil.copy(CASES / "resume" / "ch_b.csv", table / "rows.csv")
    assert run("--resume") == 2
    error = capsys.readouterr().err
    assert error.startswith("zoo train: the data differ from those that run was started with")
    assert error.count("\n") == 1
    shutil.copy(CASES / "resume" / "ch_a.csv", table / "rows.csv")
    assert run("--resume", "data.workers=1") == 0, "workers may change"
    again = load_file(table / "run/checkpoint/model.safetensors")
    assert all(weights[key].equal(again[key]) for key in weights)
    assert run("--resume", "data.batch_size=8") == 2
    assert "data.batch_size: 16 there, 8 now" in capsys.readouterr().err


HOLD = "import sys,time; from zoo.training.run_folder import lock; from pathlib import Path; "
HOLD += "f = lock(Path(sys.argv[1])); print('locked', flush=True); time.sleep(60)"


def hold(folder):
    env = {**os.environ, "PYTHONPATH": str(paths.PACKAGE.parent)}
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout.readline() == "locked\n"
    return process


@pytest.mark.slow
def test_a_second_process_is_refused_before_data_are_read(table, capsys):
    (table / "run").mkdir()
    owner = hold(table / "run")
    try:
        (table / "rows.csv").unlink()  # reading it would be another error
        assert run("--resume") == 2
        error = capsys.readouterr().err
        assert error.startswith(f"zoo train: run is in use by process {owner.pid} on ")
        assert error.count("\n") == 1
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert (table / "run" / LOCK).is_file(), "left by the killed process"
    shutil.copy(CASES / "resume" / "ch_a.csv", table / "rows.csv")
    assert run() == 0, "a stale lock does not count"
    assert not (table / "run" / LOCK).exists()


def test_two_runs_of_one_process(tmp_path):
    file = lock(tmp_path)
    for _ in range(2):
        with pytest.raises(ValueError, match="is in use by another run of this process"):
            lock(tmp_path)
    unlock(tmp_path, file)
    unlock(tmp_path, lock(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_run_that_never_began(table, capsys):
    (table / "rows.csv").unlink()
    assert main(["train", "table.yaml", "--out", "a/b/run"]) == 2
    assert not (table / "a").exists()
    assert main(["train", "table.yaml", "--out", "x" * 300]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == f"zoo train: {'x' * 300}: File name too long"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
def test_a_folder_that_cannot_be_made(table, capsys):
    assert main(["train", "table.yaml", "--out", "/proc/run"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("zoo train: /proc/run: ")
    assert error.count("\n") == 1


def test_leftovers_are_removed(table):
    assert run() == 0
    folder = table / "run"
    (folder / ".checkpoint.ab12").mkdir()
    (folder / ".checkpoint.ab12" / "model.safetensors").write_bytes(b"half")
    for name in ("config.yaml.part", ".inputs.yaml.part", ".report.html.99", "phases/0-joint.ckpt.part"):
        (folder / name).write_text("half")
    assert run("--resume") == 0
    names = [str(p.relative_to(folder)) for p in folder.rglob("*")]
    assert [name for name in names if name.startswith(".") or "part" in name] == []


def test_an_older_run_is_overwritten_while_it_is_locked(table):
    assert run() == 0
    assert run("--overwrite", "seed=1") == 0
    with RunFolder(table / "run", command="zoo train x", overwrite=True):
        assert (table / "run" / LOCK).is_file()


def test_how_to_resume(table):
    def fail():
        with RunFolder(table / "my run", command="zoo train x") as folder:
            folder.open(load_config("table.yaml"))
            raise OSError("full")

    with pytest.raises(OSError, match="full") as error:
        fail()
    assert error.value.__notes__ == ["resume with: zoo train x --out '" + str(table / "my run") + "' --resume"]


def test_lines_that_a_resumed_run_writes_again(tmp_path):
    file = tmp_path / "log.csv"
    rows = [
        ("warm", "9", "1.0", "train/loss", "0.5"),
        ("warm", "", "2.0", "seconds", "3"),
        ("joint", "3", "3.0", "val/accuracy", "0.7"),
        ("joint", "4", "4.0", "train/loss", "0.4"),
        ("joint", "", "5.0", "project/mean distance", "0.1"),
        ("last", "0", "6.0", "train/loss", "0.3"),
    ]
    whole = "".join(",".join(row) + "\r\n" for row in (COLUMNS, *rows))
    for finished, running, step, kept in (
        (["warm"], "joint", 4, rows[:3]),
        (["warm"], None, 0, rows[:2]),
        ([], None, 0, []),
        (["warm", "joint", "last"], None, 0, rows),
    ):
        for cut in ("", "last,1,7.0,train/loss,0.2", "jo"):
            file.write_text(whole + cut, newline="")
            rewind_log(file, finished, running, step)
            assert [tuple(line.values()) for line in read_log(file)] == kept
            assert file.read_bytes().endswith(b"\r\n")
    rewind_log(tmp_path / "none.csv", [])
    assert not (tmp_path / "none.csv").exists()
