"""Activity of units at labeled positions: what is on a board, which state was just read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zoo.explanation import Units
from zoo.metrics._value_checks import check_finite
from zoo.metrics.positions._properties import not_blank, present, product
from zoo.sequence_spec import Family, Properties

PositionLabels = Callable[[Any, int], Properties | None]  # split, number of sequences -> labels of its positions
STEPS = 10  # thresholds: 0, 0.1, ... 0.9 of the largest activity
PRECISE = 0.95  # precision of a unit that is labeled with a property
OFTEN = 10  # positions at which a property must hold, and a labeled unit be active
ROWS = 8  # sequences at a time
UNITS = 2048  # units at a time


class Chosen(NamedTuple):
    """Units chosen on validation games, for p properties at each of T thresholds.

    Attributes:
        unit: ``(T, p)`` the unit of highest F1.
        f1: ``(T, p)`` that F1.
        sign: ``(T, u, p)`` bool, whether a unit is labeled with the property: precision ``PRECISE`` or more, and active
            ``OFTEN`` times or more.
        has: ``(p,)`` positions with the property.
    """

    unit: Tensor
    f1: Tensor
    sign: Tensor
    has: Tensor


class PositionEvaluator:
    """Reads the units of one model on sequences with labeled positions.

    Thresholds and units are chosen on ``val``, measured on ``test``.

    Args:
        model: a language model: offers ``activity`` and ``units``.
        position_labels: returns the labels of a split.
        count: sequences of each split.
    """

    def __init__(self, model: Any, position_labels: PositionLabels, *, count: int = 500) -> None:
        self.model = model
        self.position_labels = position_labels
        self.count = count
        self._labels: dict[tuple[str, int], Properties | None] = {}

    @property
    def units(self) -> Units:
        """The vocabulary."""
        return self.model.units

    def known(self, split: str, count: int | None = None) -> Properties | None:
        """Return the labels of a split; None where there are none."""
        key = split, count or self.count
        if key not in self._labels:
            self._labels[key] = self.position_labels(*key)
        return self._labels[key]

    @property
    def families(self) -> tuple[Family, ...]:
        """The families of properties."""
        properties = self.known("test")
        assert properties is not None
        return properties.families

    @cached_property
    def groups(self) -> dict[str, Tensor]:
        """Sets ``(p,)`` of properties that are scored together: of each family the informative ones, and all."""
        return self._groups(lambda family: family.telling)

    @cached_property
    def possible(self) -> dict[str, Tensor]:
        """Sets ``(p,)`` that the published averages divide by: of each family all but the blank answers, and all."""
        return self._groups(not_blank)

    def _groups(self, members: Callable[[Family], Tensor]) -> dict[str, Tensor]:
        """Return by name the ``members`` ``(s, k)`` of each family; of masked families all properties as well."""
        families = self.families
        sizes = [len(family.questions) * len(family.answers) for family in families]
        groups: dict[str, Tensor] = {}
        start = 0
        for family, size in zip(families, sizes, strict=True):
            sets = {family.name: members(family).flatten()}
            if not bool(family.telling.all()):
                sets[f"{family.name} unmasked"] = torch.ones(size, dtype=torch.bool)
            for name, own in sets.items():
                groups[name] = torch.zeros(sum(sizes), dtype=torch.bool)
                groups[name][start : start + size] = own
            start += size
        return groups

    @torch.no_grad()
    def activity(self, split: str, units: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Read a few sequences at a time.

        Args:
            split: ``val`` or ``test``.
            units: ``(n,)`` ids; None for all.

        Yields:
            Activity ``(r, n)`` at the labeled positions, properties ``(r, p)`` int8 there, and the sequence ``(r,)``
            of each.

        Raises:
            ValueError: if an activity is not a finite number; names the split.
        """
        properties = self.known(split)
        assert properties is not None
        for ids in torch.arange(len(properties.x)).split(ROWS):
            x = properties.x[ids]
            x = x[:, : int((x >= 0).sum(1).max())].to(self.model.device)
            look = properties.look[ids][:, : x.shape[1]]
            if bool(look.any()):
                value = self.model.activity(x, None if units is None else units.to(x.device)).cpu()[look]
                check_finite(f"activity of the {split} sequences", value)
                parts = [present(f.codes[ids][:, : x.shape[1]][look], len(f.answers)) for f in properties.families]
                yield value, torch.cat(parts, 1), ids[look.nonzero()[:, 0]]

    @cached_property
    def cuts(self) -> Tensor:
        """``(T, u)`` thresholds; infinite for units that were never active. Units that are on or off need but one."""
        top = torch.stack([value.amax(0) for value, _, _ in self.activity("val")]).amax(0)
        steps = torch.arange(1 if self.units.binary else STEPS) / STEPS
        return torch.where(top > 0, steps[:, None] * top, torch.inf)

    @cached_property
    def chosen(self) -> Chosen:
        """Units chosen on validation games."""
        chunks = [self._count(ids) for ids in torch.arange(len(self.units)).split(UNITS)]
        has = chunks[0].has
        f1, chunk = torch.stack([part.f1 for part in chunks]).max(0)
        unit = torch.stack([part.unit for part in chunks]).gather(0, chunk[None])[0]
        return Chosen(unit, f1, torch.cat([part.sign for part in chunks], 1), has)

    def _count(self, ids: Tensor) -> Chosen:
        cuts = self.cuts[:, ids]
        both = torch.zeros(())
        active = torch.zeros(())
        has = torch.zeros(())
        for value, properties, _ in self.activity("val", ids):
            on = cuts[..., None] < value.T  # (T, n, r)
            both = both + product(on.flatten(0, 1), properties).unflatten(0, cuts.shape)
            active = active + on.sum(2)
            has = has + properties.sum(0, dtype=torch.int64)
        f1, unit = (2 * both / (active[..., None] + has).clamp_min(1)).max(1)
        sign = (both >= PRECISE * active[..., None] - 1e-9) & (active >= OFTEN)[..., None]
        return Chosen(ids[unit], f1, sign, has)
