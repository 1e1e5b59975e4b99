"""The accuracy of the reference model, a black box on the same backbone, from its own finished run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo import checkpoint, paths
from zoo.config import Settings
from zoo.reporting.context import ScoreRow

TITLE = "black-box accuracy"
NOT_OF_THE_TEST_SPLIT = {  # arguments of data that change neither the test samples nor what they show
    "augment",
    "batch_size",
    "channels",
    "mean",
    "seed",
    "std",
    "val",
    "workers",
}


def reference_rows(config: Settings, out: Path) -> list[ScoreRow]:
    """Return the row of the reference model that ``config.reference`` names; none if it names none.

    Args:
        config: of the run.
        out: folder of the run; the run of the reference model may lie beside it.
    """
    if not config.reference:
        return []
    name = config.reference.replace("/", "-")
    runs = (Path(config.reference) / "checkpoint", out.parent / name / "checkpoint")
    for folder in (*runs, *(root / name for root in paths.checkpoints())):
        if (folder / "metrics.json").is_file():
            reference, metrics = checkpoint.read(folder)
            accuracy = metrics.get("scores", {}).get("accuracy")
            if accuracy is None or accuracy["value"] is None:
                break
            if difference := _other_data(reference, config):
                return [ScoreRow(TITLE, f"n/a: {name} is of other data ({difference})", accuracy["protocol"])]
            note = f"{_relation(reference, config)} ({name})"
            return [ScoreRow(TITLE, f"{accuracy['value']:.4g}", accuracy["protocol"], note)]
    return [ScoreRow(TITLE, f"n/a: run `zoo train {config.reference}` first", "")]


def _other_data(reference: Mapping[str, Any], config: Settings) -> str:
    """Return in what the test samples of the reference model differ from those of the run; empty if in nothing."""
    there, here = reference["data"], config.data
    keys = [key for key in sorted({*there, *here}) if key in there and key in here and key not in NOT_OF_THE_TEST_SPLIT]
    differences = [f"data.{key} {there[key]} there, {here[key]} here" for key in keys if there[key] != here[key]]
    classes = reference["model"].get("num_classes"), config.model.get("num_classes")
    if None not in classes and classes[0] != classes[1]:
        differences.append(f"{classes[0]} classes there, {classes[1]} here")
    return next(iter(differences), "")


def _relation(reference: Mapping[str, Any], config: Settings) -> str:
    """Return how the network of the reference model relates to that of the run."""
    keys = ("backbone", "backbone_level")
    same = all(reference["model"].get(key) == config.model.get(key) for key in keys)
    return "same backbone, linear head" if same else "another network on the same data"
