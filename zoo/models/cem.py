"""Concept embedding model: each concept has two embeddings, true and false, mixed by its predicted probability.

Source: Espinosa Zarlenga et al., Concept Embedding Models, NeurIPS 2022.

An embedding carries more information than a number, so an incomplete set of concepts need not cost accuracy;
interventions on concepts still work, because RandInt sets concepts to the truth during training.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from zoo.batch import Batch
from zoo.layers.bottlenecks.concept_embedding_model import ConceptEmbeddingModel
from zoo.layers.bottlenecks.concept_pooling import Pooling
from zoo.registry import register


@register
class CEM(ConceptEmbeddingModel):
    """Backbone, pooling, two embeddings of each concept, a linear head on the mixed ones.

    Every column of the schema has its own mixing weight, also each value of a categorical concept; only their loss is
    over the group. The head is linear, so the contribution of a concept is its block of the head, exactly. Concepts
    must be binary or categorical.

    Args:
        width: of one embedding (m in the paper).
        randint: fraction of the concept groups set to the truth in each step. The mask is drawn for each sample; the
            published code draws one for the whole batch.
        pooling: ``mean`` of the features, as published, in which small parts are lost. Otherwise embeddings are
            computed at every place of the feature map, and each concept pools its own: at the place of its largest
            logit (``max``), weighted by the softmax of its logits (``attention``) or by learned weights
            (``spatial``); an explanation then has ``where``, the map of each concept's logit.
        common: the arguments of ``zoo.layers.concept_model.ConceptModel``.

    Example:
        >>> import torch, zoo
        >>> concepts = {"columns": {"round": {"kind": "binary"}, "red": {"kind": "binary"}}}
        >>> model = zoo.create_model("cem", num_classes=3, concepts=concepts, backbone="mlp", input_shape=[4]).eval()
        >>> model.intervene(torch.zeros(5, 4), {0: 1.0}).shape
        torch.Size([5, 3])
    """

    terms = ("task", "concept")
    tasks = ("classification", "regression", "multilabel")

    def __init__(self, *, width: int = 16, randint: float = 0.25, pooling: Pooling = "mean", **common: Any) -> None:
        super().__init__(width=width, randint=randint, pooling=pooling, **common)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: the loss of the task with RandInt; ``concept``: mean over known concepts, without RandInt.

        Raises:
            ValueError: if the batch does not have the concepts of the schema.
        """
        truth = self.annotations(batch)
        logits, context, _ = self._pooled(batch.x)
        p = self.space.values(logits).to(self.head.weight.dtype)
        mask = None
        if self.training and self.randint:
            mask = truth.isfinite() & self.space.random_groups(len(p), self.randint)
        terms = {"task": self.task_loss(self.decide((p, context), mask, truth.to(p)), batch)}
        if weights.get("concept"):
            terms["concept"] = self.space.loss(logits, truth)
        return terms
