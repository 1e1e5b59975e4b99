"""The base class of concept models: backbone, concept schema, and concept annotations of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor

from zoo.batch import Batch
from zoo.concept_schema import ConceptSchema
from zoo.explanation import Units
from zoo.layers.backbone_model import BackboneModel
from zoo.layers.bottlenecks.split_rows import split_rows
from zoo.layers.concepts import ConceptSpace

DESCRIBE = (
    "This model predicts by way of concepts: named properties that a person can check. The strength of a concept is how"
    " far the model judges it to be present. Every concept then adds to the score of a class or subtracts from it."
)


class ConceptModel(BackboneModel):
    """A model that predicts the annotated concepts of an input, and the class from the concepts.

    A family calls ``super().__init__`` with these arguments, which it takes as ``**common``:

    Args:
        concepts: the schema (``zoo.concept_schema``); filled in from the data.
        common: the arguments of ``zoo.layers.backbone_model.BackboneModel``.

    Attributes:
        schema: the concepts.
        space: their losses and values.

    Raises:
        ValueError: if there are no concepts, or as for ``BackboneModel``.
    """

    default_loss = {"concept": 1.0}

    def __init__(self, *, concepts: dict[str, Any] | None = None, **common: Any) -> None:
        super().__init__(**common)
        if not concepts:
            raise ValueError("the data have no concepts, and a concept model needs them; choose data with concepts")
        self.schema = ConceptSchema.from_config(concepts)
        self.space = ConceptSpace(self.schema)

    @property
    def units(self) -> Units:
        """The concepts."""
        return Units("concept", self.schema.names, group=self.schema.groups, describe=DESCRIBE)

    def features(self, x: Tensor) -> Tensor:
        """Return pooled features ``(b, d)``."""
        return self.backbone(x).mean((2, 3))

    def encode_concepts(self, concepts: Tensor) -> Tensor:
        """Return the strengths ``(b, u)`` that stand for concept values ``(b, u)``; NaN stays NaN."""
        return concepts

    def decode_concepts(self, strengths: Tensor) -> Tensor:
        """Return the concepts ``(b, u)`` of strengths ``(b, u)``: probabilities, or numbers in their own unit."""
        return strengths

    def annotations(self, batch: Batch) -> Tensor:
        """Return the annotated concepts ``(b, u)`` of a batch, NaN where unknown.

        Raises:
            ValueError: if the batch does not have the concepts of the schema.
        """
        if batch.concepts is None or batch.concepts.shape[1] != len(self.schema):
            actual = "none" if batch.concepts is None else str(batch.concepts.shape[1])
            raise ValueError(f"the data have {actual} concepts; expected the {len(self.schema)} of the model")
        return batch.concepts

    def concept_rows(
        self, loader: Iterable[Batch], encode: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return ``encode`` ``(n, ...)``, annotations ``(n, u)``, targets and weights ``(n,)`` of a whole split.

        Raises:
            ValueError: if a batch does not have the concepts of the schema.
        """
        return split_rows(self, (self._checked(batch) for batch in loader), encode)

    def _checked(self, batch: Batch) -> Batch:
        self.annotations(batch)
        return batch
