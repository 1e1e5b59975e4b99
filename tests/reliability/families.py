"""Seven families as runs of seconds, and whether two runs ended the same."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from zoo.training.loggers import read_log

COMMON = ("trainer.accelerator=cpu", "trainer.save_every=3", "reference=null")
DIGITS = ("data.limit=120", "data.batch_size=32")
WALKS = ("data.n_train=320", "data.n_val=32", "data.n_test=32", "data.batch_size=32")
FAMILIES = {
    "protopnet": ("protopnet/digits", *DIGITS, "data.size=16", "model.per_class=2", "phases.joint.epochs=4"),
    "cbm": ("cbm/digits", *DIGITS, "phases.concepts.epochs=4"),
    "cem": ("cem/digits", *DIGITS, "phases.joint.epochs=4"),
    "bilinear_mlp": ("bilinear_mlp/digits", *DIGITS, "phases.joint.epochs=8"),
    "codebook_transformer": ("codebook_transformer/tokfsm", *WALKS, "model.codes=50", "phases.joint.epochs=2"),
    "moex": ("moex/tokfsm", *WALKS, "phases.joint.epochs=2"),
    "transformer_program": ("transformer_program/hist", "data.limit=200", "phases.anneal.epochs=3"),
}


def argv(family, out):
    return ["train", *FAMILIES[family], *COMMON, "--out", str(out)]


def difference(one: Path, other: Path) -> str:
    """Return how two finished run folders differ; empty if weights, scores, inputs and log agree bit by bit."""
    for folder in (one, other):
        if not (folder / "report.html").is_file() or not (folder / "checkpoint/model.safetensors").is_file():
            return "no checkpoint or page"
    names = sorted(p.relative_to(one) for p in one.rglob("*.safetensors"))
    if names != sorted(p.relative_to(other) for p in other.rglob("*.safetensors")):
        return "other files of weights"
    for name in names:
        a, b = load_file(one / name), load_file(other / name)
        if a.keys() != b.keys() or any(not torch.equal(a[key], b[key]) for key in a):
            return f"{name} differs"
    scores = [json.loads((folder / "checkpoint/metrics.json").read_text())["scores"] for folder in (one, other)]
    if scores[0] != scores[1]:
        return "scores differ"
    for name in ("config.yaml", "inputs.yaml", "data.json"):
        texts = [(folder / name).read_bytes() if (folder / name).exists() else None for folder in (one, other)]
        if texts[0] != texts[1]:
            return f"{name} differs"
    return log_difference(one, other) or leftovers(other)


def log_difference(one: Path, other: Path) -> str:
    """Return how the logs differ; a line between a save and a kill may be missing, none may be repeated or other."""
    rows = [[(r["phase"], r["step"], r["name"], r["value"]) for r in read_log(f / "log.csv")] for f in (one, other)]
    keys = [row[:3] for row in rows[1]]
    if len(set(keys)) != len(keys):
        return "log.csv repeats a line"
    strange = {row for row in rows[1] if row[2] != "seconds"} - set(rows[0])
    return f"log.csv has {sorted(strange)[0]}, which the other has not" if strange else ""


def leftovers(folder: Path) -> str:
    left = [str(p.relative_to(folder)) for p in folder.rglob("*") if p.name.startswith(".") or p.name.endswith(".part")]
    return f"leftover {left[0]}" if left else ""
