"""Loggers of a run: one CSV file, and the experiment trackers that the config names."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, TextIO

from pytorch_lightning.loggers import MLFlowLogger, TensorBoardLogger, WandbLogger
from pytorch_lightning.loggers.logger import Logger, rank_zero_experiment
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from zoo.training.atomic_files import write_whole

COLUMNS = ("phase", "step", "time", "name", "value")


class CsvLog(Logger):
    """Appends metrics to one CSV file, a line for each number; a resumed run continues the same file.

    Columns: phase, step (empty for metrics of a method of the model), Unix time in seconds, name, value.

    Args:
        file: to append to.
        phase: name written with every line.
    """

    def __init__(self, file: Path, phase: str) -> None:
        super().__init__()
        self.file = file
        self.phase = phase
        self._out: TextIO | None = None  # kept open: opening costs as much as a step of a small model

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
    def experiment(self) -> CsvLog:
        """The logger itself."""
        return self

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run folder has the config."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append a line for each metric."""
        now = round(time.time(), 3)
        rows = [(self.phase, step, now, k, v) for k, v in metrics.items() if k != "epoch"]
        if not rows:
            return
        if self._out is None:
            self._out = self.file.open("a", newline="")
        writer = csv.writer(self._out)
        if not self._out.tell():
            writer.writerow(COLUMNS)
        writer.writerows(rows)
        self._out.flush()

    def finalize(self, status: str) -> None:
        """Close the file; what is logged later opens it again."""
        if self._out is not None:
            self._out.close()
            self._out = None


def rewind_log(file: Path, finished: Collection[str], running: str | None = None, step: int = 0) -> None:
    """Remove the lines that a resumed run will write again, and a last line that was cut off.

    Args:
        file: the log; nothing happens if there is none.
        finished: phases whose lines are kept.
        running: phase that continues within; the lines of its first ``step`` steps are kept.
        step: steps of that phase that are not done again.
    """
    if not file.exists():
        return
    with file.open(newline="") as lines:
        text = lines.read()
    rows = list(csv.reader(text.splitlines(keepends=True)))[: None if text.endswith("\n") else -1]
    out = io.StringIO(newline="")
    csv.writer(out).writerows(row for row in rows if _is_kept(row, finished, running, step))
    write_whole(file, out.getvalue().encode())


def _is_kept(row: list[str], finished: Collection[str], running: str | None, step: int) -> bool:
    if len(row) != len(COLUMNS):
        return False
    phase, at = row[:2]
    within = phase == running and at.isdigit() and int(at) < step
    return row == list(COLUMNS) or phase in finished or within


def read_log(file: Path) -> list[dict[str, str]]:
    """Return the lines of a log, oldest first; none if there is no file."""
    if not file.exists():
        return []
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def trackers(names: list[str], out: Path, phase: str) -> list[Logger]:
    """The trackers that a config names: ``tensorboard``, ``wandb``, ``mlflow``, each writing under the run folder.

    Raises:
        ValueError: if the package of a tracker is not installed.
    """
    make = {
        "tensorboard": lambda: TensorBoardLogger(out, name="tensorboard", version=phase),
        "wandb": lambda: WandbLogger(project="zoo", name=f"{out.name}-{phase}", save_dir=out, offline=True),
        "mlflow": lambda: MLFlowLogger("zoo", run_name=f"{out.name}-{phase}", tracking_uri=f"file:{out / 'mlruns'}"),
    }
    loggers: list[Logger] = []
    for name in names:
        try:
            loggers.append(make[name]())
        except ModuleNotFoundError as error:
            raise ValueError(f"trainer.loggers names {name}, which is not installed; pip install {name}") from error
    return loggers
