"""Concept embedding models: each concept has one embedding for being true and one for being false, mixed by its chance.

Espinosa Zarlenga et al., Concept Embedding Models, NeurIPS 2022. An embedding tells more than a number, so the answer
need not pay for an incomplete set of concepts; setting a concept still means something, because RandInt sets concepts
while the model learns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.concept_schema import ConceptSchema
from zoo.explanation import Explanation, Units
from zoo.layers.backbone import Backbone
from zoo.layers.concepts import ConceptEmbeddings, ConceptSpace, mix
from zoo.model import SelfExplaining
from zoo.registry import register


@register
class CEM(SelfExplaining):
    """Backbone, average pooling, two embeddings of each concept, a linear head on the mixed ones.

    Every column of the schema has its own mixing weight, the values of a categorical concept too; only their loss is
    taken over the group. The head is linear, so a concept contributes its block of the head, exactly.

    Args:
        num_classes: c.
        concepts: the schema (``zoo.concept_schema``), binary and categorical; filled in from the data.
        backbone: timm architecture, or ``mlp``.
        backbone_level: which feature level, -1 the deepest.
        pretrained: backbone weights from timm's hub.
        backbone_weights: backbone weights from a local safetensors file.
        backbone_args: further arguments of the backbone.
        input_shape: of one input, for ``backbone=mlp``; filled in from the data.
        width: of one embedding (m in the paper).
        randint: share of the concept groups set to the truth in each step. The mask is drawn for each sample; the
            published code draws one for the whole batch.
    """

    terms = ("task", "concept")

    def __init__(
        self,
        *,
        num_classes: int,
        concepts: dict[str, Any] | None = None,
        backbone: str = "resnet18",
        backbone_level: int = -1,
        pretrained: bool = False,
        backbone_weights: str | None = None,
        backbone_args: dict[str, Any] | None = None,
        input_shape: list[int] | None = None,
        width: int = 16,
        randint: float = 0.25,
    ) -> None:
        super().__init__()
        if num_classes < 1 or width < 1 or not 0 <= randint <= 1:
            raise ValueError(
                f"num_classes is {num_classes}, width {width}, randint {randint}; expected 1 or more twice, and 0 to 1"
            )
        if not concepts:
            raise ValueError("a concept embedding model needs concepts, and the data have none")
        self.save_hyperparameters()
        self.schema = ConceptSchema.from_config(concepts)
        if bool((found := self.schema.columns("continuous")).any()):
            name = self.schema.names[int(found.nonzero()[0])]
            raise ValueError(
                f"concept {name!r} is continuous; an embedding is mixed by a chance: leave it out, or use cbm"
            )
        self.randint = randint
        self.space = ConceptSpace(self.schema)
        self.backbone = Backbone(
            backbone,
            level=backbone_level,
            pretrained=pretrained,
            weights=backbone_weights,
            args=backbone_args,
            input_shape=input_shape,
        )
        self.embeddings = ConceptEmbeddings(self.backbone.channels, len(self.schema), width)
        self.head = nn.Linear(len(self.schema) * width, num_classes)

    @property
    def units(self) -> Units:
        """The concepts."""
        return Units("concept", self.schema.names, group=self.schema.groups)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return frozenset({"concepts", "features"})

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone``, ``embeddings``, ``head``."""
        return {"backbone": self.backbone, "embeddings": self.embeddings, "head": self.head}

    def features(self, x: Tensor) -> Tensor:
        """Pooled features ``(b, d)``."""
        return self.backbone(x).mean((2, 3))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Chances ``(b, u)`` and contexts ``(b, u, 2 * width)``."""
        logits, context = self.embeddings(self.features(x))
        return self.space.values(logits), context

    def encode_concepts(self, concepts: Tensor) -> Tensor:
        """Mixing weights: 1 takes the embedding of being true, 0 that of being false."""
        return concepts

    def decide(self, state: tuple[Tensor, Tensor], mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """The head on the mixed embeddings, some of the mixing weights set.

        Many questions about the same inputs are answered from what each mixing weight adds to each logit, so that an
        embedding meets the head once, not once for each question.
        """
        p, context = state
        weight = p if mask is None else torch.where(mask, value, p)
        blocks = self.head.weight.unflatten(1, (p.shape[-1], -1))  # (c, u, width)
        questions = weight.shape[:-2].numel()
        if questions == 1 or questions * blocks.shape[2] <= len(blocks):  # few would take more memory that way
            return self.head(mix(context, weight).flatten(-2))
        true, false = context.chunk(2, dim=-1)
        adds = torch.einsum("buw,cuw->buc", true - false, blocks)
        return self.head(mix(context, p).flatten(-2)) + torch.einsum("...bu,buc->...bc", weight - p, adds)

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Each concept's block of the head times its embedding, exact."""
        p, context = self.encode(x)
        mixed = mix(context, p)
        logits = self.head(mixed.flatten(-2))
        target = self.resolve_target(logits, target)
        contribution = (mixed * self.head.weight[target].view_as(mixed)).sum(-1)
        shown = self.resolve_shown(contribution, shown)
        return Explanation(self.units, logits, target, p, contribution, self.head.bias[target], shown)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: cross-entropy with RandInt; ``concept``: mean over known concepts, of the chances as predicted.

        Raises:
            ValueError: if the batch does not have the concepts of the schema.
        """
        if batch.concepts is None or batch.concepts.shape[1] != len(self.schema):
            found = "none" if batch.concepts is None else str(batch.concepts.shape[1])
            raise ValueError(f"the model has {len(self.schema)} concepts, the data have {found}; use the same data")
        logits, context = self.embeddings(self.features(batch.x))
        p, mask = self.space.values(logits), None
        if self.training and self.randint:
            mask = batch.concepts.isfinite() & self.space.random_groups(len(p), self.randint)
        terms = {"task": F.cross_entropy(self.decide((p, context), mask, batch.concepts.to(p)), batch.y)}
        if weights.get("concept"):
            terms["concept"] = self.space.loss(logits, batch.concepts)
        return terms
