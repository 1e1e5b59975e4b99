"""What all scores share: sum states, a protocol id, and the record that a suite hands to each of them."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.distributed import gather_all_tensors

from zoo.batch import Batch
from zoo.explanation import Explanation

Perturbation = Callable[[Batch, int], Batch]  # (batch, draw) -> the same samples, changed, with their annotation mapped


@dataclass(frozen=True)
class Record:
    """One batch, explained once, as every score sees it.

    Attributes:
        batch: the samples.
        explanation: of the true class.
        gate: ``(b, k)`` bool, whether each shown unit makes a claim on the sample. Padding never does.
        peaks: ``(b, k, 2)`` int64 (x, y) pixel of each shown unit; None without a map or without part annotations.
        hits: ``(b, k, p)`` bool parts around each peak; None where ``peaks`` is.
        ends: strengths ``(b, u)`` that say 0 and that say 1 of every concept; None where units are not concepts.
        predicted: ``(b, m)`` concepts as predicted, probabilities; None where ``ends`` is.
        decide: logits ``(..., b, c)`` with strengths set, from mask and value ``(..., b, u)``; None where ``ends`` is.
        model: what was asked, for scores that ask again; offers the contract.
        features: ``(b, d)`` what the units are computed from; None where that is no vector, and where ``ends`` is.
    """

    batch: Batch
    explanation: Explanation
    gate: Tensor
    peaks: Tensor | None = None
    hits: Tensor | None = None
    ends: tuple[Tensor, Tensor] | None = None
    predicted: Tensor | None = None
    decide: Callable[[Tensor, Tensor], Tensor] | None = None
    features: Tensor | None = None
    model: Any = None


class Score(Metric):
    """A score that streams, merges and synchronises by adding up.

    A subclass reduces per-sample pure functions into sums, so the result depends on neither batch size, order,
    process nor the other samples. ``compute`` returns a dict: the headline first, then further read-outs,
    ``support`` (the number of samples), per-unit vectors under keys that start with ``unit/``, curves under ``curve/``.

    Attributes:
        protocol: id of the exact definition, printed with every number. An argument that changes the definition and is
            not at its default is part of it, as in ``huang2023-v2/tau0.5``.
        needs: what a suite must have for this score: "units", "parts", "concepts".
        perturbations: changed inputs that ``feed`` wants to see as well, each a function and a draw number.
        fit_splits: names of splits that must be seen through ``study`` before anything is fed.
        intervals: read-outs that can have an interval, most telling first: each with the per-unit read-out that it is
            the mean of, in 0..1 (empty for none), and its least and largest value. A promise: they are made of nothing
            but sums to which ``_add`` adds.
        why: why nothing could be fed; empty if something was.
    """

    registered_as: ClassVar[str] = "score"
    full_state_update = False
    higher_is_better: bool | None = True
    protocol: str = ""
    requires: ClassVar[frozenset[str]] = frozenset()
    fit_splits: tuple[str, ...] = ()
    intervals: ClassVar[dict[str, tuple[str, float, float]]] = {}
    why: str = ""

    def __init__(self) -> None:
        super().__init__()
        self.perturbations: list[tuple[Perturbation, int]] = []
        self._sum("samples")

    def _sum(self, name: str, *shape: int, dtype: torch.dtype = torch.int64) -> None:
        self.add_state(name, torch.zeros(shape, dtype=dtype), dist_reduce_fx="sum")

    def _add(self, name: str, rows: Tensor, *, at: Tensor | None = None, by: Tensor | None = None) -> None:
        """Add to a sum what each sample adds; ``Interval`` listens here.

        Args:
            name: of the sum.
            rows: ``(b, *shape)``; with ``at`` ``(b, k, *rest)``; with ``by`` ``(b, u)``.
            at: ``(b, k)`` int64 entries of the sum's first dimension to which the k rows of a sample go.
            by: ``(b, p)`` whose product with ``rows``, ``(b, u, p)``, is added without being made.
        """
        old = getattr(self, name)
        if by is not None:
            new = (rows.double().T @ by.double()).to(old.dtype)
        elif at is None:
            new = rows.sum(0, dtype=old.dtype)
        else:
            new = torch.zeros_like(old).index_add_(0, at.flatten(), rows.flatten(0, 1).to(old.dtype))
        setattr(self, name, old + new)

    def _rows(self, name: str) -> None:
        """A state that keeps the rows of samples: a list of tensors, of any type and width, one for each batch."""
        self.add_state(name, [], dist_reduce_fx="cat")

    def _sync_dist(self, dist_sync_fn: Callable[..., Any] = gather_all_tensors, process_group: Any = None) -> None:
        """Sums as torchmetrics does it; rows as objects: a process without samples knows neither type nor width."""
        known, mine = self._reductions, {k: getattr(self, k) for k, v in self._defaults.items() if isinstance(v, list)}
        self._reductions = {k: v for k, v in known.items() if k not in mine}
        super()._sync_dist(dist_sync_fn, process_group)
        self._reductions = known
        if mine:
            group = process_group or self.process_group
            found: list[Any] = [None] * dist.get_world_size(group)
            dist.all_gather_object(found, {k: [t.cpu() for t in v] for k, v in mine.items()}, group)
            for name in mine:
                setattr(self, name, [rows for one in found for rows in one[name]])

    def _variant(self, protocol: str, **arguments: float) -> str:
        """The protocol id with the arguments of the definition that are not at their defaults."""
        known = inspect.signature(type(self)).parameters
        return protocol + "".join(f"/{key}{value}" for key, value in arguments.items() if value != known[key].default)

    @abstractmethod
    def update_from(self, seen: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Update from what a suite saw.

        Args:
            seen: the batch as it is.
            changed: the same batch under one of ``perturbations``, for scores that name any.
            draw: number of that perturbation's draw.
        """

    def fit(self, seen: Record, split: str) -> None:
        """Learn from a batch of a split named in ``fit_splits``, before the samples that are scored."""

    def remark(self, value: float, more: dict[str, float]) -> str:
        """What a reader has to know about a result; empty for nothing."""
        return ""


