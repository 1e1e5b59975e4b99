"""Keyword arguments that ``zoo.train`` and ``zoo.finetune`` share, for type checkers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from torch import nn


class TrainOptions(TypedDict, total=False):
    """Options of a training run; see ``zoo.train``. The keys from ``model`` on are those of a config."""

    overrides: Sequence[str]
    out: str | Path | None
    resume: bool
    overwrite: bool
    dry_run: bool
    progress: bool
    command: str | None
    model: Mapping[str, Any]
    data: Any
    class_names: Sequence[str] | None
    backbone: nn.Module | None
    task: Mapping[str, Any]
    phases: Mapping[str, Any]
    finetune: Mapping[str, Any]
    reference: str | None
    suite: str
    trainer: Mapping[str, Any]
    seed: int
