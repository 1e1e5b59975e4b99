"""Autoregressive concept bottleneck: each concept is predicted from the input and the concepts before it.

Source: Havasi et al., Addressing Leakage in Concept Bottleneck Models, NeurIPS 2022.

The baseline of ``scbm``: a correction of one concept moves the others, by a joint distribution of any form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.layers.bottlenecks.autoregressive_concepts import AutoregressiveConcepts, set_marginals
from zoo.layers.bottlenecks.probability_head_model import ProbabilityHeadModel
from zoo.registry import register


@register
class AutoregressiveCBM(ProbabilityHeadModel):
    """Backbone, average pooling, concepts one after another in the order of the schema, a linear head on probabilities.

    The joint distribution of the concepts is enumerated, so a prediction draws nothing, and concepts that are set
    condition those before and after them exactly (the published code draws 100 chains of concepts and weights them).
    The head reads the probability of each concept, so that contributions are exact (the published code averages the
    class probabilities of chains). A value between 0 and 1 weights the two cases so that a value equal to the
    prediction changes nothing. Concepts must be binary or categorical and have at most 4096 joint values.

    Args:
        hidden: width of each concept's MLP.
        common: the arguments of ``zoo.layers.concept_model.ConceptModel``.

    Raises:
        ValueError: if ``hidden`` is below 1, a concept is continuous, or there are too many joint values.

    Example:
        >>> import torch, zoo
        >>> concepts = {"columns": {"round": {"kind": "binary"}, "red": {"kind": "binary"}}}
        >>> args = {"num_classes": 3, "concepts": concepts, "backbone": "mlp", "input_shape": [4]}
        >>> model = zoo.create_model("autoregressive_cbm", **args).eval()
        >>> model.intervene(torch.zeros(5, 4), {0: 1.0}).shape
        torch.Size([5, 3])
    """

    terms = ("task", "concept")

    def __init__(self, *, hidden: int = 50, **common: Any) -> None:
        super().__init__(**common)
        self.schema.refuse_continuous()
        if hidden < 1:
            raise ValueError(f"hidden is {hidden}; expected at least 1")
        self.concepts = AutoregressiveConcepts(self.backbone.channels, self.schema, hidden)
        self.head = nn.Linear(len(self.schema), self.num_classes)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return frozenset({"concepts", "editable", "features"})

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone``, ``concepts``, ``head``."""
        return {**self.backbone_parts(), "concepts": self.concepts, "head": self.head}

    def encode(self, x: Tensor) -> Tensor:
        """Return the logarithms ``(b, s)`` of the probabilities of all joint values of the concepts."""
        return self.concepts(self.features(x))

    def strengths(self, state: Tensor, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Return the probabilities ``(..., b, u)`` of the concepts, given those that are set."""
        if mask is None or value is None:
            return (state.softmax(-1) @ self.concepts.states.to(state)).clamp_max(1.0)
        return set_marginals(state, self.concepts.states, mask, value)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Return the loss terms of a batch.

        ``task``: cross-entropy of the class probability, mean over the joint distribution of the concepts. ``concept``:
        negative logarithm of the joint probability of the known annotations, per known concept; where some are unknown,
        it is summed over their values.

        Raises:
            ValueError: if the batch does not have the concepts of the schema.
        """
        truth = self.annotations(batch)
        features = self.features(batch.x)
        terms: dict[str, Tensor] = {}
        if weights.get("task", 1.0):
            p = self.concepts(features).softmax(-1)
            answers = p @ self.head(self.concepts.states.to(p)).softmax(-1)
            terms["task"] = self.task_loss(answers.clamp_min(torch.finfo(p.dtype).tiny).log(), batch)
        if weights.get("concept"):
            known = truth.isfinite()
            count = (known / self.space.size).sum().clamp_min(1)
            if bool(known.all()):
                logits = self.concepts.conditional_logits(features, truth.to(features))
                terms["concept"] = self.space.losses(logits, truth).sum() / count
            else:
                log_p = self.concepts(features)
                terms["concept"] = -self._agreeing(log_p, truth).sum() / count
        return terms

    def _agreeing(self, log_p: Tensor, truth: Tensor) -> Tensor:
        """Logarithm ``(b,)`` of the probability of all states that agree with known annotations ``(b, u)``."""
        states = self.concepts.states.to(log_p)
        known = truth.isfinite().to(log_p)
        true = truth.nan_to_num().to(log_p)
        different = (known * (1 - true)) @ states.T + (known * true) @ (1 - states).T  # (b, s)
        return log_p.masked_fill(different > 0.5, -torch.inf).logsumexp(-1)
