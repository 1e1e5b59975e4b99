"""Checks of concepts as they are passed to scores: probabilities as predicted, annotations with NaN where unknown."""

from __future__ import annotations

from torch import Tensor

from zoo.concept_schema import ConceptSchema
from zoo.metrics._value_checks import check_finite, check_range
from zoo.metrics.base import expect

SIGMOID = "are these logits? apply a sigmoid, or a softmax for a categorical group"


def check_concepts(score: str, schema: ConceptSchema, predicted: Tensor, truth: Tensor) -> None:
    """Check concepts as predicted and as annotated, both ``(b, m)``.

    Args:
        score: name of the score, for the message.
        schema: m columns.
        predicted: probabilities of binary and categorical columns; continuous ones in their own unit.
        truth: 0 to 1 in binary and categorical columns, NaN where unknown.

    Raises:
        ValueError: if a shape does not fit or a number is out of range; names score, argument and input.

    Example:
        >>> import torch
        >>> from zoo.concept_schema import Concept
        >>> check_concepts("leakage", ConceptSchema((Concept("a"),)), torch.tensor([[0.5]]), torch.tensor([[2.0]]))
        Traceback (most recent call last):
        ValueError: leakage.truth of input 0 holds 2; expected 0 to 1, or NaN where unknown
    """
    expect("predicted", predicted, None, len(schema))
    expect("truth", truth, len(predicted), len(schema))
    shares = ~schema.columns("continuous")
    on = {device: shares.to(device) for device in {predicted.device, truth.device}}
    check_finite(f"{score}.predicted", predicted)
    check_range(f"{score}.predicted", predicted[:, on[predicted.device]], 0, 1, hint=SIGMOID)
    check_range(f"{score}.truth", truth[:, on[truth.device]], 0, 1, unknown=True)
    continuous = truth[:, ~on[truth.device]]
    check_finite(f"{score}.truth", continuous.where(~continuous.isnan(), 0))
