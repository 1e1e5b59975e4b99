"""Loggers of a run: one CSV file, and the experiment trackers that the config names."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import MLFlowLogger, TensorBoardLogger, WandbLogger
from pytorch_lightning.loggers.logger import Logger, rank_zero_experiment
from pytorch_lightning.utilities.rank_zero import rank_zero_only

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
        is_new = not self.file.exists()
        now = round(time.time(), 3)
        with self.file.open("a", newline="") as out:
            writer = csv.writer(out)
            if is_new:
                writer.writerow(COLUMNS)
            writer.writerows((self.phase, step, now, k, v) for k, v in metrics.items() if k != "epoch")


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
