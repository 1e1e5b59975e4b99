"""The task of a run: as its config declares it, and with what is chosen on validation samples after training."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.capabilities import LanguageModel, capability
from zoo.config import Settings
from zoo.data.base import Data
from zoo.model import SelfExplaining
from zoo.runtime.gathering import in_order
from zoo.task import Classification, MultiLabel, Regression, Task, TaskOptions

log = logging.getLogger("zoo")


def declared_task(data: Data, config: Settings) -> Task:
    """Return the task of the data with what the config declares about it: loss, class weights, smoothing.

    Raises:
        ValueError: if an option means nothing for this task, or a class weight does not fit.
    """
    options = task_options(config)
    task = data.model_task
    if isinstance(task, Regression):
        options.only("number", "loss", "delta")
        loss: Any = options.loss or "squared"
        return replace(task, loss_name=loss, delta=options.delta)
    names = list(data.output_names)
    if isinstance(task, MultiLabel):
        options.only("set of labels", "class_weights", "cost", "max_risk")
        options.costs()
        counts = task.counts or ()
        balanced = tuple((task.rows - n) / n for n in counts) if options.class_weights == "balanced" else None
        return replace(task, weights=balanced or options.weights_of(names, counts))
    assert isinstance(task, Classification)
    allowed = ("class_weights", "smoothing", "max_risk", *(("cost",) if task.classes == 2 else ()))
    options.only("class of " + str(task.classes), *allowed)
    options.costs(names)
    return replace(task, weights=options.weights_of(names, task.counts or ()), smoothing=options.smoothing)


def task_options(config: Settings) -> TaskOptions:
    """Return the section ``task`` of a config.

    Raises:
        ValueError: if an option is out of range.
    """
    return TaskOptions(**config["task"])


def fit_task(model: SelfExplaining, data: Data, options: TaskOptions) -> list[str]:
    """Fit the task of a trained model on the validation split, in place; return lines on what was chosen.

    A model of tokens, such as a language model, keeps its task; so does any model without validation samples.

    Args:
        model: trained, in eval mode.
        data: where the validation split is from.
        options: what the user declared.

    Raises:
        ValueError: if costs or abstention are declared and there are no validation samples, or no share of the answers
            has an error rate low enough.
    """
    if not len(data.splits["val"]):
        if options.cost is not None or options.max_risk is not None:
            raise ValueError("task.cost and task.max_risk need validation samples; hold out a share with data.val=0.1")
        return []
    if capability(model, LanguageModel) is not None or (model.inputs is None and model.input_kind == "tokens"):
        return []
    logits, y, weight = split_logits(model, data.loader("val"))
    model.task = model.task.fitted(logits, y, weight, options, data.output_names)
    lines = [f"{line} (chosen on {len(y)} validation samples)" for line in model.task.describe_fit(data.output_names)]
    for line in lines:
        log.info("%s", line)
    return lines


@torch.no_grad()
def split_logits(model: SelfExplaining, loader: Iterable[Batch]) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits ``(n, c)``, targets ``(n, ...)`` and weights ``(n,)`` of a whole split in its order, on the CPU.

    Args:
        model: in eval mode.
        loader: of the split.
    """
    moved = (batch.to(model.device) for batch in loader)
    logits, y, weight = in_order((model(b.x).cpu(), b.targets.cpu(), b.weights.cpu(), b.index.cpu()) for b in moved)
    return logits, y, weight
