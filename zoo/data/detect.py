"""Units as detectors of what is known of each position: precision and recall, codes beside neurons at equal recall."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Found(NamedTuple):
    """The best unit ``(p,)`` for each of p properties, with its precision and recall ``(p,)``."""

    unit: Tensor
    precision: Tensor
    recall: Tensor


def counts(on: Tensor, truth: Tensor, properties: int) -> tuple[Tensor, Tensor, Tensor]:
    """How often units that are on or off meet properties.

    Args:
        on: ``(n, u)`` bool, which units are on at each position.
        truth: ``(n,)`` the property of each position, -1 for none.
        properties: p.

    Returns:
        ``(p, u)`` both together, ``(u,)`` the unit, ``(p,)`` the property.
    """
    has = torch.nn.functional.one_hot(truth + 1, properties + 1)[:, 1:].float()
    return has.T @ on.float(), on.float().sum(0), has.sum(0)


def best_by_f1(both: Tensor, unit: Tensor, has: Tensor) -> Tensor:
    """The unit ``(p,)`` with the highest F1 for each property, from ``counts``."""
    return (2 * both / (unit + has[:, None]).clamp_min(1)).argmax(1)


def judge(best: Tensor, both: Tensor, unit: Tensor, has: Tensor) -> Found:
    """Precision and recall of chosen units, from ``counts`` of other positions."""
    hit = both.gather(1, best[:, None])[:, 0]
    return Found(best, hit / unit[best].clamp_min(1), hit / has.clamp_min(1))


def best_by_precision(both: Tensor, unit: Tensor, has: Tensor, *, least: float = 0.01) -> Tensor:
    """The unit ``(p,)`` with the highest precision for each property among those of a recall above ``least``.

    Of equals, the one with the higher recall.
    """
    recall = both / has[:, None].clamp_min(1)
    return torch.where(recall > least, both / unit.clamp_min(1) + 1e-4 * recall, recall - 1).argmax(1)


def at_recall_of(value: Tensor, truth: Tensor) -> Callable[[Tensor], Tensor]:
    """How precise units are as detectors by a threshold that reaches the recall asked for.

    Args:
        value: ``(n, u)``; a unit detects where it is at or above its threshold.
        truth: ``(n,)`` the property of each position, -1 for none.

    Returns:
        A function from the recalls ``(p,)`` wanted for properties to precisions ``(p, u)``, NaN for a property that has
        no position.
    """
    rank = torch.empty(value.shape, dtype=torch.int32)
    order = value.argsort(0, descending=True)
    rank.scatter_(0, order, torch.arange(1, len(value) + 1, dtype=torch.int32)[:, None].expand_as(order))

    def precision(recall: Tensor) -> Tensor:
        told = torch.full((len(recall), value.shape[1]), torch.nan)
        for p, wanted in enumerate(recall.tolist()):
            own = rank[truth == p]
            if len(own):
                reach = max(1, min(len(own), math.ceil(wanted * len(own) - 1e-6)))
                told[p] = reach / own.sort(0).values[reach - 1]
        return told

    return precision


@torch.no_grad()
def detectors(model: Any, x: Mapping[str, Tensor], truth: Mapping[str, Tensor], properties: int) -> dict[str, float]:
    """How well single units tell a property of the position: mean over properties, one unit for each.

    Units are chosen on ``val`` and judged on ``test``. A code is on or off: the one of highest precision among those
    that catch over 1 % of the property (Tamkin et al., 2023), and the one of highest F1. Beside each, the best hidden
    neuron of the same network, of either sign, by a threshold with the same recall. Neurons that are themselves the
    units are judged at recall .9.

    Args:
        model: a language model; without units there is nothing to judge.
        x: contexts ``(n, t)`` of ``val`` and of ``test``.
        truth: ``(n, t)`` the property of each position, -1 for none.
        properties: p.
    """
    if not hasattr(model, "hidden") or not len(model.units):
        return {}
    ranks = {}
    for name in x:
        value = torch.cat([model.hidden(v.to(model.device)).flatten(0, 1).cpu() for v in x[name].split(8)])
        ranks[name] = at_recall_of(torch.cat([value, -value], 1), truth[name].flatten())

    def neurons(recall: Tensor) -> Tensor:
        best = ranks["val"](recall).nan_to_num(-1).argmax(1)
        return ranks["test"](recall).gather(1, best[:, None])

    if model.units.kind != "code":
        return {"neuron precision": float(neurons(torch.full((properties,), 0.9)).nanmean())}
    met, told = {name: _met(model, x[name], truth[name], properties) for name in x}, {}
    for mark, choose in (("", best_by_precision), (" by F1", best_by_f1)):
        found = judge(choose(*met["val"]), *met["test"])
        told[f"code precision{mark}"], told[f"code recall{mark}"] = found.precision, found.recall
        told[f"neuron precision{mark}"] = neurons(found.recall)
    return {name: float(v.nanmean()) for name, v in told.items()}


def _met(model: Any, x: Tensor, truth: Tensor, properties: int) -> tuple[Tensor, ...]:
    """``counts`` of all units over contexts ``(n, t)``, a few at a time."""
    some = zip(x.split(8), truth.split(8), strict=True)
    each = [
        counts(model.activity(v.to(model.device)).flatten(0, 1).cpu() > 0, t.flatten(), properties) for v, t in some
    ]
    return tuple(torch.stack(part).sum(0) for part in zip(*each, strict=True))
