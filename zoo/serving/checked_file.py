"""A graph as a file that is kept only if it computes what the model computes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from zoo.model import SelfExplaining
from zoo.serving import files
from zoo.serving.description import describe
from zoo.serving.graph import Graph
from zoo.serving.samples import BATCH, Samples, generated
from zoo.serving.trial import LARGEST_DIFFERENCE, Trial, trial

WRITERS = {"onnx": (files.write_onnx, files.open_onnx), "torch": (files.write_torch, files.open_torch)}
ENDINGS = {"onnx": ".onnx", "torch": ".pt2"}


def write_checked(
    model: SelfExplaining,
    title: str,
    file: Path,
    *,
    form: str,
    shown: int,
    samples: Iterable[Samples],
    where: str,
) -> tuple[tuple[str, ...], Trial]:
    """Write a graph beside its place, run it, and move it there; return its outputs and what it computed.

    Args:
        model: with inputs, in eval mode.
        title: name of its checkpoint.
        file: to write.
        form: ``onnx`` or ``torch``.
        shown: number of units in ``shown`` and ``map``.
        samples: on which it is run.
        where: these samples in words.

    Raises:
        ValueError: if the model has no graph, or the logits of the file differ; then nothing is written.
    """
    if shown < 0:
        raise ValueError(f"shown is {shown}; expected 0 or more")
    graph = Graph(model, shown)
    write, opened = WRITERS[form]
    part = file.with_name(f".{file.name}.part{ENDINGS[form]}")
    example = next(iter(generated(model))).raw
    with torch.no_grad():
        names = tuple(graph(example))
    try:
        write(graph, _first(example, BATCH // 2 - 1), describe(model, title, names), part)
        done = trial(graph, opened(graph, part), samples)
        if not done.logit_difference <= LARGEST_DIFFERENCE:
            raise ValueError(
                f"the logits of the file differ by {done.logit_difference:.1e} on {where}; expected at most"
                f" {LARGEST_DIFFERENCE:.0e}: nothing was written"
            )
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)
    return names, done


def _first(raw: Any, count: int) -> Any:
    return raw[:count] if isinstance(raw, torch.Tensor) else {name: cells[:count] for name, cells in raw.items()}
