"""Additive fit of the rows of a loader, with the loss of a task."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
import torch.distributed as dist

from zoo.batch import Batch
from zoo.layers.additive.columns.tensor_columns import Columns
from zoo.layers.additive.fit import fit_additive
from zoo.layers.additive.fit_result import AdditiveFit
from zoo.layers.additive.fitting.fit_settings import AdditiveSettings
from zoo.task import Classification, Regression, Task


def fit_batches(loader: Iterable[Batch], columns: Columns, task: Task, settings: AdditiveSettings) -> AdditiveFit:
    """Return the fit of all rows of a loader; weights of rows and of classes count.

    Args:
        loader: batches of rows ``(b, d)``.
        columns: the d columns.
        task: a classification or a regression.
        settings: of the fit.

    Raises:
        ValueError: if several processes share the rows, a class has no row, or the task has a loss of its own.
    """
    name = _task_name(task)
    x, y, weights = rows_of(loader, task)
    cells, kinds, orders = columns.cells(x)
    return fit_additive(cells, y, task=name, weights=weights, kinds=kinds, orders=orders, settings=settings)


def rows_of(loader: Iterable[Batch], task: Task) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows ``(n, d)``, targets ``(n,)`` and weights ``(n,)``, those of the classes included, as float64.

    Args:
        loader: batches of rows ``(b, d)``.
        task: whose class weights count.

    Raises:
        ValueError: if several processes share the rows, or a class has no row.
    """
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        raise ValueError("the fit needs all rows in one process; set trainer.devices=1")
    rows = [(b.x.flatten(1).double(), b.targets.double(), b.weights.double()) for b in map(Batch.of, loader)]
    x, y, weights = (torch.cat(tensors).cpu().numpy() for tensors in zip(*rows, strict=True))
    if isinstance(task, Classification):
        present = np.bincount(y.astype(np.int64), minlength=task.classes) > 0
        if not present.all():
            raise ValueError(f"class {int(present.argmin())} has no training row; the fit needs rows of every class")
        weights = weights * np.array(task.weights or (1.0,) * task.classes)[y.astype(np.int64)]
    return x, y, weights


def _task_name(task: Task) -> str:
    """Return the name of a task in ``fit_additive``.

    Raises:
        ValueError: if its loss is another one.
    """
    if isinstance(task, Regression):
        if task.loss_name != "squared":
            raise ValueError(f"task.loss is {task.loss_name!r}; the convex fit has the squared loss alone")
        return "regression"
    if not isinstance(task, Classification):
        raise ValueError(f"the task is {task.kind}; expected a classification or a regression")
    if task.smoothing:
        raise ValueError(f"task.smoothing is {task.smoothing}; the convex fit has none, set it to 0")
    return "binary" if task.classes == 2 else "multiclass"
