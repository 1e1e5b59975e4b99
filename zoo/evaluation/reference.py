"""The accuracy of the reference model, a black box on the same backbone, from its own finished run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo import checkpoint, paths
from zoo.config import Settings
from zoo.reporting.context import ScoreRow

TITLE = "black-box accuracy"


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
            note = f"{_comparability(reference, config)} ({name})"
            return [ScoreRow(TITLE, f"{accuracy['value']:.4g}", accuracy["protocol"], note)]
    return [ScoreRow(TITLE, f"n/a: run `zoo train {config.reference}` first", "")]


def _comparability(reference: Mapping[str, Any], config: Settings) -> str:
    """Return how the reference model's configuration relates to that of the run."""

    def equal(section: str, *keys: str) -> bool:
        return all(reference[section].get(key) == config[section].get(key) for key in keys)

    if not (equal("model", "num_classes") and equal("data", "name", "size")):
        return "other data: not comparable"
    if equal("model", "backbone", "backbone_level"):
        return "same backbone, linear head"
    return "another network on the same data"
