"""The base class of concept models: backbone, concept schema, and concept annotations of batches."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from zoo.batch import Batch
from zoo.concept_schema import ConceptSchema
from zoo.explanation import Units
from zoo.layers.backbone import Backbone
from zoo.layers.concepts import ConceptSpace
from zoo.model import SelfExplaining

DESCRIBE = (
    "This model predicts by way of concepts: named properties that a person can check. The strength of a concept is how"
    " far the model judges it to be present. Every concept then adds to the score of a class or subtracts from it."
)


class ConceptModel(SelfExplaining):
    """A model that predicts the annotated concepts of an input, and the class from the concepts.

    A family calls ``build_backbone``. Every family has these arguments:

    Args:
        num_classes: c.
        concepts: the schema (``zoo.concept_schema``); filled in from the data.
        backbone: timm architecture, ``mlp``, or a module of your own.
        backbone_level: index of the feature level, -1 for the deepest.
        pretrained: backbone weights from timm's hub.
        backbone_weights: backbone weights from a local safetensors file.
        backbone_args: further arguments of the backbone.
        input_shape: of one input, for ``backbone=mlp``; filled in from the data.

    Attributes:
        schema: the concepts.
        space: their losses and values.
    """

    default_loss = {"concept": 1.0}

    def build_backbone(
        self,
        concepts: dict[str, Any] | None,
        name: str | nn.Module,
        *,
        level: int,
        pretrained: bool,
        weights: str | None,
        args: dict[str, Any] | None,
        input_shape: list[int] | None,
    ) -> None:
        """Set ``schema``, ``space`` and ``backbone``; arguments as in ``Backbone``.

        Raises:
            ValueError: if there are no concepts, or as for ``Backbone``.
        """
        if not concepts:
            raise ValueError("the data have no concepts, and a concept model needs them; choose data with concepts")
        self.schema = ConceptSchema.from_config(concepts)
        self.space = ConceptSpace(self.schema)
        self.backbone = Backbone(
            name, level=level, pretrained=pretrained, weights=weights, args=args, input_shape=input_shape
        )

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
