"""Runs exported files as a user does: without zoo, in another process."""

import json
import subprocess
import sys

# Runs files on inputs in an interpreter with only the standard library.
DRIVER = """
import json, sys
for file, inputs in json.load(sys.stdin):
    space = {"__name__": "exported"}
    exec(compile(open(file).read(), file, "exec"), space)
    results = []
    for words in inputs:
        try:
            results.append([space["run"](words), space["scores"](words)])
        except ValueError as error:
            results.append(["ValueError", str(error)])
    print(json.dumps(results))
"""


def exported(jobs, folder):
    """Return answers and scores of files on lists of words, computed by another process in an empty folder."""
    empty = folder / "empty"
    empty.mkdir()
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", DRIVER], input=json.dumps(jobs), capture_output=True, text=True, cwd=empty
    )
    assert done.returncode == 0, done.stderr
    assert list(empty.iterdir()) == []
    return [json.loads(line) for line in done.stdout.splitlines()]
