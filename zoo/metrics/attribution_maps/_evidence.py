"""From an explanation in units to one map over the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zoo.explanation import Explanation, gather, upsample
from zoo.metrics.base import Record


def evidence(explanation: Explanation, size: int | tuple[int, int]) -> Tensor:
    """One signed map over the input from an explanation in units.

    The map of each shown unit is divided by the sum of its absolute values and multiplied by the unit's contribution,
    so a unit that argues against the answer counts negative where its map is, and a unit without a map adds
    nothing. The sum over units is then stretched to the input by the one upsampling of the project.

    Args:
        explanation: an explanation whose ``where`` is ``(b, k, h, w)``.
        size: side of the square input, or (height, width), in pixels.

    Returns:
        ``(b, height, width)`` float32, or float64 for an explanation in float64.

    Raises:
        ValueError: if units have no place in an image.
    """
    if explanation.where is None or explanation.where.ndim != 4:
        raise ValueError("Explanation.where is no (b, k, h, w); a map over the input needs units with a place in it")
    where = explanation.where if explanation.where.dtype == torch.float64 else explanation.where.float()
    mass = where.abs().sum((-2, -1), keepdim=True)
    weight = gather(explanation.contribution, explanation.shown).to(where.dtype)[..., None, None]
    share = where / torch.where(mass > 0, mass, 1)
    return upsample((weight * share).sum(1, keepdim=True), size)[:, 0]


def attributor(record: Record) -> Callable[[Any, Tensor, Tensor], Tensor]:
    """The map as a function of (model, x, target), with the units of each input chosen by the rule behind ``record``.

    They are those of the class where every unit belongs to one, and the model's own top k otherwise.
    """
    units, k = record.explanation.units, record.explanation.shown.shape[1]
    owned = units.owner is not None and bool((units.owner >= 0).all())

    def attribute(model: Any, x: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            explanation = model.explain(x, target=target, shown=units.of_class(target) if owned else k)
            return evidence(explanation, (x.shape[-2], x.shape[-1]))

    return attribute
