"""Units that are annotated concepts."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from torch import Tensor

from zoo.capabilities.declared import Capability


class HasConcepts(Capability, Protocol):
    """Units that are the annotated concepts of the data."""

    capability: ClassVar[str] = "concepts"

    def encode_concepts(self, concepts: Tensor) -> Tensor:
        """Return the strengths ``(b, u)`` that stand for concept values ``(b, m)``; NaN stays NaN."""
        ...

    def decode_concepts(self, strengths: Tensor) -> Tensor:
        """Return the concepts ``(b, m)`` of strengths ``(b, u)``: probabilities, or numbers in their own unit."""
        ...


class HasConceptVectors(Capability, Protocol):
    """Concepts that are represented by vectors, of which their strength is only a part."""

    capability: ClassVar[str] = "concept_vectors"

    def concept_vectors(self, x: Tensor) -> Tensor:
        """Return the vectors ``(b, u, w)`` of the concepts of inputs ``(b, ...)`` that the head reads."""
        ...


class HasConceptUncertainty(Capability, Protocol):
    """Concepts whose prediction has a variance of its own, beside the probability."""

    capability: ClassVar[str] = "concept_uncertainty"

    def concept_uncertainty(self, x: Tensor) -> Tensor:
        """Return the variance ``(b, u)`` of what each concept of inputs ``(b, ...)`` is read from, not below 0."""
        ...


class HasCorrectionPolicy(Capability, Protocol):
    """A learned policy of which concept group a person should be asked for next."""

    capability: ClassVar[str] = "correction_policy"

    def correction_scores(self, state: Any, mask: Tensor, value: Tensor) -> Tensor:
        """Return the scores ``(b, g)`` of the concept groups, the one to ask for first highest.

        Args:
            state: of b inputs, from ``encode``.
            mask: ``(b, u)`` bool, the concepts that are set.
            value: ``(b, u)`` the strengths that are set.
        """
        ...
