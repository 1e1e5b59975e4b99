"""Units set by name, one after another, and the answer after each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from zoo.capabilities import HasConcepts, capability
from zoo.concept_schema import ConceptSchema
from zoo.config import Settings, plain
from zoo.explanation import Explanation, Units
from zoo.model import SelfExplaining
from zoo.paths import did_you_mean
from zoo.reporting.context import StepRow
from zoo.reporting.numbers import percent
from zoo.task import Task


def model_schema(config: Settings) -> ConceptSchema | None:
    """Return the concepts that a model was trained on; None for a model without."""
    columns = config.model.get("concepts")
    return ConceptSchema.from_config(plain(columns)) if columns else None


def read_statements(
    model: SelfExplaining, schema: ConceptSchema | None, statements: Mapping[str, str]
) -> tuple[Tensor, Tensor]:
    """Read n statements such as ``wing=striped``.

    Args:
        model: whose u units are set.
        schema: its concepts, if it has any: names and values are theirs. Otherwise names are of units, values numbers.
        statements: value by name.

    Returns:
        The units that each statement sets ``(n, u)`` bool, and their strengths ``(n, u)``.

    Raises:
        ValueError: if there is no such name, or the value does not fit.
    """
    concept_model = capability(model, HasConcepts)
    if schema is not None and concept_model is not None:
        renamed = renamed_concepts(model, schema)
        concepts = torch.stack([schema.read({renamed.get(name, name): value}) for name, value in statements.items()])
        return concepts.isfinite(), concept_model.encode_concepts(concepts)
    names = list(model.units.names)
    values = torch.full((len(statements), len(names)), torch.nan)
    for row, (name, value) in zip(values, statements.items(), strict=True):
        if name not in names:
            raise ValueError(f"there is no {model.units.kind} {name!r}{did_you_mean(name, names)}")
        try:
            row[names.index(name)] = float(value)
        except ValueError as error:
            raise ValueError(f"{name!r} is {value!r}; expected its strength, a number") from error
    return values.isfinite(), values


def renamed_concepts(model: SelfExplaining, schema: ConceptSchema) -> dict[str, str]:
    """Return the name in the schema of each concept that an edit has renamed; values of a group keep theirs."""
    given = {} if model.history is None else model.history.state.names
    return {name: schema.names[i] for i, name in given.items() if schema.groups[i] == schema.names[i]}


def parse_strength(units: Units, unit: str, word: str) -> float:
    """Return the strength that a word gives a unit while a language model writes: 1 for on, 0 for off.

    Raises:
        ValueError: if the word is neither on nor off, nor, for units with graded strengths, a finite number.

    Example:
        >>> parse_strength(Units("code", ["L0.H1.3"], binary=True), "L0.H1.3", "on")
        1.0
        >>> parse_strength(Units("neuron", ["L0.3"]), "L0.3", "2.5")
        2.5
    """
    if word in ("on", "off") and (units.binary or word == "off"):
        return float(word == "on")
    try:
        if not units.binary and math.isfinite(strength := float(word)):
            return strength
    except ValueError:
        pass
    if units.binary:
        raise ValueError(f"{unit}={word} is neither on nor off; write {unit}=on")
    raise ValueError(f"{unit}={word} gives no strength; write {unit}=2.5 or {unit}=off")


@torch.no_grad()
def answers_after(model: SelfExplaining, x: Tensor, masks: Tensor, values: Tensor) -> Tensor:
    """Compute the logits before and after each of n statements, on top of those before it, from one encoding.

    Args:
        model: with u units and c classes, in eval mode.
        x: the input ``(1, ...)``.
        masks: the units that each statement sets ``(n, u)`` bool.
        values: their strengths ``(n, u)``.

    Returns:
        Logits ``(n + 1, c)``.
    """
    mask = torch.cat([masks[:1] & False, masks]).cumsum(0) > 0  # (n + 1, u)
    value = torch.zeros(len(mask), masks.shape[1])
    for i in range(len(masks)):
        value[i + 1] = torch.where(masks[i], values[i], value[i])
    return model.decide(model.encode(x), mask[:, None], value[:, None])[:, 0]


def step_rows(
    statements: Mapping[str, str],
    masks: Tensor,
    explanation: Explanation,
    logits: Tensor,
    class_names: Sequence[str],
    task: Task,
) -> list[StepRow]:
    """Return a row for the answer before anything was set, and one after each statement.

    Args:
        statements: value by name, n of them.
        masks: the units that each statement sets ``(n, u)`` bool.
        explanation: of the input before anything was set.
        logits: ``(n + 1, c)``, see ``answers_after``.
        class_names: c names.
        task: what the model answers.
    """
    answers, winners = task.answer(logits), task.explained(logits).tolist()
    texts = task.texts(answers.prediction, class_names)
    probabilities = answers.probabilities
    old, new = winners[0], winners[-1]
    before = [_detected(explanation.strength[0], mask, explanation.units.names) for mask in masks]
    changes = [("", "", ""), *zip(statements, before, statements.values(), strict=True)]
    return [
        StepRow(
            name=name,
            before=computed,
            after=value,
            answer=texts[i] or "none",
            chance="" if probabilities is None else percent(float(probabilities[i, int(winner)])),
            old=f"{float(logits[i, old]):.2f}".replace("-", "−"),
            new=f"{float(logits[i, new]):.2f}".replace("-", "−"),
        )
        for i, ((name, computed, value), winner) in enumerate(zip(changes, winners, strict=True))
    ]


def _detected(strength: Tensor, mask: Tensor, names: Sequence[str]) -> str:
    """Return what the model computed for the units that a statement sets: the strongest of them."""
    ids = mask.nonzero()[:, 0]
    best = int(ids[strength[ids].argmax()])
    return f"{strength[best].item():.3g}" if len(ids) == 1 else f"{names[best]} ({strength[best].item():.3g})"
