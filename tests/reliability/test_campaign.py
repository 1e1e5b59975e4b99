"""The campaign itself finds what it looks for; the campaign is run with ``make campaign``."""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parent))

import campaign
import child
import families
import fuzz
import pages
from child import Child, complaint

FINE = "zoo train: a.csv is missing\n"


def test_one_clear_line():
    assert complaint(FINE) is None
    assert complaint(f"zoo train: warning: x\n{FINE}") is None
    assert complaint(FINE * 2) == "2 lines of error"
    assert complaint("") == "0 lines of error"
    assert complaint("Traceback (most recent call last)\n  x\nKeyError: 'a'\n") == "traceback: KeyError: 'a'"


def test_exit_codes_and_signals(tmp_path):
    log = tmp_path / "log"
    assert Child(["show", "blackbox/digits"], log).wait() == 0
    nothing = Child(["show", "nothing"], log)
    assert (nothing.wait(), complaint(nothing.text)) == (2, None)
    assert Child(["ls"], log, hook=lambda: time.sleep(60)).wait(kill_at=0.1) == -signal.SIGKILL


@pytest.mark.parametrize("wait", [lambda: time.sleep(60), lambda: [0 for _ in iter(int, 1)]], ids=["waiting", "busy"])
def test_a_hang(tmp_path, monkeypatch, wait):
    monkeypatch.setattr(child, "SILENCE", 0.5)
    assert Child(["ls"], tmp_path / "log", hook=wait).wait() == "hang"


def test_two_runs_are_compared(finished, tmp_path):
    same = shutil.copytree(finished, tmp_path / "same")
    assert families.difference(finished, same) == ""
    (same / ".checkpoint.ab").mkdir()
    assert families.difference(finished, same) == "leftover .checkpoint.ab"
    (same / ".checkpoint.ab").rmdir()
    log = same / "log.csv"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join([*lines, lines[1]]))
    assert families.difference(finished, same) == "log.csv repeats a line"
    log.write_text("".join(lines))
    file = same / "phases" / "0-warm.safetensors"
    state = load_file(file)
    state["head.weight"] = state["head.weight"].nextafter(torch.tensor(torch.inf))
    save_file(state, file)
    assert families.difference(finished, same) == "phases/0-warm.safetensors differs"
    file.unlink()
    assert families.difference(finished, same) == "other files of weights"


@pytest.fixture
def work(tmp_path):
    return campaign.Work(tmp_path)


def test_fuzz_notes_what_goes_wrong(work, monkeypatch):
    def crash(base, rng):
        os._exit(7)

    def raise_(base, rng):
        raise KeyError("x")

    monkeypatch.setattr(fuzz, "_base", lambda work: work.root)
    monkeypatch.setattr(fuzz, "KINDS", ("good", "bad", "worse"))
    monkeypatch.setattr(fuzz, "try_good", lambda base, rng: ("same result", ""), raising=False)
    monkeypatch.setattr(fuzz, "try_bad", raise_, raising=False)
    monkeypatch.setattr(fuzz, "try_worse", crash, raising=False)
    outcomes = fuzz.batch(work, 0, 5, 0)
    assert [name for name, *_ in outcomes] == [f"fuzz {k} {n}" for n, k in enumerate(["good", "bad", "worse"] * 2)][:5]
    assert [outcome for _, outcome, _ in outcomes] == ["same result", "failed", "failed", "same result", "failed"]
    assert outcomes[1][2].startswith("KeyError at test_campaign.py:")
    assert outcomes[2][2] == "exit code 7"


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("<title>a</title><p>&lt;script&gt;</p><img src='data:x'><a href='#b'>", []),
        ("<script>x</script>", []),  # the page's own
        ("<script>x</script><script>y</script>", ["<script >"]),
        ("<script src='x'></script>", ["<script src>"]),
        ("<p onclick='x'>", ["<p onclick>"]),
        ("<img src='http://a'>", ["<img src>"]),
        ("<meta http-equiv=Refresh content=0>", ["<meta http-equiv content>"]),
    ],
)
def test_elements_that_no_page_has(page, found):
    elements = pages.Elements()
    elements.feed(page)
    assert elements.foreign == found


def test_the_table():
    outcomes = [("kill a 0", "same result", ""), ("fuzz csv 1", "failed", "x"), ("fuzz csv 2", "one clear line", "")]
    lines = campaign.table(outcomes).splitlines()
    assert lines[2] == "| runs killed at random moments and at named ones, then resumed | 1 | 1 | 0 | 0 | 0 |"
    assert lines[3] == "| damaged or odd csv | 2 | 0 | 1 | 0 | 1 |"
    assert lines[4] == "| **all** | 3 | 1 | 1 | 0 | 1 |"
