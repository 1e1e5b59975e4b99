"""Units of a language model chosen as detectors on validation sequences and measured on test sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zoo.capabilities import HasChosenCodes, capability
from zoo.metrics._value_checks import check_finite
from zoo.metrics.positions._detector_counts import (
    at_recall_of,
    best_by_f1,
    best_by_precision,
    counts,
    counts_of_ids,
    judge,
)

CHUNK = 1024  # neurons ranked at a time
LEVEL = 0.9  # recall at which neurons that are themselves the units are scored


@torch.no_grad()
def detect(model: Any, x: dict[str, Tensor], look: dict[str, Tensor], has: dict[str, Tensor]) -> Tensor:
    """Return what ``Detectors.update`` takes, ``(p, 6)``.

    Args:
        model: a language model.
        x: contexts ``(n, t)`` of ``val`` and of ``test``.
        look: ``(n, t)`` bool, the r labeled positions.
        has: ``(r, p)`` properties of each.
    """
    p, nan = has["test"].shape[1], torch.full((has["test"].shape[1],), torch.nan)
    if not model.units.binary:
        (beside,) = _neurons(model, x, look, has, [torch.full((p,), LEVEL)])
        return torch.stack([nan, nan, beside, nan, nan, nan], 1)
    counted = {name: _counts(model, x[name], look[name], has[name]) for name in x}
    ways: list[Callable[..., Tensor]] = [best_by_precision, best_by_f1]
    detections = [judge(choose(*counted["val"]), *counted["test"]) for choose in ways]
    beside = _neurons(model, x, look, has, [detection.recall for detection in detections])
    columns = [(unit.precision, unit.recall, other) for unit, other in zip(detections, beside, strict=True)]
    return torch.stack([column for three in columns for column in three], 1)


def _neurons(
    model: Any, x: dict[str, Tensor], look: dict[str, Tensor], has: dict[str, Tensor], recalls: list[Tensor]
) -> list[Tensor]:
    """Return the test precision ``(p,)`` of the best hidden neuron, chosen on ``val``, for each vector of recalls."""
    best = [torch.full_like(recall, -2) for recall in recalls]  # below the -1 of an undefined precision
    precision = [torch.full_like(recall, torch.nan) for recall in recalls]
    width = model.hidden(x["val"][:1].to(model.device)).shape[2]
    for chunk in (slice(i, min(i + CHUNK, width)) for i in range(0, width, CHUNK)):
        ranks = {}
        for name in x:
            parts = zip(x[name].split(8), look[name].split(8), strict=True)
            value = torch.cat(
                [model.hidden(v.to(model.device)).cpu()[..., chunk][at[:, : v.shape[1]]] for v, at in parts]
            )
            check_finite(f"hidden activations of the {name} sequences", value)
            ranks[name] = at_recall_of(value, has[name])
        for i, recall in enumerate(recalls):
            first = ranks["val"](recall).nan_to_num(-1).max(1)
            new = ranks["test"](recall).gather(1, first.indices[:, None])[:, 0]
            precision[i] = torch.where(first.values > best[i], new, precision[i])
            best[i] = torch.maximum(best[i], first.values)
    return precision


def _counts(model: Any, x: Tensor, look: Tensor, has: Tensor) -> tuple[Tensor, ...]:
    """Return ``counts`` of all units over the labeled positions, a few sequences at a time."""
    codes = capability(model, HasChosenCodes)
    width = len(model.units)
    if codes is not None:
        batches = zip(x.split(8), look.split(8), strict=True)
        ids = torch.cat([codes.chosen(contexts.to(model.device)).cpu()[at] for contexts, at in batches])
        row = torch.arange(len(ids)).repeat_interleave(ids.shape[1])
        return counts_of_ids(row, ids.flatten(), has, width)
    sums: list[Tensor] = []
    start = 0
    for contexts, positions in zip(x.split(8), look.split(8), strict=True):
        on = model.activity(contexts.to(model.device)).cpu()[positions] > 0
        part = counts(on, has[start : start + len(on)])
        sums = [total + more for total, more in zip(sums, part, strict=True)] if sums else list(part)
        start += len(on)
    return tuple(sums)
