"""Post-hoc concept bottleneck: concept vectors on a frozen backbone, a sparse head, and a residual.

Source: Yuksekgonul et al., Post-hoc Concept Bottleneck Models, ICLR 2023.

A trained network becomes a concept model without training it again; 50 samples with and without a concept are enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.capabilities import Directions
from zoo.layers.bottlenecks.concept_vectors import calibration, concept_vector
from zoo.layers.bottlenecks.sparse_head_model import SparseHeadModel
from zoo.layers.bottlenecks.split_rows import split_rows
from zoo.layers.bottlenecks.standardized_head import StandardizedHead
from zoo.layers.concept_model import ConceptModel
from zoo.layers.feature_space import space_of
from zoo.registry import register


@register
class PosthocCBM(SparseHeadModel, ConceptModel):
    """Frozen backbone, average pooling, one vector for each concept, a sparse head; optionally a residual.

    The strength of a concept is the signed distance of the features from the decision boundary of a linear SVM. Set to
    true or false, it is the median distance of the training samples with or without the concept. Probabilities of
    concepts are those of a logistic regression on the distance. The head is multinomial: of a binary task both logits
    depend on the concepts. Concepts must be binary or categorical.

    Phases call ``fit_concepts``, then ``fit_head``. The residual, a linear layer on the features, is trained last with
    the head fixed; its part of the logits is ``base``, not explained by any concept.

    Args:
        residual: add a linear layer on the features (PCBM-h).
        common: the arguments of ``zoo.layers.concept_model.ConceptModel``.

    Example:
        >>> import torch, zoo
        >>> concepts = {"columns": {"round": {"kind": "binary"}, "red": {"kind": "binary"}}}
        >>> model = zoo.create_model("posthoc_cbm", num_classes=3, concepts=concepts, backbone="mlp", input_shape=[4])
        >>> model.eval().explain(torch.zeros(5, 4)).contribution.shape
        torch.Size([5, 2])
    """

    terms = ("task", "residual")
    default_loss = {"residual": 1e-3}
    tasks = ("classification", "regression", "multilabel")
    slope: Tensor
    shift: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, *, residual: bool = False, **common: Any) -> None:
        super().__init__(**common)
        self.schema.refuse_continuous()
        u, d = len(self.schema), self.backbone.channels
        self.concepts = nn.Linear(d, u)
        self.head = StandardizedHead(u, self.num_classes)
        self.residual = nn.Linear(d, self.num_classes) if residual else None
        if self.residual is not None:
            nn.init.zeros_(self.residual.weight)
            nn.init.zeros_(self.residual.bias)
        self.register_buffer("slope", torch.ones(u))  # of the logistic regression on the strength
        self.register_buffer("shift", torch.zeros(u))
        self.register_buffer("low", -torch.ones(u))  # strengths that stand for false and true
        self.register_buffer("high", torch.ones(u))

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        extra = set() if self.residual is None else {"extra_metrics"}
        return frozenset({"affine_head", "concepts", "directions", "editable", "features", *extra})

    def directions(self) -> Directions:
        """Return the concept vectors, in the space of the pooled features."""
        return Directions(self.concepts.weight.detach(), space_of(self.backbone))

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone``, ``concepts``, ``head``, and ``residual`` if there is one."""
        residual = {} if self.residual is None else {"residual": self.residual}
        return self.model_parts(concepts=self.concepts, **residual)

    def part_of(self, key: str) -> str:
        """Return ``concepts`` for what ``fit_concepts`` measures."""
        return "concepts" if key in ("slope", "shift", "low", "high") else super().part_of(key)

    def concept_strengths(self, features: Tensor) -> Tensor:
        """Return the signed distances ``(b, u)`` of features ``(b, d)``."""
        return self.concepts(features)

    def rest(self, features: Tensor) -> Tensor:
        """Return the residual's output ``(b, c)``; 0 without one."""
        return super().rest(features) if self.residual is None else self.residual(features)

    def encode_concepts(self, concepts: Tensor) -> Tensor:
        """Return the strengths ``(b, u)`` of concept values ``(b, u)``, 0 to 1; NaN stays NaN."""
        return self.low + concepts * (self.high - self.low)

    def decode_concepts(self, strengths: Tensor) -> Tensor:
        """Return the probabilities ``(b, u)`` of strengths ``(b, u)``."""
        return self.space.values(self.slope * strengths + self.shift)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: the loss of the task; ``residual``: mean squared weight of the residual."""
        terms = {"task": self.task_loss(self(batch.x), batch)}
        if weights.get("residual") and self.residual is not None:
            terms["residual"] = self.residual.weight.square().mean()
        return terms

    @torch.no_grad()
    def fit_concepts(
        self,
        loader: Iterable[Batch],
        *,
        samples: int = 50,
        penalties: Sequence[float] = (0.001, 0.01, 0.1, 1.0, 10.0),
        holdout: float = 0.2,
        seed: int = 0,
    ) -> dict[str, float]:
        """Fit the concept vectors on the training split.

        Args:
            loader: of the training split.
            samples: largest number of samples with a concept, and without it, that its SVM is fitted on; 0 for all.
            penalties: values of C of the SVM; chosen for each concept on held-out samples of the training split.
            holdout: share of these.
            seed: of the samples drawn.

        Returns:
            Mean held-out balanced accuracy of the concepts.

        Raises:
            ValueError: if the data do not have the concepts of the schema.
        """
        features, truth, _, _ = self.concept_rows(loader, self.features)
        h, c = features.double().cpu().numpy(), truth.cpu().numpy()
        rng = np.random.default_rng(seed)
        accuracies: list[float] = []
        for j in range(len(self.schema)):
            known = np.isfinite(c[:, j])
            labels = c[known, j] > 0.5
            vector, offset, accuracy = concept_vector(
                h[known], labels, samples=samples, penalties=penalties, holdout=holdout, rng=rng
            )
            margins = h[known] @ vector + offset
            ends = [float(np.median(margins[labels == value])) if (labels == value).any() else 0.0 for value in (0, 1)]
            slope, shift = calibration(margins, labels)
            self.concepts.weight[j] = torch.from_numpy(vector)
            self.concepts.bias[j] = offset
            for buffer, number in ((self.slope, slope), (self.shift, shift), (self.low, ends[0]), (self.high, ends[1])):
                buffer[j] = number
            accuracies.append(accuracy)
        return {"held-out concept accuracy": float(np.mean(accuracies))}

    @torch.no_grad()
    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Return the share of the residual in the variance of the logits, and the accuracy without the residual."""
        rest, _, y, _ = split_rows(self, loader, lambda x: self.encode(x)[1])
        strength, _, _, _ = split_rows(self, loader, lambda x: self.encode(x)[0])
        concepts = self.head(strength)
        share = rest.var(0, correction=0).sum() / (concepts + rest).var(0, correction=0).sum()
        metrics = {"residual share of variance": float(share)}
        if self.task.kind == "classification":
            metrics["accuracy without residual"] = float((concepts.argmax(1) == y).float().mean())
        return metrics
