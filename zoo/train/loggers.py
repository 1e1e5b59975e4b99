"""Where the numbers of a run are written: one JSON line each, only ever appended."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger, rank_zero_experiment
from pytorch_lightning.utilities.rank_zero import rank_zero_only


class JsonLines(Logger):
    """Append metrics to ``log.jsonl``; a resumed run goes on in the same file.

    Args:
        file: to append to.
        phase: name written with every line.
    """

    def __init__(self, file: Path, phase: str) -> None:
        super().__init__()
        self.file, self.phase = file, phase

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.file.name

    @property
    def version(self) -> str:
        """The phase."""
        return self.phase

    @property
    @rank_zero_experiment
    def experiment(self) -> JsonLines:
        """Itself: there is nothing behind it."""
        return self

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The run folder holds the whole config already."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """One line: phase, step, seconds since the epoch of Unix, and the metrics."""
        metrics = {k: v for k, v in metrics.items() if k != "epoch"}
        self.write(step=step, **metrics)

    @rank_zero_only
    def write(self, **entry: Any) -> None:
        """Append one line."""
        line = json.dumps({"phase": self.phase, "time": round(time.time(), 3), **entry})
        with self.file.open("a") as out:
            out.write(line + "\n")
