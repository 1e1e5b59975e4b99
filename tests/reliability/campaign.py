"""Faults on purpose: kills, damaged files, full disks, lost processes, hostile names; each must cost one line at most.

``make campaign`` runs all of it; ``N=40 make campaign`` with 40 random kills of each family. An interrupted campaign
continues where it was: finished cases are in ``runs/campaign/results.jsonl`` until ``--fresh``.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["CUDA_VISIBLE_DEVICES"] = ""
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]

import torch

torch.set_num_threads(1)

import exports
import faults
import fuzz
import kills
import pages
from child import Child
from families import argv, difference

from zoo.data import create_data
from zoo.runtime.terminal import printable

PARTS = {"kill": kills, "fuzz": fuzz, "fault": faults, "page": pages, "export": exports}
TITLES = {
    "kill": "runs killed at random moments and at named ones, then resumed",
    "fuzz": "damaged or odd",
    "disk": "full disk, run resumed where there is room",
    "files": "files that may not grow, run resumed without the limit",
    "two": "two processes on one folder",
    "ddp": "distributed runs that lose a process, resumed",
    "page": "hostile names on pages, in headless Chromium",
    "export": "exported programs, on random and odd inputs",
}
OUTCOMES = ("same result", "one clear line", "skipped", "failed")


class Work:
    """A folder to work in, and uninterrupted runs to compare with."""

    def __init__(self, root):
        self.root = root
        self.count = 0
        self._references = {}

    def folder(self):
        """A path that does not exist yet."""
        self.count += 1
        return self.root / f"run{self.count}" / "run"

    def reference(self, family):
        """The folder of an uninterrupted run of a family, and the seconds that it took."""
        return self._reference(family, lambda out: [Child(argv(family, out), out.with_suffix(".log")).wait()])

    def ddp_reference(self, run):
        """The same of a run of two processes."""
        return self._reference("ddp", run)

    def _reference(self, name, run):
        if name not in self._references:
            out = self.root / f"whole-{name}" / "run"
            out.parent.mkdir()
            start = time.monotonic()
            codes = run(out)
            if any(codes):
                raise RuntimeError(f"the uninterrupted run of {name} ended with {codes}: {_logs(out)}")
            self._references[name] = out, time.monotonic() - start
            if reason := difference(out, out):
                raise RuntimeError(f"the uninterrupted run of {name} is not whole: {reason}")
        return self._references[name]


def _logs(out):
    return " ".join(file.read_text(errors="replace")[-300:] for file in out.parent.glob("run.*"))


def run(options, log):
    """Run the cases that are not in the log; yields the outcome of each: name, outcome, reason."""
    known = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    yield from (entry[1:] for entry in known)
    finished = {entry[0] for entry in known}
    create_data("digits").setup()  # read once, before any fork
    with tempfile.TemporaryDirectory(prefix="zoo-campaign-") as root:
        work = Work(Path(root))
        for part in options.only:
            for name, case, arguments in PARTS[part].cases(options):
                if f"{name} {options.seed} {options.fuzz}" in finished:
                    continue
                for outcome in _outcomes(work, name, case, arguments):
                    with log.open("a") as file:
                        file.write(json.dumps([f"{name} {options.seed} {options.fuzz}", *outcome]) + "\n")
                    yield outcome


def _outcomes(work, name, case, arguments):
    before = work.count
    (work.root / f"run{before + 1}").mkdir(exist_ok=True)
    try:
        result = case(work, *arguments)
    except Exception as error:  # of the campaign itself: it counts as a failure and the campaign goes on
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"line {last.lineno} of {Path(last.filename).name}"
        result = "failed", f"campaign: {type(error).__name__} in {place}: {error}"
    for n in range(before + 1, work.count + 1):
        shutil.rmtree(work.root / f"run{n}", ignore_errors=True)
    return result if isinstance(result, list) else [[name, *result]]


def group(name):
    """The row of the table that a case belongs to."""
    words = name.split()
    return f"fuzz {words[1]}" if words[0] == "fuzz" else words[0]


def table(outcomes):
    """The table as Markdown: tried, survived, failed."""
    rows = {}
    for name, outcome, _ in outcomes:
        rows.setdefault(group(name), Counter())[outcome] += 1
    order = {word: i for i, word in enumerate(TITLES)}
    lines = ["| | tried | same result | one clear line | skipped | failed |", "| --- | --- | --- | --- | --- | --- |"]
    for key in sorted(rows, key=lambda key: (order[key.split()[0]], key)):
        kind, _, what = key.partition(" ")
        title = f"{TITLES[kind]} {what}".strip()
        counts = [str(rows[key][outcome]) for outcome in OUTCOMES]
        lines.append(f"| {title} | {rows[key].total()} | {' | '.join(counts)} |")
    total = sum(rows.values(), Counter())
    lines.append(f"| **all** | {total.total()} | {' | '.join(str(total[outcome]) for outcome in OUTCOMES)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=int(os.environ.get("N") or 3), help="random kills of each family")
    parser.add_argument("--fuzz", type=int, default=1000, help="damaged and odd inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--fresh", action="store_true", help="forget the results of an earlier campaign")
    parser.add_argument("--log", type=Path, default=ROOT / "runs" / "campaign" / "results.jsonl")
    options = parser.parse_args()
    options.log.parent.mkdir(parents=True, exist_ok=True)
    if options.fresh:
        options.log.unlink(missing_ok=True)
    outcomes = []
    for name, outcome, reason in run(options, options.log):
        outcomes.append((name, outcome, reason))
        print(time.strftime("%H:%M:%S"), printable(f"{name}: {outcome} {reason}".rstrip()), flush=True)
    print(f"\n{table(outcomes)}\n")
    machine = f"{os.cpu_count()} CPU cores, {platform.system()} {platform.machine()}"
    print(f"{time.strftime('%Y-%m-%d')}, {machine}, torch {torch.__version__}, seed {options.seed}")
    return 1 if any(outcome == "failed" for _, outcome, _ in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