def expect(name: str, found: Tensor, *shape: int | None) -> None:
    """Check a shape given by the user; None stands for any length.

    Raises:
        ValueError: naming the argument, its shape and the expectation.
    """
    if found.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, found.shape, strict=True)):
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} is {tuple(found.shape)}; expected ({wanted})")


def count(name: str, found: object) -> int:
    """Check a number of things given by the user.

    Raises:
        ValueError: if it is not a whole number from 1; names the argument.
    """
    if isinstance(found, bool) or not isinstance(found, Integral) or found < 1:
        raise ValueError(f"{name} is {found!r}; expected a whole number, at least 1")
    return int(found)


def fraction(name: str, found: object, *, zero: bool = True) -> float:
    """Check a share given by the user, in 0..1; ``zero`` says whether 0 makes sense.

    Raises:
        ValueError: if it is not; names the argument.
    """
    number = isinstance(found, Real) and not isinstance(found, bool)
    if not number or not 0 <= found <= 1 or (found == 0 and not zero):
        raise ValueError(f"{name} is {found!r}; expected a number {'from 0' if zero else 'above 0, up'} to 1")
    return float(found)


def claims(unit_ids: Tensor | None, gate: Tensor | None, like: Tensor, num_units: int) -> tuple[Tensor, Tensor]:
    """The two forms in which units can be given, made one.

    Args:
        unit_ids: ``(b, k)`` int64 id of each column, -1 for padding; None if the columns are all the units, in order.
        gate: ``(b, k)`` bool, whether the unit makes a claim; None if it always does.
        like: ``(b, k, p)`` hits, which give shape and device.
        num_units: u.

    Returns:
        ``(b, k)`` ids without padding (0 in its place) and the ``(b, k)`` gate, false there.

    Raises:
        ValueError: if a shape does not fit or an id is not that of a unit.
    """
    b, k = like.shape[:2]
    if unit_ids is None:
        expect("hits (without unit_ids)", like, None, num_units, None)
        unit_ids = torch.arange(num_units, device=like.device).expand(b, k)
    expect("unit_ids", unit_ids, b, k)
    unit_ids = unit_ids.to(like.device)
    if bool(((unit_ids < -1) | (unit_ids >= num_units)).any()):
        raise ValueError(
            f"unit_ids holds {int(unit_ids.min())} to {int(unit_ids.max())}; expected -1 to {num_units - 1}"
        )
    real = unit_ids >= 0
    if gate is not None:
        expect("gate", gate, b, k)
        real = real & gate.to(like.device).bool()
    return unit_ids.clamp_min(0), real
