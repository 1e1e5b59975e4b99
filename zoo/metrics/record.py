"""From a model and a batch to what the scores see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.explanation import gather
from zoo.metrics.base import Record
from zoo.metrics.parts._localization import cells, hits, peak
from zoo.metrics.perturbations.noise import random_bits


def record_batch(model: Any, batch: Batch, shown: int | Tensor, *, owned: bool) -> Record:
    """Explain the true class of a batch and find the parts that the shown units look at.

    Args:
        model: offers ``explain(x, target, shown)``.
        batch: samples on the model's device.
        shown: number of units looked at, or their ``(b, k)`` ids.
        owned: whether a unit claims every sample on which it is shown (it belongs to the class), or only those to whose
            answer it adds more than 0.
    """
    told = model.explain(batch.x, target=batch.y, shown=shown).detach()
    gate = told.shown >= 0
    gate = gate if owned else gate & (gather(told.contribution, told.shown) > 0)
    seen = Record(batch, told, gate, model=model)
    return seen if why_no_place(seen) else _at(seen, peak(told.where, tuple(batch.x.shape[-2:])))


def with_part_hits(seen: Record, model: Any) -> Record:
    """The same with what interventions need: how units say 0 and 1, and the answer with some of them set."""
    truth, encoded = seen.batch.concepts, getattr(model, "encode_concepts", None)
    if truth is None or encoded is None or (low := encoded(torch.zeros_like(truth))) is None:
        return seen
    x = seen.batch.x
    ends = low, encoded(torch.ones_like(truth))
    predicted, decide = model.decode_concepts(seen.explanation.strength), partial(model.decide, model.encode(x))
    return replace(seen, ends=ends, predicted=predicted, decide=decide, features=model.features(x))


def why_no_place(seen: Record) -> str:
    """What is missing for units to be located on parts; empty if nothing is."""
    if seen.batch.points is None or seen.batch.visible is None:
        return "the data have no part annotations"
    if seen.explanation.where is None or seen.explanation.where.ndim != 4:
        return "the units have no place in an image"
    return ""


def with_random_locations(seen: Record, draw: int) -> Record:
    """The same claims with each unit looking at a random cell of its map, by (sample, unit, draw) alone."""
    told = seen.explanation
    bits = random_bits(seen.batch.index.to(told.shown.device), draw=draw, count=len(told.units))
    place = gather(bits, told.shown) & 0x7FFFFFFFFFFFFFFF
    return _at(seen, cells(place, tuple(told.where.shape[-2:]), tuple(seen.batch.x.shape[-2:])))


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Eval mode for a while; every submodule gets its own mode back.

    Meanwhile ``encode`` and ``features`` answer from memory when they are asked twice in a row about the same tensor,
    so that an explanation, an intervention and the features of a batch cost one pass over its backbone.
    """
    modules = [m for m in model.modules() if m.training] if isinstance(model, nn.Module) else []
    for module in modules:
        module.training = False
    once = [name for name in ("encode", "features") if hasattr(model, name) and name not in vars(model)]
    for name in once:
        setattr(model, name, _once(getattr(model, name)))
    try:
        yield
    finally:
        for name in once:
            delattr(model, name)
        for module in modules:
            module.training = True


def _once(method: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
    last: list[Any] = [None, None]

    def answer(x: Tensor) -> Any:
        if last[0] is not x:
            last[:] = x, method(x)
        return last[1]

    return answer


def _at(seen: Record, peaks: Tensor) -> Record:
    batch, size = seen.batch, tuple(seen.batch.x.shape[-2:])
    return replace(seen, peaks=peaks, hits=hits(peaks, batch.points, batch.visible, size=size))
