"""The base class of models with two embeddings of each concept, mixed by its probability."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from zoo.editing.operation import Operation
from zoo.editing.state import EditState
from zoo.explanation import Explanation
from zoo.layers.bottlenecks.concept_embeddings import ConceptEmbeddings, mix
from zoo.layers.bottlenecks.concept_pooling import ConceptPooling, Pooling, grid_of
from zoo.layers.concept_model import ConceptModel
from zoo.what_if import AffineHead


class ConceptEmbeddingModel(ConceptModel):
    """Backbone, pooling, two embeddings of each concept, a linear head on the mixed ones.

    A family defines ``loss``. It calls ``super().__init__`` with these arguments, which it takes as ``**common``:

    Args:
        width: of one embedding (m in the paper).
        randint: fraction of the concept groups set to the truth in each step, drawn for each sample.
        pooling: of the places of the feature map, see ``zoo.models.cem.CEM``.
        common: the arguments of ``zoo.layers.concept_model.ConceptModel``.

    Raises:
        ValueError: if an argument is out of range or a concept is continuous.
    """

    shared_scorer = True  # one scorer for all concepts

    def __init__(
        self,
        *,
        width: int = 16,
        randint: float = 0.25,
        pooling: Pooling = "mean",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if width < 1 or not 0 <= randint <= 1:
            raise ValueError(f"width is {width}, randint {randint}; expected at least 1, and 0 to 1")
        self.randint = randint
        self.schema.refuse_continuous()
        self.embeddings = ConceptEmbeddings(self.backbone.channels, len(self.schema), width, shared=self.shared_scorer)
        grid = grid_of(self.backbone, self.hparams["input_shape"]) if pooling == "spatial" else None
        self.pool = ConceptPooling(pooling, len(self.schema), grid)
        self.head = nn.Linear(len(self.schema) * width, self.num_classes)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return frozenset({"affine_head", "concept_vectors", "concepts", "editable", "features"})

    def affine_head(self, x: Tensor) -> AffineHead:
        """Return what each mixing weight adds, which depends on the embeddings; one that is switched off is 0."""
        p, context = self.encode(x)
        true, false = context.chunk(2, dim=-1)
        blocks = self.head.weight.unflatten(1, (p.shape[-1], -1)) * self.task.scale
        weight = torch.einsum("buw,cuw->bcu", true - false, blocks)
        return AffineHead(weight, torch.einsum("buw,cuw->bcu", false, blocks), torch.zeros_like(p[0]))

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone``, ``embeddings`` (with the locations of spatial pooling), ``head``."""
        pooled = nn.ModuleList([self.embeddings, self.pool]) if self.pool.pooling == "spatial" else self.embeddings
        return {**self.backbone_parts(), "embeddings": pooled, "head": self.head}

    def part_of(self, key: str) -> str:
        """Return ``embeddings`` also for the pooling."""
        return "embeddings" if key.startswith("pool.") else super().part_of(key)

    def _pooled(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Concept logits ``(b, u)``, contexts ``(b, u, 2 * width)`` and the maps ``(b, u, h, w)`` of the logits.

        The logit is linear in the context, so the logit of the pooled context is the pooled logit.
        """
        if self.pool.pooling == "mean":
            return *self.embeddings(self.features(x)), None
        features = self.backbone(x)
        logits, context = self.embeddings(features.flatten(2).mT)  # (b, h w, u), (b, h w, u, 2 width)
        maps = logits.mT.unflatten(2, features.shape[2:])
        weights = self.pool.weights(maps)
        pooled = torch.einsum("bup,bpuv->buv", weights.flatten(2), context)
        return (weights * maps).sum((2, 3)), pooled, maps

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities ``(b, u)`` and contexts ``(b, u, 2 * width)``."""
        logits, context, _ = self._pooled(x)
        return self.space.values(logits).to(self.head.weight.dtype), context

    def concept_vectors(self, x: Tensor) -> Tensor:
        """Return the mixed embeddings ``(b, u, width)`` that the head reads."""
        p, context = self.encode(x)
        return mix(context, p)

    def decide(self, state: tuple[Tensor, Tensor], mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Apply the head to the mixed embeddings, some of the mixing weights set.

        Many interventions on the same inputs are computed from what each mixing weight adds to each logit, so that the
        head is applied to an embedding once, not once for each intervention.
        """
        p, context = state
        weight = p if mask is None or value is None else torch.where(mask, value, p)
        blocks = self.head.weight.unflatten(1, (p.shape[-1], -1))  # (c, u, width)
        interventions = weight.shape[:-2].numel()
        if interventions == 1 or interventions * blocks.shape[2] <= len(blocks):  # needs less memory for few
            return self.in_units_of_y(self.head(mix(context, weight).flatten(-2)))
        true, false = context.chunk(2, dim=-1)
        effect = torch.einsum("buw,cuw->buc", true - false, blocks)
        output = self.head(mix(context, p).flatten(-2)) + torch.einsum("...bu,buc->...bc", weight - p, effect)
        return self.in_units_of_y(output)

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain by each concept's block of the head times its embedding, exact."""
        logits, context, maps = self._pooled(x)
        p = self.space.values(logits).to(self.head.weight.dtype)
        mixed = mix(context, p)
        output = self.head(mixed.flatten(-2))
        target = self.resolve_target(self.in_units_of_y(output), target)
        contribution = (mixed * self.head.weight[target].view_as(mixed)).sum(-1)
        shown = self.resolve_shown(contribution, shown)
        where = None if maps is None else self.pool.where(maps, shown)
        explanation = Explanation(self.units, output, target, p, contribution, self.head.bias[target], shown, where)
        return self.explained_in_units_of_y(explanation)

    def edit_operations(self) -> dict[str, Operation]:
        """Return ``drop``: an embedding has no single weight that could be set."""
        return {"drop": Operation(self._drop, "let it add 0 to every answer")}

    def _drop(self, state: EditState, unit: int) -> EditState:
        self.head.weight.unflatten(1, (len(self.schema), -1))[:, unit] = 0.0
        return state.hold(unit)
