"""Base class of all scores: their words, their requirements, the protocol id."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from torch import Tensor

from zoo.batch import Batch
from zoo.metrics._argument_checks import Kind, check_kind, claims, count, expect, fraction
from zoo.metrics._states import States
from zoo.metrics.record import Record

ANY_TASK = frozenset({"classification", "regression", "multilabel"})  # of scores that read no target
__all__ = ["ANY_TASK", "Perturbation", "Record", "Score", "claims", "count", "expect", "fraction"]
Perturbation = Callable[[Batch, int], Batch]  # (batch, draw) -> the same samples, changed, with their annotation mapped


class Score(States):
    """A score that streams, merges and synchronizes by adding up.

    A subclass reduces per-sample pure functions to sums, so the result depends on neither batch size, order,
    process nor the other samples. ``compute`` returns a dict: the headline first, then further read-outs,
    ``support`` (the number of samples), per-unit vectors under keys that start with ``unit/``, curves under
    ``curve/``, tables under ``table/``.

    A score is registered under the name of its file (``@register``); ``zoo.testing.check_score`` tests it. In a suite
    its arguments come from the YAML, except those named ``num_units``, ``part_count``, ``part_names``, ``concepts``,
    ``scenes``, ``task`` and ``names`` (of the outputs): these are filled in from model and data.

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
        inputs: kind of the values of each tensor argument of ``update``, by name; see ``check_kind``. ``update`` passes
            them to ``_check``, and ``zoo.testing.check_score`` tests that it does.
        details: whether each further read-out deserves a table row of its own.
        protocol: id of the exact definition, printed with every number. An argument that changes the definition and is
            not at its default is part of it, as in ``huang2023-v2/tau0.5``.
        requires: what model and data must have. Of the explanation: "units", "owner" (each belongs to a class), and
            "maps" (places of units in an image).
            Also "words" (places of units over the words of a sentence).
            Of the data: "parts" (annotated parts, for units with maps; a control with random locations stands beside
            such a score), "points" (keypoints or masks of parts, without that control), "labels" (annotated concepts),
            "position_labels", "scenes". Of the model: the names of its capabilities (``zoo.capabilities``), such as
            "concepts" or "activity", and "decide" for ``encode`` and ``decide``. Of the task: "answers", a task of few
            outputs.
        tasks: kinds of tasks that the score has a meaning for.
        random_weights: whether the same score of the model with random weights belongs beside it.
        perturbations: changed inputs that ``update_from`` reads as well, each a function and a draw number.
        fit_splits: names of splits that must be passed to ``fit`` before the first ``update``.
        intervals: read-outs that can have an interval, the most informative first: each with the per-unit read-out that
            it is the mean of, in 0..1 (empty for none), and its lowest and highest value. A promise: they are made of
            nothing but sums to which ``_add`` adds, or ``resample`` returns their replicates.
        no_interval: why no read-out can have an interval; empty if one can.
        population: what an interval is for; empty for inputs like these, and units like these where the read-out is a
            mean over units.
        resampled: whether an interval varies the inputs; if not, it varies the units alone.
        few_decide: whether a few inputs, such as wrong answers of high confidence, can decide a bounded score: its
            interval is wide enough for those of which the samples may have none.
        why: why nothing could be scored; empty if something was.

    For subclasses: ``_sum(name, *shape)`` declares a sum and ``_add(name, rows)`` adds the rows of a batch to it (every
    score has the sum ``samples``); ``_rows(name)`` keeps rows instead. ``expect(argument, tensor, *shape)`` and
    ``_check(argument=tensor)`` check what ``update`` is given; ``_variant`` adds arguments to the protocol.

    Example:
        >>> import torch
        >>> class Certainty(Score):  # decorated with @register, in a file of its own
        ...     title = "Certainty"
        ...     meaning = "mean probability of the predicted class"
        ...     protocol = "example-v1"
        ...     inputs = {"logits": "finite"}
        ...     intervals = {"certainty": ("", 0, 1)}
        ...
        ...     def __init__(self):
        ...         super().__init__()
        ...         self._sum("total", dtype=torch.float64)
        ...
        ...     def update(self, logits):
        ...         expect("logits", logits, None, None)
        ...         self._check(logits=logits)
        ...         self._add("total", logits.double().softmax(1).amax(1))
        ...         self._add("samples", torch.ones(len(logits)))
        ...
        ...     def update_from(self, record, changed=None, draw=0):
        ...         self.update(record.explanation.logits)
        ...
        ...     def compute(self):
        ...         return {"certainty": self.total / self.samples, "support": self.samples}
        >>> score = Certainty()
        >>> score.update(torch.zeros(3, 4))
        >>> float(score.compute()["certainty"])
        0.25
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
    inputs: ClassVar[Mapping[str, Kind]] = {}
    details: ClassVar[bool] = False
    no_interval: ClassVar[str] = ""
    population: ClassVar[str] = ""
    resampled: ClassVar[bool] = True
    few_decide: ClassVar[bool] = False
    random_weights: ClassVar[bool] = False
    higher_is_better: bool | None = True
    protocol: str = ""
    requires: frozenset[str] = frozenset()
    tasks: frozenset[str] = frozenset({"classification"})
    fit_splits: tuple[str, ...] = ()
    intervals: Mapping[str, tuple[str, float, float]] = {}
    why: str = ""

    def __init__(self) -> None:
        super().__init__()
        self.perturbations: list[tuple[Perturbation, int]] = []

    def _variant(self, protocol: str, **arguments: Any) -> str:
        """Return the protocol id with the arguments of the definition that are not at their defaults."""
        known = inspect.signature(type(self)).parameters
        return protocol + "".join(f"/{key}{value}" for key, value in arguments.items() if value != known[key].default)

    def _check(self, **fields: Tensor | None) -> None:
        """Check that the values of arguments of ``update`` are of the kinds in ``inputs``; None is not checked.

        Raises:
            ValueError: naming the score, the argument, the input and the number.
        """
        for field, value in fields.items():
            if value is not None:
                check_kind(self._field(field), value, self.inputs[field])

    @property
    def _name(self) -> str:
        """The name by which error messages call the score."""
        return getattr(self, "name", type(self).__name__)

    def _field(self, name: str) -> str:
        """Return the name of an argument of ``update`` as error messages call it."""
        return f"{self._name}.{name}"

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

    def interval_readouts(self) -> dict[str, Tensor]:
        """Return at least the read-outs of ``intervals``, for each bootstrap replicate; a cheaper ``compute``."""
        return type(self).compute(self)  # past the cache of torchmetrics

    def interval_support(self, name: str, samples: int) -> int:
        """Return the number of independent samples behind a read-out of ``intervals``, at most ``samples``."""
        return samples

    def resample(self, weights: Tensor) -> dict[str, Tensor]:
        """Return bootstrap replicates ``(r,)`` of the read-outs of ``intervals``, for scores that keep rows of samples.

        Called after ``compute``.

        Args:
            weights: ``(n, r)`` int64, how often each of the n kept rows counts in each replicate.
        """
        return {}

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
