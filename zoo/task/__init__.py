"""What a model answers: loss, link, prediction and calibration of classification, regression and multi-label tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.task.base import Answers, Task
from zoo.task.class_weights import balanced_weights
from zoo.task.classification import Classification
from zoo.task.multilabel import MultiLabel
from zoo.task.regression import Regression, RegressionLoss
from zoo.task.risk import RiskCoverage
from zoo.task.task_options import TaskOptions
from zoo.task.temperature import TEMPERATURES

__all__ = [
    "TASKS",
    "TEMPERATURES",
    "Answers",
    "Classification",
    "MultiLabel",
    "Regression",
    "RegressionLoss",
    "RiskCoverage",
    "Task",
    "TaskOptions",
    "balanced_weights",
    "task_from",
]

TASKS: dict[str, type[Task]] = {task.kind: task for task in (Classification, Regression, MultiLabel)}


def task_from(config: Mapping[str, Any]) -> Task:
    """Return the task that ``to_config`` described.

    Raises:
        ValueError: if the kind or an argument is not known.

    >>> task_from({"kind": "classification", "classes": 3}).outputs
    3
    """
    config = dict(config)
    kind = config.pop("kind", None)
    if kind not in TASKS:
        raise ValueError(f"a task is of kind {kind!r}; expected one of {', '.join(TASKS)}")
    try:
        return TASKS[kind](**{key: tuple(v) if isinstance(v, list) else v for key, v in config.items()})
    except TypeError as error:
        raise ValueError(f"the task {kind!r} cannot be built: {error}") from error
