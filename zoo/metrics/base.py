"""What all scores share: sum states, a protocol id, their words, and the record that a suite hands to each of them."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
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
    """One batch, explained once, as every score reads it.

    Attributes:
        batch: the samples.
        explanation: of the true class.
        gate: ``(b, k)`` bool, whether each shown unit makes a claim on the sample. Padding never does.
        peaks: ``(b, k, 2)`` int64 (x, y) pixel of each shown unit; None without a map or without part annotations.
        hits: ``(b, k, p)`` bool parts around each peak; None where ``peaks`` is None.
        ends: strengths ``(b, u)`` that stand for 0 and for 1 of every concept; None where units are not concepts.
        predicted: ``(b, m)`` predicted concepts as probabilities; None where ``ends`` is None.
        decide: logits ``(..., b, c)`` with strengths set, from mask and value ``(..., b, u)``; None where ``ends`` is
            None.
        features: ``(b, d)`` what the units are computed from; None where that is no vector.
        model: the model, for scores that ask it again; offers the contract.
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

    @property
    def located(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``peaks``, ``hits``, and the points ``(b, p, 2)`` and visibility ``(b, p)`` of the batch's parts.

        Raises:
            ValueError: if units or parts have no location.
        """
        points, visible = self.batch.points, self.batch.visible
        if self.peaks is None or self.hits is None or points is None or visible is None:
            raise ValueError("the record has no peaks and parts; expected units with maps and annotated parts")
        return self.peaks, self.hits, points, visible

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images, in pixels."""
        return self.batch.x.shape[-2], self.batch.x.shape[-1]

    @cached_property
    def predicted_contribution(self) -> tuple[Tensor, Tensor]:
        """Contributions ``(b, u)`` to the predicted class, and that class ``(b,)``.

        Inputs whose predicted class is not the one already explained are explained again, once for all scores.
        """
        explanation = self.explanation
        predicted, contribution = explanation.logits.argmax(1), explanation.contribution
        rows = (predicted != explanation.target).nonzero()[:, 0]
        if len(rows):
            again = self.model.explain(self.batch.x[rows], target=predicted[rows], shown=1).contribution.detach()
            contribution = contribution.index_copy(0, rows, again.to(contribution))
        return contribution, predicted


class Score(Metric):
    """A score that streams, merges and synchronizes by adding up.

    A subclass reduces per-sample pure functions to sums, so the result depends on neither batch size, order,
    process nor the other samples. ``compute`` returns a dict: the headline first, then further read-outs,
    ``support`` (the number of samples), per-unit vectors under keys that start with ``unit/``, curves under ``curve/``.

    A score is registered under the name of its file (``@register``); ``zoo.testing.check_score`` tests it.

    Attributes:
        title: heading of a table row.
        meaning: one line that says what the headline is.
        unit: unit of the headline: ``%``, ``units``, ``nats`` or empty.
        higher_is_better: direction; None if neither end is better.
        axes: (x label, y label) by the name of a curve; ``*`` stands for all other curves.
        unit_readouts: column headings of the per-unit vectors that are for readers, by name.
        unit_pass_rate: the per-unit vector that is the share of inputs on which a unit passes the test of the score, by
            which pages rank units; empty for none.
        chance_readouts: read-outs that hold the chance level of the headline.
        details: whether each further read-out deserves a table row of its own.
        protocol: id of the exact definition, printed with every number. An argument that changes the definition and is
            not at its default is part of it, as in ``huang2023-v2/tau0.5``.
        requires: what model and data must have. Of the explanation: "units", and "maps", places of units in an image.
            Of the data: "parts" (annotated parts, for units with maps; a control with random locations stands beside
            such a score), "points" (annotated parts, without that control), "labels" (annotated concepts),
            "position_labels", "scenes". Of the model: the names of its capabilities (``zoo.capabilities``), such as
            "concepts" or "activity", and "decide" for ``encode`` and ``decide``.
        random_weights: whether the same score of the model with random weights belongs beside it.
        perturbations: changed inputs that ``update_from`` reads as well, each a function and a draw number.
        fit_splits: names of splits that must be passed to ``fit`` before the first ``update``.
        intervals: read-outs that can have an interval, the most informative first: each with the per-unit read-out that
            it is the mean of, in 0..1 (empty for none), and its lowest and highest value. A promise: they are made of
            nothing but sums to which ``_add`` adds.
        why: why nothing could be scored; empty if something was.
    """

    registered_as: ClassVar[str] = "score"
    name: ClassVar[str]
    title: ClassVar[str] = ""
    meaning: ClassVar[str] = ""
    unit: ClassVar[str] = ""
    axes: ClassVar[Mapping[str, tuple[str, str]]] = {}
    unit_readouts: ClassVar[Mapping[str, str]] = {}
    unit_pass_rate: ClassVar[str] = ""
    chance_readouts: ClassVar[tuple[str, ...]] = ()
    details: ClassVar[bool] = False
    random_weights: ClassVar[bool] = False
    full_state_update = False
    higher_is_better: bool | None = True
    protocol: str = ""
    requires: frozenset[str] = frozenset()
    fit_splits: tuple[str, ...] = ()
    intervals: Mapping[str, tuple[str, float, float]] = {}
    why: str = ""
    samples: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.perturbations: list[tuple[Perturbation, int]] = []
        self._sum("samples")

    def _sum(self, name: str, *shape: int, dtype: torch.dtype = torch.int64) -> None:
        """Declare a state that is a sum over samples."""
        self.add_state(name, torch.zeros(shape, dtype=dtype), dist_reduce_fx="sum")

    def _add(self, name: str, rows: Tensor, *, at: Tensor | None = None, by: Tensor | None = None) -> None:
        """Add to a sum what each sample adds; ``BootstrapInterval`` intercepts this call.

        Args:
            name: of the sum.
            rows: ``(b, *shape)``; with ``at`` ``(b, k, *rest)``; with ``by`` ``(b, u)``.
            at: ``(b, k)`` int64 entries of the sum's first dimension to which the k rows of a sample go.
            by: ``(b, p)`` whose product with ``rows``, ``(b, u, p)``, is added without being materialized.
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
        """Declare a state that keeps rows of samples: a list of tensors of any type and width, one for each batch."""
        self.add_state(name, [], dist_reduce_fx="cat")

    def _sync_dist(self, dist_sync_fn: Callable[..., Any] = gather_all_tensors, process_group: Any = None) -> None:
        """Gather sums as torchmetrics does, rows as objects: a process without samples knows neither type nor width."""
        reductions = self._reductions
        mine = {name: getattr(self, name) for name, start in self._defaults.items() if isinstance(start, list)}
        self._reductions = {name: how for name, how in reductions.items() if name not in mine}
        super()._sync_dist(dist_sync_fn, process_group)
        self._reductions = reductions
        if mine:
            group = process_group or self.process_group
            gathered: list[Any] = [None] * dist.get_world_size(group)
            dist.all_gather_object(gathered, {k: [t.cpu() for t in v] for k, v in mine.items()}, group)
            for name in mine:
                setattr(self, name, [rows for process in gathered for rows in process[name]])

    def _variant(self, protocol: str, **arguments: Any) -> str:
        """Return the protocol id with the arguments of the definition that are not at their defaults."""
        known = inspect.signature(type(self)).parameters
        return protocol + "".join(f"/{key}{value}" for key, value in arguments.items() if value != known[key].default)

    @abstractmethod
    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record.

        Args:
            record: the batch as it is.
            changed: the same batch under one of ``perturbations``, for scores that name any.
            draw: number of that perturbation's draw.
        """

    def fit(self, record: Record, split: str) -> None:
        """Learn from a batch of a split named in ``fit_splits``, before the samples that are scored."""

    def evaluate_positions(self, evaluator: Any) -> None:
        """Score whole sequences; for scores that require "position_labels"."""

    def describe(self, readouts: Mapping[str, float]) -> str:
        """Return the line that a table prints beside the value: the meaning, and the chance level if there is one.

        Args:
            readouts: further read-outs of the result by name.
        """
        chance = [f"; chance is {readouts[key]:.3g}" for key in self.chance_readouts if key in readouts]
        return self.meaning + "".join(chance)

    def remark(self, value: float, more: dict[str, float]) -> str:
        """Return what a reader has to know about a result; empty for nothing."""
        return ""


def expect(name: str, found: Tensor, *shape: int | None) -> None:
    """Check a shape given by the user; None stands for any length.

    Raises:
        ValueError: naming the argument, its shape and the expectation.

    Example:
        >>> expect("logits", torch.zeros(2, 3), None, 4)
        Traceback (most recent call last):
        ValueError: logits is (2, 3); expected (any, 4)
    """
    if found.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, found.shape, strict=True)):
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} is {tuple(found.shape)}; expected ({wanted})")


