"""The facts printed with every result: model, data and its hash, command, training time, hardware, versions."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from zoo import __version__
from zoo.config import Settings
from zoo.data.base import Data
from zoo.training.loggers import read_log


def run_facts(
    config: Settings,
    data: Data,
    command: str,
    *,
    log: Path | None = None,
    read: bool = True,
    chosen: Sequence[str] = (),
) -> dict[str, str]:
    """Return the facts of a run by name.

    Args:
        config: of the run.
        data: what was read; an unavailable source has no hash.
        command: the command line.
        read: whether the data were read; otherwise they have no hash.
        log: ``log.csv`` of the training, for its duration; None if nothing was trained.
        chosen: lines on what was chosen on the validation split, see ``zoo.training.fit_task``.
    """
    backbone = f" on {config.model.backbone}" if config.model.get("backbone") else ""
    identity = "not read"
    if read:
        identity = f"hash {data.fingerprint()}, {data.support('test')}" if data.is_available else "not available"
    facts = {
        "model": f"{config.model.name}{backbone}",
        "data": f"{config.data.name} ({data.license}), {identity}",
        "command": command,
    }
    if log is not None:
        seconds = sum(float(line["value"]) for line in read_log(log) if line["name"] == "seconds")
        facts["training"] = f"{seconds / 60:.1f} min"
    if read and data.is_available and (balance := data.model_task.describe_data(data.output_names)):
        facts["classes"] = balance
    if chosen:
        facts["calibration"] = "; ".join(chosen)
    cpu = f"{os.cpu_count()} CPU cores, {platform.machine()}"
    facts["hardware"] = torch.cuda.get_device_name() if torch.cuda.is_available() else cpu
    facts["versions"] = f"zoo {__version__}, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}"
    return facts
