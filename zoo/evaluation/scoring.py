"""Scoring a model on a split with a suite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import cast

import torch
from tqdm import tqdm

from zoo.batch import Batch
from zoo.capabilities import HasExtraMetrics, capability
from zoo.data.base import Data, SplitName
from zoo.metrics.score_result import Result
from zoo.metrics.suite import Suite
from zoo.model import SelfExplaining
from zoo.registry import create_model
from zoo.task import Classification, Task

SEQUENCES = 500  # sequences of each split for scores of labeled positions
SEQUENCES_OF_A_TRIAL = 4


def score(
    model: SelfExplaining,
    data: Data,
    suite: str,
    *,
    split: SplitName = "test",
    limit: int | None = None,
    accelerator: str = "auto",
    progress: bool = True,
) -> dict[str, Result]:
    """Compute all scores of a suite on one split, with the random control beside every part score.

    Args:
        model: moved to the accelerator meanwhile, then back to the CPU.
        data: where the split is from.
        suite: a name under ``configs/evaluate``, or a YAML file.
        split: ``train``, ``val`` or ``test``.
        limit: number of batches; None for all.
        accelerator: ``auto`` takes a GPU where there is one.
        progress: show a progress bar on a terminal.

    Returns:
        Results by name, followed by the metrics that only this family or this source of data defines.
    """
    gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    model.to("cuda" if gpu else "cpu")
    scores = Suite(
        suite,
        model.units,
        data.part_names,
        concepts=data.concepts,
        control=True,
        scenes=data.scenes(split),
        position_labels=data.position_labels,
        task=scored_task(model, data),
        output_names=data.output_names,
        masks=data.has_masks,
    )

    def batches(name: SplitName) -> Iterator[Batch]:
        disable = None if progress else True  # None: a bar on a terminal only
        shown = tqdm(data.loader(name), desc=f"scoring on {name}", disable=disable, leave=False)
        yield from (batch.to(model.device) for batch in islice(shown, limit))

    for fit_split in cast("tuple[SplitName, ...]", scores.fit_splits):
        for batch in batches(fit_split) if len(data.splits[fit_split]) else ():
            if not scores.fit(model, batch, fit_split):
                break
    for batch in batches(split):
        scores.update(model, batch)
    if split == "test":
        sequences = SEQUENCES if limit is None else SEQUENCES_OF_A_TRIAL
        scores.evaluate_positions(model, lambda: _with_random_weights(model), sequences=sequences)
    extra = {} if limit is not None else _extra_metrics(model, data, split)
    model.cpu()
    return scores.compute() | extra


def scored_task(model: SelfExplaining, data: Data) -> Task | None:
    """Return the task of a model with the class counts of its training split; None for tokens that are no sentences.

    A checkpoint of an earlier version has no counts: those of the training split of the data stand in.
    """
    if model.input_kind == "tokens" and not (model.inputs is not None and model.inputs.kind == "sentences"):
        return None
    task = model.task
    if isinstance(task, Classification) and task.counts is None:
        counts = getattr(data.model_task, "counts", None)
        return replace(task, counts=counts) if counts is not None and len(counts) == task.classes else task
    return task


def _extra_metrics(model: SelfExplaining, data: Data, split: SplitName) -> dict[str, Result]:
    """Return the metrics that only this family, or this source of data, defines."""
    results: dict[str, Result] = {}
    support = len(data.splits[split])
    family = capability(model, HasExtraMetrics)
    if family is not None:
        for name, value in family.extra_metrics(data.loader(split)).items():
            results[name] = Result(name, value, model.name, support=support)
    if split == "test":
        protocol = type(data).__name__.lower()
        for name, value in data.extra_metrics(model).items():
            results[name] = Result(name, value, protocol, support=support)
    return results


def _with_random_weights(model: SelfExplaining) -> SelfExplaining:
    """Return the same model with the weights that it was initialized with from seed 0."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return create_model(model.name, **model.hparams, task=model.task).to(model.device)
