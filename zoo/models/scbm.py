"""Stochastic concept bottleneck: a correction of one concept moves the others that depend on it.

Source: Vandenhirtz et al., Stochastic Concept Bottleneck Models, NeurIPS 2024.

Concept logits have a Gaussian distribution with a learned covariance; what is corrected conditions the rest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.layers.bottlenecks.gaussian_concepts import (
    CholeskyFactor,
    Covariance,
    conditional_mean,
    damping,
    posterior_mean,
)
from zoo.layers.bottlenecks.probability_head_model import ProbabilityHeadModel
from zoo.registry import register

State = tuple[Tensor, Tensor]


@register
class SCBM(ProbabilityHeadModel):
    """Backbone, average pooling, mean and covariance of the concept logits, a linear head on probabilities.

    In training, concepts of 0 and 1 are drawn from the distribution, and the head learns from them alone. A prediction
    draws nothing: the head reads the expected probabilities, so that contributions are exact (the published code
    averages the class probabilities of samples instead). When concepts are set, the means of the other logits become
    those of the Gaussian, conditional on the logits of the concepts that are set, for which their expectation given the
    value is used (the published code uses a percentile of training logits, or a confidence region). So a value equal to
    the prediction changes nothing. Concepts must be binary or categorical.

    Args:
        covariance: ``amortized``, computed for each input, or ``global``, one for all.
        samples: drawn for each input of a training step.
        common: the arguments of ``zoo.layers.concept_model.ConceptModel``.

    Raises:
        ValueError: if ``samples`` is below 1 or a concept is continuous.

    Example:
        >>> import torch, zoo
        >>> concepts = {"columns": {"round": {"kind": "binary"}, "red": {"kind": "binary"}}}
        >>> model = zoo.create_model("scbm", num_classes=3, concepts=concepts, backbone="mlp", input_shape=[4]).eval()
        >>> model.intervene(torch.zeros(5, 4), {0: 1.0}).shape
        torch.Size([5, 3])
    """

    terms = ("task", "concept", "precision")
    default_loss = {"concept": 1.0, "precision": 1.0}

    def __init__(self, *, covariance: Covariance = "amortized", samples: int = 100, **common: Any) -> None:
        super().__init__(**common)
        self.schema.refuse_continuous()
        if samples < 1:
            raise ValueError(f"samples is {samples}; expected at least 1")
        self.samples = samples
        u, d = len(self.schema), self.backbone.channels
        self.concepts = nn.Linear(d, u)
        self.covariance = CholeskyFactor(d, u, covariance)
        self.head = nn.Linear(u, self.num_classes)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return frozenset({"concept_uncertainty", "concepts", "editable", "features"})

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone``, ``concepts`` (means), ``covariance``, ``head``."""
        parts = {"concepts": self.concepts, "covariance": self.covariance, "head": self.head}
        return {**self.backbone_parts(), **parts}

    def encode(self, x: Tensor) -> State:
        """Return means ``(b, u)`` and covariances ``(b, u, u)`` of the concept logits."""
        features = self.features(x)
        factor = self.covariance(features)
        return self.concepts(features), factor @ factor.mT

    def concept_uncertainty(self, x: Tensor) -> Tensor:
        """Return the variances ``(b, u)`` of the concept logits."""
        return self.encode(x)[1].diagonal(dim1=-2, dim2=-1)

    def strengths(self, state: State, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Return the probabilities ``(..., b, u)`` of the concepts, given those that are set.

        Args:
            state: of b inputs.
            mask: ``(..., b, u)`` bool, concepts that are set; None for none.
            value: ``(..., b, u)`` their probabilities.
        """
        mean, covariance = state
        damp = damping(covariance)
        own = self.space.values(damp * mean).to(mean)
        if mask is None or value is None:
            return own
        moved = conditional_mean(mean, covariance, mask, posterior_mean(mean, covariance, own, value))
        return torch.where(mask, value, self.space.values(damp * moved).to(mean))

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Return the loss terms of a batch.

        ``task``: cross-entropy of the mean class probability of the samples. ``concept``: negative logarithm of the
        mean likelihood of the annotations under the samples, per known concept. ``precision``: mean absolute entry of
        the inverse covariance outside its diagonal.
        """
        truth = self.annotations(batch)
        features = self.features(batch.x)
        factor = self.covariance(features)
        noise = torch.randn(self.samples, *truth.shape, device=factor.device, dtype=factor.dtype)
        logits = self.concepts(features) + torch.einsum("bij,sbj->sbi", factor, noise)
        terms: dict[str, Tensor] = {}
        if weights.get("task", 1.0):
            each = self.head(self.space.sample(logits).to(factor)).log_softmax(-1)
            terms["task"] = self.task_loss(each.logsumexp(0) - math.log(self.samples), batch)
        if weights.get("concept"):
            known = truth.isfinite()
            likelihood = -(self.space.losses(logits, truth) * known).sum(-1)
            per_input = math.log(self.samples) - likelihood.logsumexp(0)
            terms["concept"] = per_input.sum() / (known.to(logits) / self.space.size).sum().clamp_min(1)
        if weights.get("precision"):
            inverse = torch.cholesky_inverse(factor)
            u = inverse.shape[-1]
            outside = inverse.abs().sum((1, 2)) - inverse.diagonal(dim1=1, dim2=2).abs().sum(1)
            terms["precision"] = outside.mean() / max(1, u * (u - 1))
        return terms
