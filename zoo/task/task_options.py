"""What a user declares about a task: loss, class weights, costs of errors, abstention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from zoo.task.class_weights import balanced_weights

COSTS = ("false_positive", "false_negative")


@dataclass(frozen=True)
class TaskOptions:
    """The section ``task`` of a config; ``zoo.config.TaskArgs`` has the same fields.

    Attributes:
        loss: of a regression, ``squared`` or ``huber``; None for squared.
        delta: of the Huber loss, in standard deviations of y.
        class_weights: of the loss: ``balanced``, a weight by class name, or a list; None for equal ones.
        smoothing: of the labels of a classification.
        calibrate: fit a temperature on validation samples.
        cost: of a wrong answer to an input of a class, by class name; or ``false_positive`` and ``false_negative``, the
            second class (or the presence of a label) being positive. The threshold of least cost is chosen on
            validation samples. None for the largest logit.
        max_risk: error rate that answers may have on validation samples; the model abstains from less confident ones.

    Raises:
        ValueError: if an option is out of range.

    >>> TaskOptions(cost={"ill": 10}).costs(["ill", "well"])
    {'false_positive': 10.0, 'false_negative': 1.0}
    """

    loss: str | None = None
    delta: float = 1.0
    class_weights: Any = None
    smoothing: float = 0.0
    calibrate: bool = True
    cost: Mapping[str, float] | None = None
    max_risk: float | None = None

    def __post_init__(self) -> None:
        if self.cost is not None and not (isinstance(self.cost, Mapping) and all(map(_is_number, self.cost.values()))):
            raise ValueError(f"task.cost is {self.cost!r}; expected a number for each class, such as {{ill: 10}}")
        if self.max_risk is not None and not 0 <= self.max_risk < 1:
            raise ValueError(f"task.max_risk is {self.max_risk}; expected an error rate, 0 or more and below 1")

    def costs(self, names: Sequence[str] = ()) -> dict[str, float]:
        """Return both costs; one that is not given is 1.

        Args:
            names: of two classes, whose costs may be given by name; empty where they may not.

        Raises:
            ValueError: if a cost has another name.
        """
        keys: dict[str, str] = (
            dict(zip(names, COSTS, strict=False)) if len(names) == 2 else {}
        )  # the second class is positive
        costs: dict[str, float] = dict.fromkeys(COSTS, 1.0)
        for name, cost in (self.cost or {}).items():
            key = keys.get(name, name)
            if key not in COSTS:
                raise ValueError(f"task.cost has {name!r}; expected {' and '.join((*names, *COSTS)[:4])}")
            costs[key] = float(cost)
        return costs

    def only(self, kind: str, *allowed: str) -> None:
        """Refuse options that mean nothing for a kind of task.

        Raises:
            ValueError: naming the option and the task.
        """
        for option in fields(self):
            if option.name not in (*allowed, "calibrate") and getattr(self, option.name) != option.default:
                raise ValueError(f"task.{option.name} is given, and the target is a {kind}; take it out")

    def weights_of(self, names: Sequence[str], counts: Sequence[int]) -> tuple[float, ...] | None:
        """Return the weight of each class, from names, a list or ``balanced``.

        Args:
            names: of the classes.
            counts: training samples of each.

        Raises:
            ValueError: if a name or the number of weights does not fit.
        """
        given = self.class_weights
        if given is None:
            return None
        if given == "balanced":
            return balanced_weights(counts)
        if isinstance(given, Mapping):
            weights = {str(name): float(weight) for name, weight in given.items()}
            if unknown := [name for name in weights if name not in names]:
                raise ValueError(f"task.class_weights has {unknown[0]!r}; expected {', '.join(names)}")
            return tuple(weights.get(name, 1.0) for name in names)
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise ValueError(f"task.class_weights is {given!r}; expected balanced, a list, or a weight by class name")
        return tuple(float(weight) for weight in given)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
