"""Activity of units at labeled positions: what is on a board, which state was just read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zoo.explanation import Units
from zoo.sequence_spec import Family, Properties

PositionLabels = Callable[[Any, int], Properties | None]  # split, number of sequences -> labels of its positions
STEPS = 10  # thresholds: 0, 0.1, ... 0.9 of the largest activity
PRECISE, OFTEN = 0.95, 10  # precision of a unit that indicates a property; positions that a property must have
ROWS, UNITS = 8, 2048  # sequences and units at a time


class Chosen(NamedTuple):
    """Units chosen on validation games, for p properties at each of T thresholds.

    Attributes:
        unit: ``(T, p)`` the unit of highest F1.
        f1: ``(T, p)`` that F1.
        sign: ``(T, u, p)`` bool, whether a unit that is active means the property: precision ``PRECISE`` or more, and
            active ``OFTEN`` times or more.
        has: ``(p,)`` positions with the property.
    """

    unit: Tensor
    f1: Tensor
    sign: Tensor
    has: Tensor


class PositionEvaluator:
    """Reads the units of one model on sequences with labeled positions.

    Thresholds and units are chosen on ``val``, judged on ``test``.

    Args:
        model: a language model: offers ``activity`` and ``units``.
        ask: returns the labels of a split.
        count: sequences of each split.
    """

    def __init__(self, model: Any, ask: PositionLabels, *, count: int = 500) -> None:
        self.model, self.ask, self.count = model, ask, count
        self._told: dict[tuple[str, int], Properties | None] = {}

    @property
    def units(self) -> Units:
        """The vocabulary."""
        return self.model.units

    def known(self, split: str, count: int | None = None) -> Properties | None:
        """Return the labels of a split; None where there are none."""
        key = split, count or self.count
        if key not in self._told:
            self._told[key] = self.ask(*key)
        return self._told[key]

    @property
    def families(self) -> tuple[Family, ...]:
        """The families of properties."""
        properties = self.known("test")
        assert properties is not None
        return properties.families

    @property
    def groups(self) -> dict[str, Tensor]:
        """Sets ``(p,)`` of properties that are scored together: of each family the informative ones, and all."""
        found, sizes = {}, [len(f.questions) * len(f.answers) for f in self.families]
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        for family, start, size in zip(self.families, starts, sizes, strict=True):
            for name, own in ((family.name, family.telling.flatten()), (f"{family.name} unmasked", torch.ones(size))):
                if name == family.name or not bool(family.telling.all()):
                    found[name] = torch.zeros(sum(sizes), dtype=torch.bool)
                    found[name][start : start + size] = own.bool()
        return found

    @torch.no_grad()
    def activity(self, split: str, units: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """A few sequences at a time.

        Args:
            split: ``val`` or ``test``.
            units: ``(n,)`` ids; None for all.

        Yields:
            Activity ``(r, n)`` at the labeled positions, properties ``(r, p)`` int8 there, and the sequence ``(r,)``
            of each.
        """
        properties = self.known(split)
        assert properties is not None
        for ids in torch.arange(len(properties.x)).split(ROWS):
            x = properties.x[ids]
            x = x[:, : int((x >= 0).sum(1).max())].to(self.model.device)
            look = properties.look[ids][:, : x.shape[1]]
            if bool(look.any()):
                value = self.model.activity(x, None if units is None else units.to(x.device)).cpu()
                parts = [present(f.codes[ids][:, : x.shape[1]][look], len(f.answers)) for f in properties.families]
                yield value[look], torch.cat(parts, 1), ids[look.nonzero()[:, 0]]

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
        f1, chunk = torch.stack([one.f1 for one in chunks]).max(0)
        unit = torch.stack([one.unit for one in chunks]).gather(0, chunk[None])[0]
        return Chosen(unit, f1, torch.cat([one.sign for one in chunks], 1), has)

    def _count(self, ids: Tensor) -> Chosen:
        cuts = self.cuts[:, ids]
        both, fired, has = torch.zeros(()), torch.zeros(()), torch.zeros(())
        for value, known, _ in self.activity("val", ids):
            on = cuts[..., None] < value.T  # (T, n, r)
            both = both + product(on.flatten(0, 1), known).unflatten(0, cuts.shape)
            fired, has = fired + on.sum(2), has + known.sum(0, dtype=torch.int64)
        f1, unit = (2 * both / (fired[..., None] + has).clamp_min(1)).max(1)
        sign = (both >= PRECISE * fired[..., None] - 1e-9) & (fired >= OFTEN)[..., None]
        return Chosen(ids[unit], f1, sign, has)


def present(codes: Tensor, answers: int) -> Tensor:
    """Properties ``(n, s * k)`` int8 of answers ``(n, s)`` to questions, -1 for none."""
    return (codes[..., None] == torch.arange(answers)).flatten(1).to(torch.int8)


def product(one: Tensor, other: Tensor) -> Tensor:
    """How often both are true: the product ``(n, m)`` of ``(n, r)`` and ``(r, m)`` of 0 and 1, exact.

    In 8 bits where this torch can: four times as fast as in 32 on a CPU that has instructions for it.
    """
    if hasattr(torch, "_int_mm") and not one.is_cuda:
        return torch._int_mm(one.to(torch.int8), other.to(torch.int8))
    return (one.float() @ other.float()).int()
