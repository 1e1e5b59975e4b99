"""Dead units: which units are never active?

Source: defined here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.capabilities import HasActivity, capability
from zoo.metrics._value_checks import check_finite
from zoo.metrics.base import ANY_TASK, Record, Score, count, expect
from zoo.registry import register

ROWS = 4  # contexts whose positions are read at a time


@register
class DeadUnits(Score):
    """Share of units whose strength is above 0 on no sample; of language models, at no position of any context.

    Further read-outs: ``rare`` share of units above 0 on fewer than one in a hundred samples. Per unit: ``unit/rate``
    the share of samples on which it is active; ``unit/dead`` 1 or 0.

    Args:
        num_units: u.

    Raises:
        ValueError: if there are no units.

    Example:
        >>> score = DeadUnits(2)
        >>> score.update(torch.tensor([[True, False], [False, False]]))
        >>> float(score.compute()["dead"])
        0.5
    """

    title = "Dead units"
    meaning = "share of units that are never active"
    unit_readouts = {"rate": "share of inputs on which the unit is active"}
    requires = frozenset({"units"})
    tasks = ANY_TASK
    inputs = {"fired": "binary"}
    higher_is_better = False
    intervals = {"dead": ("unit/dead", 0, 1)}
    protocol = "zoo-dead-v1"
    fired: Tensor

    def __init__(self, num_units: int) -> None:
        super().__init__()
        self.num_units = count("num_units", num_units)
        self._sum("fired", num_units)

    def update(self, fired: Tensor) -> None:
        """Add samples.

        Args:
            fired: ``(b, u)`` bool, whether each unit was active.

        Raises:
            ValueError: if the shape does not fit or a value is neither 0 nor 1.
        """
        expect("fired", fired, None, self.num_units)
        self._check(fired=fired)
        self._add("fired", fired.to(self.device).bool())
        self._add("samples", torch.ones(len(fired), dtype=torch.int64, device=self.device))

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Strengths as explained, or activity at every position."""
        self.update(fires(record.model, record.batch, record.explanation.strength))

    def compute(self) -> dict[str, Tensor]:
        """The share and its read-outs; see the class."""
        rate = self.fired.double() / self.samples
        nan = torch.where(self.samples > 0, 0.0, torch.nan)
        return {
            "dead": (rate == 0).double().mean() + nan,
            "rare": (rate < 0.01).double().mean() + nan,
            "support": self.samples,
            "unit/rate": rate,
            "unit/dead": (rate == 0).double(),
        }


def fires(model: Any, batch: Batch, strength: Tensor) -> Tensor:
    """Return ``(b, u)`` bool, whether each unit is above 0 anywhere in each sample."""
    language_model = capability(model, HasActivity)
    if language_model is None:
        return strength > 0
    active = []
    for x in batch.x.split(ROWS):
        value = language_model.activity(x).masked_fill((x < 0)[..., None], 0)
        check_finite("activity", value)
        active.append((value > 0).any(1))
    return torch.cat(active) if active else strength > 0