def count(name: str, found: object) -> int:
    """Return a number of things given by the user.

    Raises:
        ValueError: if it is not a whole number from 1; names the argument.
    """
    if isinstance(found, bool) or not isinstance(found, Integral) or found < 1:
        raise ValueError(f"{name} is {found!r}; expected a whole number, at least 1")
    return int(found)


def fraction(name: str, found: object, *, zero: bool = True) -> float:
    """Return a share given by the user, in 0..1; ``zero`` tells whether 0 is allowed.

    Raises:
        ValueError: if it is not such a share; names the argument.
    """
    if isinstance(found, Real) and not isinstance(found, bool):
        share = float(found)
        if 0 < share <= 1 or (share == 0 and zero):
            return share
    raise ValueError(f"{name} is {found!r}; expected a number {'from 0' if zero else 'above 0, up'} to 1")


def claims(unit_ids: Tensor | None, gate: Tensor | None, like: Tensor, num_units: int) -> tuple[Tensor, Tensor]:
    """Bring the two forms in which units can be given into one.

    Args:
        unit_ids: ``(b, k)`` int64 id of each column, -1 for padding; None if the columns are all the units, in order.
        gate: ``(b, k)`` bool, whether the unit makes a claim; None if it always does.
        like: ``(b, k, p)`` hits, which give shape and device.
        num_units: u.

    Returns:
        ``(b, k)`` ids with 0 in place of padding, and the ``(b, k)`` gate, false there.

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
