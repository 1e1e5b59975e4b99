"""The units that a score picks for an edit."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.data.base import Data, SplitName
from zoo.evaluation.scoring import score
from zoo.model import SelfExplaining
from zoo.registry import SCORES


def stored_values(metrics: Mapping[str, Any], by: str, units: int) -> Tensor | None:
    """Return the values ``(u,)`` of a score that ``metrics.json`` holds for each unit; None if it holds none.

    Args:
        metrics: of a checkpoint, or of an evaluation.
        by: name of the score.
        units: u.
    """
    vectors = metrics.get("units", {}).get(by) if isinstance(metrics.get("units"), Mapping) else None
    for values in vectors.values() if isinstance(vectors, Mapping) else ():
        numbers = [float("nan") if value is None else value for value in values] if isinstance(values, list) else []
        if len(numbers) == units and all(isinstance(value, int | float) for value in numbers):
            return torch.tensor(numbers, dtype=torch.float64)
    return None


def measured_values(
    model: SelfExplaining, data: Data, by: str, *, accelerator: str = "auto", progress: bool = False
) -> tuple[Tensor, SplitName]:
    """Return the values ``(u,)`` of a score for each unit and the split they are measured on.

    That is the validation split, or without one the training split: the test split only reports.

    Raises:
        ValueError: if there is no such score, it does not apply, or it has no value for each unit.
    """
    SCORES.check_name(by)
    with tempfile.TemporaryDirectory() as folder:
        suite = Path(folder) / "suite.yaml"
        suite.write_text(f"- {{score: {by}}}\n", encoding="utf-8")
        split: SplitName = "val" if len(data.splits["val"]) else "train"
        results = score(model, data, str(suite), split=split, accelerator=accelerator, progress=progress)
    result = results[by]
    if result.value is None:
        raise ValueError(f"by is {by!r}, which does not apply to this model and data: {result.note}")
    values = result.per_unit.get(result.unit_pass_rate)
    if values is None or len(values) != len(model.units):
        raise ValueError(f"by is {by!r}, a score without a value for each unit; expected one such as consistency")
    return values.double(), split


def worst_units(values: Tensor, count: int, names: Sequence[str]) -> list[str | int]:
    """Return the ``count`` units of the lowest values, lowest first, by name where that is unique.

    Args:
        values: ``(u,)``; NaN for a unit that the score cannot judge, which is never picked.
        count: number of units.
        names: of all units.

    Raises:
        ValueError: if fewer units have a value.

    Example:
        >>> worst_units(torch.tensor([0.5, torch.nan, 0.1]), 2, ["a", "b", "c"])
        ['c', 'a']
    """
    known = int(values.isfinite().sum())
    if not 1 <= count <= known:
        raise ValueError(f"worst is {count}; expected 1 to {known}, the number of units that the score can judge")
    order: list[int] = values.nan_to_num(torch.inf).argsort(stable=True)[:count].tolist()
    known_names: list[str] = list(names)
    return [known_names[i] if known_names.count(known_names[i]) == 1 else f"#{i}" for i in order]
