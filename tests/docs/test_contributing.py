"""The four walks of CONTRIBUTING.md, walked in an empty folder with what stands there and nothing else."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from zoo import paths

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
FILES = re.findall(r"```(?:python|toml|yaml)\n# (\S+)\n(.*?)```", TEXT, flags=re.S)
COMMANDS = "\n".join(re.findall(r"```sh\n(.*?)```", TEXT, flags=re.S)).splitlines()


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """The folder after its package was installed, and the environment in which zoo knows it."""
    folder = tmp_path_factory.mktemp("walk")
    (folder / "my_zoo").mkdir()
    (folder / "my_zoo" / "__init__.py").touch()
    for name, text in FILES:
        (folder / name).write_text(text)
    target = tmp_path_factory.mktemp("installed")
    assert COMMANDS[0].startswith("pip install ")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", *shlex.split(COMMANDS[0])[1:]]
    quiet = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--target", str(target)]
    subprocess.run([*pip, *quiet], cwd=folder, check=True, capture_output=True, timeout=180)
    path = os.pathsep.join([str(target), str(paths.PACKAGE.parent)])
    return folder, {**os.environ, "PYTHONPATH": path}


def run(walked, *arguments):
    folder, env = walked
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_commands_run_and_all_four_parts_are_used(walked):
    assert [line.split()[1] for line in COMMANDS[1:]] == ["ls", "validate", "train", "explain"]
    printed = "".join(run(walked, "-m", "zoo", *shlex.split(line)[1:]) for line in COMMANDS[1:])
    assert "linear_terms" in printed
    assert "Certainty" in printed
    report = (walked[0] / "runs/clouds/report.html").read_text()
    assert "Strongest term" in report
    assert re.search(r"Accuracy +0\.9\d", printed), "two clouds at a distance of 3 are easy to separate"


@pytest.mark.slow
def test_the_parts_pass_the_public_checks(walked):
    assert "3 passed" in run(walked, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_zoo.py")
