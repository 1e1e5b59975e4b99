"""What reaches a terminal: no markup, no control characters, one line for an error, silence behind a closed pipe."""

import logging
import os
import subprocess
import sys
import warnings

import pytest

from zoo import paths
from zoo.cli import _main
from zoo.cli._output import plain_table, print_table, say
from zoo.cli._table import render
from zoo.runtime.signals import Terminated
from zoo.runtime.terminal import printable

NAMES = [
    "[/b]",
    "[red]x[/red]",
    ":smile:",
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "a\rb",
    "\u202eevil",
    "\udcff",
    "${HOME}",
]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_names_in_tables_and_lines(name, capsys):
    table = plain_table(name)
    table.add_column(name)
    table.add_row(name)
    print_table(table)
    say(f"unit {name}")
    out = capsys.readouterr().out
    assert out.count(printable(name)) == 4
    assert not any(c in out for c in "\x1b\x07\r\u202e\udcff")


def test_what_printable_keeps():
    assert printable("naïve 日本 −1.5 ─") == "naïve 日本 −1.5 ─"
    assert printable("a\nb\tc") == r"a\nb\tc"
    assert printable("a\nb\tc", lines=True) == "a\nb\tc"


def test_cells_keep_their_lines():
    table = plain_table()
    table.add_column("two\nlines")
    assert "two" in render(table)
    assert r"\n" not in render(table)


class Verb:
    """A module of ``zoo.cli`` whose ``run`` does what a test wants."""

    def __init__(self, run):
        self.run = run

    def add_arguments(self, parser):
        parser.add_argument("overrides", nargs="*")


@pytest.fixture
def verb(monkeypatch, capsys):
    """Run a function as ``zoo ls``; returns the exit code, standard output and standard error."""

    def call(run, *argv):
        monkeypatch.setattr(_main, "import_module", lambda name: Verb(run))
        code = _main.main(["ls", *argv])
        return code, *capsys.readouterr()

    return call


def fail(error, *notes):
    def run(args):
        for note in notes:
            error.add_note(note)
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("class '\x1b[31m' is\nno class"), r"class '\x1b[31m' is no class"),
        (OSError(28, "No space left on device", "runs/a"), "runs/a: No space left on device"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (FileNotFoundError(2, "No such file or directory", "x.csv"), "x.csv: No such file or directory"),
        (MemoryError(), "out of memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "[enforce fail] Default"),
        (ConnectionError("another process of the run has ended"), "another process of the run has ended"),
    ],
)
def test_errors_of_users_are_one_line(verb, error, line):
    code, out, err = verb(fail(error))
    assert (code, out) == (2, "")
    assert err.startswith(f"zoo ls: {line}")
    assert err.count("\n") == 1


def test_notes_of_an_error(verb):
    error = OSError(28, "No space left on device", "a")
    assert verb(fail(error, "resume with: x"))[2] == "zoo ls: a: No space left on device; resume with: x\n"


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("x"), RuntimeError("x"), RecursionError("x")])
def test_a_mistake_of_zoo_is_a_traceback(verb, error):
    with pytest.raises(type(error)):
        verb(fail(error))


@pytest.mark.parametrize(
    ("error", "code", "line"), [(KeyboardInterrupt, 130, "stopped"), (Terminated, 143, "terminated")]
)
def test_interrupted(verb, error, code, line):
    assert verb(fail(error())) == (code, "", f"zoo ls: {line}\n")


def test_sigterm_ends_a_command(verb):
    def run(args):
        os.kill(os.getpid(), 15)

    assert verb(run) == (143, "", "zoo ls: terminated\n")


def test_messages_and_warnings_are_one_line_each(verb):
    def run(args):
        logging.getLogger("zoo").info("column %s", "a\x1b[2J")
        sys.stderr.write(warnings.formatwarning("two\nlines \x1b", UserWarning, "file.py", 3))

    assert verb(run) == (0, "column a\\x1b[2J\n", "zoo ls: warning: two lines \\x1b\n")
    assert logging.getLogger("zoo").handlers == []


def shell(command, **options):
    env = {**os.environ, "PYTHONPATH": str(paths.PACKAGE.parent), **options}
    python = f"'{sys.executable}' -m zoo"
    return subprocess.run(["bash", "-c", command.replace("zoo", python, 1)], env=env, capture_output=True, timeout=60)


def test_a_closed_pipe_is_quiet():
    done = shell("set -o pipefail; zoo ls | head -1")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"\n") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output():
    done = shell("zoo ls > /dev/full")
    assert done.returncode == 2
    assert done.stderr == b"zoo ls: [Errno 28] No space left on device\n"


def test_a_terminal_of_ascii():
    done = shell("zoo show folder", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, b"")
