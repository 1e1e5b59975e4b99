"""Probabilistic concept bottleneck: each concept is a Gaussian embedding, whose variance is its uncertainty.

Source: Kim et al., Probabilistic Concept Bottleneck Models, ICML 2023.

An input that is ambiguous for a concept gets a wide embedding, and its concepts can be corrected in that order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.editing.operation import Operation
from zoo.editing.state import EditState
from zoo.explanation import Explanation
from zoo.layers.bottlenecks.probabilistic_embeddings import ProbabilisticEmbeddings, interpolation
from zoo.layers.concept_model import ConceptModel
from zoo.registry import register

State = tuple[Tensor, Tensor]


@register
class ProbCBM(ConceptModel):
    """Backbone, a Gaussian embedding and two anchors of each concept, a linear head on the mean embeddings.

    The probability of a concept is the mean over draws of how much nearer its embedding is to the anchor of true than
    to that of false. A prediction uses the same draws each time. The published classes are nearest anchors of a
    projection of all embeddings; with squared distances that is a linear head, which is used here, on the mean
    embeddings, so that contributions are exact (the published code averages the class probabilities of samples). A
    concept that is set has the embedding of its anchor; between the prediction and 0 or 1 embeddings are interpolated,
    so a value equal to the prediction changes nothing. The gradient of the class never reaches the concepts, as
    published. Concepts must be binary or categorical; each value of a categorical one has its own anchors.

    Args:
        width: of one embedding.
        samples: draws, in training and in a prediction.
        randint: fraction of the concept groups whose embeddings are replaced by their true anchors while the head is
            trained, drawn for each sample.
        common: the arguments of ``zoo.layers.concept_model.ConceptModel``.

    Raises:
        ValueError: if an argument is out of range or a concept is continuous.

    Example:
        >>> import torch, zoo
        >>> concepts = {"columns": {"round": {"kind": "binary"}, "red": {"kind": "binary"}}}
        >>> args = {"num_classes": 3, "concepts": concepts, "backbone": "mlp", "input_shape": [4]}
        >>> model = zoo.create_model("probcbm", **args).eval()
        >>> model.intervene(torch.zeros(5, 4), {0: 1.0}).shape, model.concept_uncertainty(torch.zeros(5, 4)).shape
        (torch.Size([5, 3]), torch.Size([5, 2]))
    """

    terms = ("task", "concept", "kl")
    default_loss = {"concept": 1.0, "kl": 5e-5}

    def __init__(self, *, width: int = 16, samples: int = 50, randint: float = 0.5, **common: Any) -> None:
        super().__init__(**common)
        if width < 1 or samples < 1 or not 0 <= randint <= 1:
            raise ValueError(
                f"width is {width}, samples {samples}, randint {randint}; expected at least 1, at least 1, and 0 to 1"
            )
        self.schema.refuse_continuous()
        self.samples = samples
        self.randint = randint
        self.embeddings = ProbabilisticEmbeddings(self.backbone.channels, len(self.schema), width, samples)
        self.head = nn.Linear(len(self.schema) * width, self.num_classes)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return frozenset({"concept_uncertainty", "concept_vectors", "concepts", "editable", "features"})

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone``, ``embeddings`` (with anchors), ``head``."""
        return {**self.backbone_parts(), "embeddings": self.embeddings, "head": self.head}

    def encode(self, x: Tensor) -> State:
        """Return means and logarithms of the variances ``(b, u, width)`` of the embeddings."""
        return self.embeddings(self.backbone(x))

    def concept_vectors(self, x: Tensor) -> Tensor:
        """Return the mean embeddings ``(b, u, width)`` that the head reads."""
        return self.encode(x)[0]

    def concept_uncertainty(self, x: Tensor) -> Tensor:
        """Return the geometric mean of the variances ``(b, u)`` of each concept's embedding."""
        return self.encode(x)[1].mean(-1).exp()

    def strengths(self, state: State) -> Tensor:
        """Return the probabilities ``(b, u)`` of the concepts, mean over the fixed draws."""
        logits = self.embeddings.logits(self.embeddings.draws(*state))
        return self.space.values(logits).mean(0).to(state[0])

    def decide(self, state: State, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Apply the head to the mean embeddings, some of them set.

        The head is linear, so it is applied to the means and to the anchors once, not once for each intervention.
        """
        effect = self._effects(state[0])
        logits = effect.sum(1) + self.head.bias
        if mask is None or value is None:
            return logits
        at_false, at_true = map(self._effects, self.embeddings.ends())  # (u, c)
        to_false, to_true = (mask * weight for weight in interpolation(self.strengths(state), value))
        moved = torch.einsum("...bu,uc->...bc", to_false, at_false) + torch.einsum("...bu,uc->...bc", to_true, at_true)
        return logits + moved - torch.einsum("...bu,buc->...bc", to_false + to_true, effect)

    def _effects(self, embeddings: Tensor) -> Tensor:
        """What embeddings ``(..., u, width)`` add to each logit, ``(..., u, c)``."""
        return torch.einsum("...uw,cuw->...uc", embeddings, self.head.weight.unflatten(1, self.embeddings.shape))

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain by each concept's block of the head times its mean embedding, exact."""
        state = self.encode(x)
        effect = self._effects(state[0])
        logits = effect.sum(1) + self.head.bias
        target = self.resolve_target(logits, target)
        contribution = effect.gather(2, target[:, None, None].expand(-1, effect.shape[1], 1))[..., 0]
        shown = self.resolve_shown(contribution, shown)
        strength = self.strengths(state)
        return Explanation(self.units, logits, target, strength, contribution, self.head.bias[target], shown)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Return the loss terms of a batch.

        ``task``: cross-entropy of the mean class probability of the samples, without a gradient for the concepts.
        ``concept``: negative logarithm of the mean probability of each annotation, mean over known concepts. ``kl``:
        divergence of the embeddings from a standard Gaussian, mean over concepts.

        Raises:
            ValueError: if the batch does not have the concepts of the schema.
        """
        truth = self.annotations(batch)
        mean, log_variance = self.encode(batch.x)
        drawn = self.embeddings.draws(mean, log_variance, torch.randn(self.samples, *mean.shape).to(mean))
        terms: dict[str, Tensor] = {}
        if weights.get("task", 1.0):
            each = self.head(self._head_input(drawn.detach(), truth).flatten(-2)).log_softmax(-1)
            terms["task"] = self.task_loss(each.logsumexp(0) - math.log(self.samples), batch)
        if weights.get("concept"):
            known = truth.isfinite()
            losses = self.space.losses(self.embeddings.logits(drawn), truth)
            per_concept = math.log(self.samples) - (-losses).logsumexp(0)
            terms["concept"] = (per_concept * known).sum() / (known.to(losses) / self.space.size).sum().clamp_min(1)
        if weights.get("kl"):
            divergence = (log_variance.exp() + mean.square() - 1 - log_variance) / 2
            terms["kl"] = divergence.sum(-1).mean()
        return terms

    def _head_input(self, drawn: Tensor, truth: Tensor) -> Tensor:
        """Embeddings ``(s, b, u, width)``, in training some of them replaced by their true anchors."""
        if not self.training or not self.randint:
            return drawn
        mask = truth.isfinite() & self.space.random_groups(len(truth), self.randint)
        false, true = (anchor.detach() for anchor in self.embeddings.ends())
        anchor = torch.where((truth == 1)[..., None], true, false)
        return torch.where(mask[..., None], anchor, drawn)

    def edit_operations(self) -> dict[str, Operation]:
        """Return ``drop``: an embedding has no single weight that could be set."""
        return {"drop": Operation(self._drop, "let it add 0 to every answer")}

    def _drop(self, state: EditState, unit: int) -> EditState:
        self.head.weight.unflatten(1, self.embeddings.shape)[:, unit] = 0.0
        return state.hold(unit)
