"""The smallest change of an input or of its units that changes the answer, exact for additive and affine heads.

Source: Wachter, Mittelstadt, Russell, Counterfactual Explanations without Opening the Black Box, Harvard Journal of Law
and Technology 2018; for linear models and discrete changes Ustun, Spangher, Liu, Actionable Recourse in Linear
Classification, FAT* 2019.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from zoo.capabilities import HasAffineHead, HasConcepts, HasFeatureTables, capability
from zoo.concept_schema import ConceptSchema
from zoo.task import Classification
from zoo.what_if.choices import Choices, Slot, of_head, of_tables
from zoo.what_if.search import Selection, smallest_change

MAX_CHANGES = 4
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
    """

    answer: int
    target: int | None
    changes: tuple[Change, ...]
    cost: float
    logits: Tensor
    what: str
    max_changes: int

    def sentences(self, class_names: Sequence[str], *, asked: int | None = None) -> list[str]:
        """Return the counterfactual in words.

        Args:
            class_names: of the c classes.
            asked: the class that was asked for; None for any other than the answer.
        """
        answer = f"The answer is “{class_names[self.answer]}”."
        if self.target is None:
            wanted = "another answer" if asked is None else f"the answer “{class_names[asked]}”"
            return [answer, f"No change of up to {self.max_changes} of the {self.what} that may change gives {wanted}."]
        parts = [f"{c.name} were “{c.to}” instead of “{c.now}”" for c in self.changes]
        listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
        fewer = "" if len(parts) == 1 else f" No change of fewer {self.what} does it."
        return [answer, f"It would be “{class_names[self.target]}” if {listed}, all else as it is.{fewer}"]


@torch.no_grad()
def counterfactuals(
    model: Any,
    x: Tensor,
    *,
    allowed: Sequence[str] | None = None,
    target: int | None = None,
    max_changes: int = MAX_CHANGES,
) -> list[Counterfactual]:
    """Return the counterfactual of each of the inputs ``(b, ...)``, see ``SelfExplaining.counterfactual``."""
    task = model.task
    if not isinstance(task, Classification) or task.classes < 2:
        raise ValueError(f"the task of the model is {task.kind}; expected a classification of two classes or more")
    if target is not None and not 0 <= target < task.classes:
        raise ValueError(f"target is {target}; expected a class, 0 to {task.classes - 1}")
    if max_changes < 1:
        raise ValueError(f"max_changes is {max_changes}; expected 1 or more")
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

    gains = [margin(slot.delta) if len(slot.cost) else np.zeros((0, len(others))) for slot in choices.slots]
    pairs = {key: margin(extra) for key, extra in choices.pairs.items()}
    return smallest_change(gains, [slot.cost for slot in choices.slots], pairs, need, max_changes=max_changes)


def _checked(
    model: Any,
    x: Tensor,
    choices: Choices,
    best: tuple[Selection, int] | None,
    answer: int,
    logits: Tensor,
    max_changes: int,
) -> Counterfactual:
    """The counterfactual with the logits of the model itself after the changes."""
    if best is None:
        return Counterfactual(answer, None, (), 0.0, logits, choices.what, max_changes)
    selection, target = best
    picked: list[tuple[Slot, int]] = [(choices.slots[n], option) for n, option in selection.options.items()]
    changes = tuple(Change(slot.name, slot.now, slot.words[o], slot.values[o]) for slot, o in picked)
    after = answer_after(model, x, changes)
    if int(model.task.explained(after)[0]) != target:
        raise RuntimeError(
            f"after {changes} the model predicts class {int(model.task.explained(after)[0])}; expected {target}:"
            " its head is not what it hands over"
        )
    return Counterfactual(answer, target, changes, selection.cost, after[0], choices.what, max_changes)


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
