"""The strengths of units in words: concepts as yes or no with their probability, values of variables as present."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from zoo.capabilities import HasConcepts, HasStrengthWords, capability
from zoo.concept_schema import ConceptSchema
from zoo.explanation import Explanation
from zoo.model import SelfExplaining
from zoo.reporting.numbers import percent, short_number


@torch.no_grad()
def strength_words(model: SelfExplaining, explanation: Explanation, mean: Tensor | None = None) -> list[dict[int, str]]:
    """Return for each input the strengths of its units in words, by unit id; empty where numbers serve.

    Args:
        model: of the explanation.
        explanation: of b inputs.
        mean: ``(u,)`` mean strengths over the training split, told beside each; None where they are not known.
    """
    own, concepts = capability(model, HasStrengthWords), _concepts(model, explanation.strength)
    if own is not None:
        words = own.strength_words(explanation.strength)
        means = None if mean is None else own.strength_words(mean[None], share=True)[0]
    elif concepts is not None:
        words, schema = concepts
        means = None if mean is None else _mean_words(model, mean, schema)
    elif mean is not None and not model.units.binary:
        words = [[f"strength {short_number(v)}" for v in row] for row in explanation.strength.tolist()]
        means = [short_number(v) for v in mean.tolist()]
    else:
        return []
    if means is None:
        return [dict(enumerate(row)) for row in words]
    return [{u: f"{word} (average {means[u]})" for u, word in enumerate(row)} for row in words]


def _schema(model: SelfExplaining) -> ConceptSchema | None:
    columns = model.hparams.get("concepts")
    if capability(model, HasConcepts) is None or not isinstance(columns, Mapping):
        return None
    return ConceptSchema.from_config(columns)


def _concepts(model: SelfExplaining, strength: Tensor) -> tuple[list[list[str]], ConceptSchema] | None:
    """The concepts of each of the strengths ``(b, u)`` in words; None for a model without."""
    schema, concept_model = _schema(model), capability(model, HasConcepts)
    if schema is None or concept_model is None:
        return None
    number = [concept.kind == "continuous" for concept in schema.concepts]

    def word(u: int, value: float) -> str:
        if number[u]:
            return f"= {short_number(value)}"
        return f"= {'yes' if value >= 0.5 else 'no'} ({percent(value)})"

    rows = concept_model.decode_concepts(strength).tolist()
    return [[word(u, value) for u, value in enumerate(row)] for row in rows], schema


def _mean_words(model: SelfExplaining, mean: Tensor, schema: ConceptSchema) -> list[str]:
    concept_model = capability(model, HasConcepts)
    assert concept_model is not None
    values: list[float] = concept_model.decode_concepts(mean[None])[0].tolist()
    number = [concept.kind == "continuous" for concept in schema.concepts]
    return [short_number(v) if number[u] else percent(v) for u, v in enumerate(values)]
