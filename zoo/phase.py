"""One stage of training: trained parts, learning rates, loss weights, and the methods called afterwards."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class Phase:
    """One stage of training: one ``Trainer.fit`` or none, then methods of the model.

    Attributes:
        epochs: passes over the training split; 0 for a phase that only calls methods.
        lr: learning rate by name of a part (``model.trainable_parts()``); parts not named are frozen, in eval mode.
        loss: weight by name of a loss term (``model.terms``); terms not named keep weight 1 for ``task``, 0 otherwise.
            A weight is a number, or ``{from: 0, to: 1}``: it then changes linearly over the steps of the phase.
        optimizer: adam, adamw or sgd (momentum 0.9).
        weight_decay: of the optimizer.
        schedule: constant; cosine to zero over the phase; ``one_cycle``: up to the learning rate in the first 15 % of
            the steps, then down to zero (Smith and Topin 2018); or ``step``: times ``gamma`` every ``every`` epochs.
        clip: largest gradient norm; null for none.
        freeze_norm: keep the running statistics of BatchNorm layers and normalize with them (eval mode), also in parts
            that are trained.
        cache: with a frozen backbone, or a frozen ``stem`` of one that is cut, number of augmented passes whose
            features are kept in memory to train on.
        then: methods of the model to call afterwards, in order: a name, or names with their arguments. Such a method
            takes the loader of the training split first, ``def prune(self, loader, *, share=0.1)``, and may return a
            mapping of numbers, which is written to the log.

    Example:
        >>> Phase(epochs=2, lr={"head": 1e-3}).optimizer
        'adam'
    """

    epochs: int = 0
    lr: dict[str, float] = field(default_factory=dict)
    loss: dict[str, Any] = field(default_factory=dict)
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine", "one_cycle", "step"] = "constant"
    every: int = 5
    gamma: float = 0.1
    clip: float | None = None
    freeze_norm: bool = False
    cache: int = 0
    then: Any = None

    @property
    def ramps(self) -> bool:
        """Whether the weight of a loss term changes over the phase.

        Example:
            >>> Phase(loss={"align": {"from": 0, "to": 5}}).ramps, Phase(loss={"align": 5}).ramps
            (True, False)
        """
        return any(isinstance(weight, Mapping) for weight in self.loss.values())

    def loss_weights(self, progress: float) -> dict[str, float]:
        """Return the weights of the loss terms that the phase names.

        Args:
            progress: share of the steps of the phase that are done, 0 to 1.

        Raises:
            ValueError: if a weight is neither a number nor a mapping of ``from`` and ``to``.

        Example:
            >>> Phase(loss={"align": {"from": 0, "to": 5}, "tanh": 2}).loss_weights(0.5)
            {'align': 2.5, 'tanh': 2.0}
        """
        weights = {}
        for name, weight in self.loss.items():
            first, last = _ends(name, weight)
            weights[name] = first + (last - first) * progress
        return weights


def _ends(name: str, weight: Any) -> tuple[float, float]:
    """First and last value of the weight of a loss term."""
    ends = dict(weight) if isinstance(weight, Mapping) else {"from": weight, "to": weight}
    if set(ends) != {"from", "to"} or not all(_is_number(value) for value in ends.values()):
        raise ValueError(f"loss.{name} is {weight}; expected a finite number, or such a mapping as {{from: 0, to: 1}}")
    return float(ends["from"]), float(ends["to"])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def needs_task_loss(why: str, phases: Mapping[str, Phase], parts: Sequence[str]) -> None:
    """Check that a phase trains one of ``parts`` with a task loss.

    Args:
        why: what needs it, such as ``model.mode is 'joint'``.
        phases: of the run.
        parts: names of parts.

    Raises:
        ValueError: naming the phases that train the parts without a task loss.

    Example:
        >>> needs_task_loss("mode is 'joint'", {"all": Phase(epochs=1, lr={"concepts": 1e-3})}, ["concepts"])
    """
    training = {name: phase for name, phase in phases.items() if phase.epochs and any(map(phase.lr.get, parts))}
    if training and not any(phase.loss.get("task", 1.0) for phase in training.values()):
        name = next(iter(training))
        raise ValueError(
            f"{why}, but no phase trains {' or '.join(parts)} with a task loss; set phases.{name}.loss.task above 0"
            " and train the head in that phase"
        )


def methods(then: Any) -> dict[str, dict[str, Any]]:
    """Return the ``then`` of a phase as method name -> keyword arguments.

    Raises:
        ValueError: if it is neither a name nor a mapping of names.

    Example:
        >>> methods({"fit_head": {"l1": 1e-4}, "prune": None})
        {'fit_head': {'l1': 0.0001}, 'prune': {}}
    """
    if then is None:
        return {}
    if isinstance(then, str):
        return {then: {}}
    if isinstance(then, dict) and all(v is None or isinstance(v, dict) for v in then.values()):
        return {str(name): dict(args or {}) for name, args in then.items()}
    raise ValueError(f"then is {then!r}; expected a method's name, or a mapping such as {{fit_head: {{l1: 1e-4}}}}")
