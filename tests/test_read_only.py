"""Folders and files that may not be written, or read, by another user than root: one line, exit code 2."""

import csv
import os
import random
import shutil
import tempfile
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from zoo.cli import main

NOBODY = 65534
CONFIG = """\
model: {name: bilinear_mlp, width: 4}
data: {name: table, file: t.csv, target: state, batch_size: 32}
phases: {joint: {epochs: 1, lr: {embed: 1e-2, layers: 1e-2, head: 1e-2}}}
trainer: {accelerator: cpu}
"""


@pytest.fixture(scope="module")
def folder():
    """A trained run, a folder ``locked`` that nobody may write to, and a file that nobody may read."""
    folder = Path(tempfile.mkdtemp(prefix="zoo-read-only-"))  # the folders of pytest are closed to other users
    draw = random.Random(0)
    with (folder / "t.csv").open("w", newline="") as file:
        rows = [[draw.random(), draw.random(), draw.choice(["ill", "well"])] for _ in range(60)]
        csv.writer(file).writerows([["a", "b", "state"], *rows])
    (folder / "mine.yaml").write_text(CONFIG)
    before = os.getcwd()
    os.chdir(folder)
    try:
        assert main(["train", "mine.yaml", "--out", "run"]) in (0, None)
        for verb in (["predict", "run", "t.csv", "-o", "warm.csv"], ["explain", "run", "0", "--out", "warm"]):
            assert main(verb) in (0, None)  # what they import is imported before the user changes
    finally:
        os.chdir(before)
    (folder / "secret.csv").write_text("a,b\n1,2\n")
    (folder / "secret.csv").chmod(0)
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    (folder / "locked").mkdir()
    (folder / "locked").chmod(0o555)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def as_nobody(folder, arguments):
    """Exit code and messages of a command that a user without rights runs in a forked process."""
    log = folder / "messages.txt"
    log.unlink(missing_ok=True)
    log.touch()
    log.chmod(0o666)
    pid = os.fork()
    if not pid:
        code = 99
        try:
            os.chdir(folder)
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            with log.open("w") as file, redirect_stderr(file), redirect_stdout(file):
                try:
                    code = main(arguments) or 0
                except BaseException:
                    traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), log.read_text()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "mine.yaml", "--out", "locked/run"],
        ["train", "mine.yaml", "--out", "locked"],
        ["predict", "run", "t.csv", "-o", "locked/answers.csv"],
        ["predict", "run", "t.csv", "-o", "locked/deep/answers.csv"],
        ["explain", "run", "0", "--out", "locked/page"],
        ["evaluate", "run", "--out", "locked/scores"],
        ["cp", "bilinear_mlp/table", "locked/copy.yaml"],
        ["predict", "run", "secret.csv", "-o", "open/answers.csv"],
        ["train", "mine.yaml", "data.file=secret.csv", "--out", "open/other"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_one_line_and_exit_code_2(folder, arguments):
    code, messages = as_nobody(folder, arguments)
    errors = [line for line in messages.splitlines() if line.startswith(f"zoo {arguments[0]}:")]
    assert (code, "Traceback" in messages) == (2, False), messages
    assert len([line for line in errors if "warning" not in line]) == 1, messages
    assert "Permission denied" in errors[-1]
    assert ("secret.csv" if "secret.csv" in " ".join(arguments) else "locked") in errors[-1]
    assert not [*(folder / "locked").iterdir(), *(folder / "open").iterdir()]
