"""The smallest change of an input or of its units that changes the answer, exact for additive and affine heads.

Source: Wachter, Mittelstadt, Russell, Counterfactual Explanations without Opening the Black Box, Harvard Journal of Law
and Technology 2018; for linear models and discrete changes Ustun, Spangher, Liu, Actionable Recourse in Linear
Classification, FAT* 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from zoo.capabilities import HasAffineHead, HasConcepts, HasFeatureTables, HasUnitChoices, capability
from zoo.concept_schema import ConceptSchema
from zoo.task import Classification, Regression
from zoo.what_if.choices import Choices, Slot, of_head, of_tables
from zoo.what_if.search import Selection, smallest_change

MAX_CHANGES = 4
RANGE_DIGITS = 3  # of the range of a number, to which a change is rounded
SLACK = 1e-6  # of the size of the logits, by which the new answer leads
TIE = 1e-9  # by which logits that are equal may differ before the model has rounded their sum to whole points


class Change(NamedTuple):
    """One thing that is changed.

    Attributes:
        name: of the column, concept or unit.
        now: what it is, in words.
        to: what it becomes, in words.
        value: a number of the row, or strengths by unit.
    """

    name: str
    now: str
    to: str
    value: Any


@dataclass(frozen=True)
class Counterfactual:
    """The smallest change of one input that gives another answer.

    Attributes:
        answer: class that is predicted.
        target: class that is predicted after the changes; None if no change of so many gives one that was asked for.
        changes: of the fewest columns or concepts, and of these the least; empty if there is none.
        cost: size of the changes, see ``zoo.what_if.choices``.
        logits: ``(c,)`` of the model after them; those of the input if there is none.
        what: what can be changed is called, several of them.
        max_changes: largest number that was tried.
        goal: of a regression, what was wanted, such as ``at least 20``; empty for a classification.
        before: of a regression, the prediction.
    """

    answer: int
    target: int | None
    changes: tuple[Change, ...]
    cost: float
    logits: Tensor
    what: str
    max_changes: int
    goal: str = ""
    before: float = 0.0

    def sentences(self, class_names: Sequence[str], *, asked: int | None = None) -> list[str]:
        """Return the counterfactual in words.

        Args:
            class_names: of the c classes.
            asked: the class that was asked for; None for any other than the answer.
        """
        if self.goal:
            answer, would_be = f"The prediction is {_said(self.before)}.", f"{_said(float(self.logits[0]))}"
            wanted = f"a prediction of {self.goal}"
        else:
            answer = f"The answer is “{class_names[self.answer]}”."
            would_be = "" if self.target is None else f"“{class_names[self.target]}”"
            wanted = "another answer" if asked is None else f"the answer “{class_names[asked]}”"
        if self.target is None:
            return [answer, f"No change of up to {self.max_changes} of the {self.what} that may change gives {wanted}."]
        if not self.changes:
            return [answer, f"It is {self.goal} as it is."]
        parts = [f"{c.name} were “{c.to}” instead of “{c.now}”" for c in self.changes]
        listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
        fewer = "" if len(parts) == 1 else f" No change of fewer {self.what} does it."
        return [answer, f"It would be {would_be} if {listed}, all else as it is.{fewer}"]


def _said(value: float) -> str:
    return f"{value:.5g}".replace("-", "−")


@torch.no_grad()
def counterfactuals(
    model: Any,
    x: Tensor,
    *,
    allowed: Sequence[str] | None = None,
    target: int | None = None,
    max_changes: int = MAX_CHANGES,
    above: float | None = None,
    below: float | None = None,
) -> list[Counterfactual]:
    """Return the counterfactual of each of the inputs ``(b, ...)``, see ``SelfExplaining.counterfactual``."""
    task = model.task
    if max_changes < 1:
        raise ValueError(f"max_changes is {max_changes}; expected 1 or more")
    if isinstance(task, Regression):
        if (above is None) == (below is None) or target is not None:
            raise ValueError("the task is regression; expected above or below, the number that is to be crossed")
        bound, side = (above, 1.0) if above is not None else (below, -1.0)
        assert bound is not None
        return _of_numbers(model, x, allowed, float(bound), side, max_changes)
    if above is not None or below is not None:
        raise ValueError(f"above or below is given and the task of the model is {task.kind}; expected a regression")
    if not isinstance(task, Classification) or task.classes < 2:
        raise ValueError(f"the task of the model is {task.kind}; expected a classification of two classes or more")
    if target is not None and not 0 <= target < task.classes:
        raise ValueError(f"target is {target}; expected a class, 0 to {task.classes - 1}")
    logits = model(x)
    answers = task.explained(logits).tolist()
    results = []
    for i, choices in enumerate(choices_of(model, x)):
        choices = choices.only(allowed)
        targets = [c for c in range(task.classes) if c != answers[i] and target in (None, c)]
        if not targets:
            raise ValueError(f"target is {target}, which is the answer to input {i}; expected another class")
        best: tuple[Selection, int] | None = None
        for c in targets:
            found = _search(choices, logits[i].double().cpu().numpy(), task, c, max_changes)
            if found is not None and (best is None or _size(found) < _size(best[0])):
                best = (found, c)
        results.append(_checked(model, x[i : i + 1], choices, best, answers[i], logits[i], max_changes))
    return results


def _of_numbers(
    model: Any, x: Tensor, allowed: Sequence[str] | None, bound: float, side: float, max_changes: int
) -> list[Counterfactual]:
    """The smallest changes after which predictions are on the other side of a number: 1 for above it, -1 for below."""
    results = []
    for i, (choices, now) in enumerate(zip(choices_of(model, x), model(x)[:, 0].tolist(), strict=True)):
        choices = choices.only(allowed)
        need = np.array([side * (bound - now)])
        if need[0] > 0:  # otherwise it is there as it is
            need += SLACK * (1.0 + max(abs(now), abs(bound)))
        found = _smallest(choices, lambda delta: side * delta[..., :1], need, max_changes)
        goal = f"at {'least' if side > 0 else 'most'} {_said(bound)}"
        row = x[i : i + 1]

        def reached(after: Tensor) -> bool:
            return side * (float(after[0, 0]) - bound) >= 0

        best = None if found is None else (found, 0)
        result = _checked(model, row, choices, best, 0, model(row)[0], max_changes, reached)
        results.append(replace(result, goal=goal, before=now))
    return results


def _smallest(
    choices: Choices, margin: Callable[[np.ndarray], np.ndarray], need: np.ndarray, max_changes: int
) -> Selection | None:
    """The smallest change after which ``margin`` of the change of the logits is at least ``need`` ``(k,)``."""
    gains = [margin(slot.delta) if len(slot.cost) else np.zeros((0, len(need))) for slot in choices.slots]
    pairs = {key: margin(extra) for key, extra in choices.pairs.items()}
    costs = [slot.cost for slot in choices.slots]
    ranges = [n for n, slot in enumerate(choices.slots) if slot.span is not None]
    return smallest_change(gains, costs, pairs, need, max_changes=max_changes, ranges=ranges)


def _size(selection: Selection) -> tuple[int, float]:
    return len(selection.options), selection.cost


def choices_of(model: Any, x: Tensor) -> list[Choices]:
    """Return what can be changed of each of the inputs ``(b, ...)``.

    Raises:
        ValueError: if the answer does not follow from columns or units by one sum.
    """
    if (tables := capability(model, HasFeatureTables)) is not None:
        numbers = tables.feature_tables()
        return [of_tables(numbers, row) for row in x.flatten(1).double().cpu().numpy()]
    if (affine := capability(model, HasAffineHead)) is None:
        raise ValueError(
            f"the answer of this {model.name} does not follow from its units by one sum, so that the smallest change is"
            " not known; try changes with `zoo intervene`"
        )
    head, strength = affine.affine_head(x), model.explain(x, shown=0).strength
    if (named := capability(model, HasUnitChoices)) is not None:
        names = model.units.names
        return [
            of_head(head, row, names, i=i, what=f"{model.units.kind}s", named=named.unit_choices(row))
            for i, row in enumerate(strength)
        ]
    concept_model, columns = capability(model, HasConcepts), model.hparams.get("concepts")
    if concept_model is None or not isinstance(columns, Mapping):
        names = model.units.names
        return [of_head(head, row, names, i=i, what=f"{model.units.kind}s") for i, row in enumerate(strength)]
    schema = ConceptSchema.from_config(columns)
    ends = concept_model.encode_concepts(torch.stack([torch.zeros(len(schema)), torch.ones(len(schema))]).to(strength))
    values = concept_model.decode_concepts(strength)
    return [
        of_head(head, row, schema.names, i=i, schema=schema, ends=ends, values=values[i], what="concepts")
        for i, row in enumerate(strength)
    ]


def _search(
    choices: Choices, logits: np.ndarray, task: Classification, target: int, max_changes: int
) -> Selection | None:
    """The smallest change after which the task decides for a class."""
    others = [c for c in range(len(logits)) if c != target]
    lead = np.zeros(len(others))
    if task.threshold is not None:  # a probability p1 >= t is a difference of the two logits
        offset = task.offset or (0.0, 0.0)
        needed = task.temperature * math.log(task.threshold / (1 - task.threshold)) + offset[0] - offset[1]
        lead[0] = needed if target == 1 else -needed
    slack = np.full(len(others), SLACK * (1.0 + float(np.abs(logits).max())))
    if choices.exact_ties:  # a tie is enough for the class that wins it
        wins = np.array([target < c if task.threshold is None else target == 1 for c in others])
        slack = np.where(wins, -TIE, slack)
    need = lead - (logits[target] - logits[others]) + slack

    def margin(delta: np.ndarray) -> np.ndarray:
        return delta[..., [target]] - delta[..., others]

    return _smallest(choices, margin, need, max_changes)


def _checked(
    model: Any,
    x: Tensor,
    choices: Choices,
    best: tuple[Selection, int] | None,
    answer: int,
    logits: Tensor,
    max_changes: int,
    reached: Callable[[Tensor], bool] | None = None,
) -> Counterfactual:
    """The counterfactual with the logits of the model itself after the changes.

    A number is rounded to three digits of its range, away from what it is, where the answer is the same.
    """
    if best is None:
        return Counterfactual(answer, None, (), 0.0, logits, choices.what, max_changes)
    selection, target = best

    def is_target(after: Tensor) -> bool:
        return int(model.task.explained(after)[0]) == target

    enough = is_target if reached is None else reached
    for digits in (RANGE_DIGITS, RANGE_DIGITS + 3, None):
        changes = tuple(
            _change(choices.slots[n], option, selection, n, digits) for n, option in selection.options.items()
        )
        after = answer_after(model, x, changes) if changes else model(x)
        if enough(after):
            return Counterfactual(answer, target, changes, selection.cost, after[0], choices.what, max_changes)
    raise RuntimeError(
        f"after {changes} the model does not answer as its head does: its head is not what it hands over"
    )


def _change(slot: Slot, option: int, selection: Selection, n: int, digits: int | None) -> Change:
    """One change; ``digits`` of the range of a number that are kept, None for all."""
    if slot.span is None:
        return Change(slot.name, slot.now, slot.words[option], slot.values[option])
    now, end = slot.span[0], slot.ends[option]
    value = now + selection.fractions[n] * (end - now)
    if digits is not None:
        step = 10.0 ** math.floor(math.log10(abs(slot.span[2] - slot.span[1]) / 10**digits))
        rounded = (math.ceil(value / step) if end > now else math.floor(value / step)) * step
        value = min(rounded, end) if end > now else max(rounded, end)
    share = (value - now) / (end - now)
    strength = {
        u: first + share * (last - first)
        for (u, last), first in zip(slot.values[option].items(), slot.first, strict=True)
    }
    return Change(slot.name, slot.now, f"{value:.10g}".replace("-", "−"), strength)


def answer_after(model: Any, x: Tensor, changes: Sequence[Change]) -> Tensor:
    """Return the logits ``(1, c)`` of the model for one input ``(1, ...)`` after changes."""
    tables = capability(model, HasFeatureTables)
    if tables is None:
        values = {unit: strength for change in changes for unit, strength in change.value.items()}
        return model.intervene(x, values)
    names = list(tables.feature_tables().names)
    changed = x.clone()
    for change in changes:
        changed.view(1, -1)[0, names.index(change.name)] = change.value
    return model(changed)
