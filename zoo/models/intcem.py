"""Intervention-aware concept embedding model: trained on corrections, it learns which one to ask for.

Source: Espinosa Zarlenga et al., Learning to Receive Help: Intervention-Aware Concept Embedding Models, NeurIPS 2023.

Training plays sequences of corrections, so that their results count, and imitates the best next correction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.batch import Batch
from zoo.layers.bottlenecks.concept_embedding_model import ConceptEmbeddingModel
from zoo.layers.bottlenecks.concept_embeddings import mix
from zoo.layers.bottlenecks.correction_policy import CorrectionPolicy, random_start, straight_through
from zoo.registry import register

State = tuple[Tensor, Tensor]


@register
class IntCEM(ConceptEmbeddingModel):
    """A ``cem`` with a scorer for each concept and a policy of corrections, trained together.

    A step of training sets some groups of each sample at random, then T further groups, one after another, that the
    policy draws. T is uniform from 1 to a horizon that grows from 2 to ``horizon``; it is drawn once for a batch, the
    first groups for each sample (the published code draws one set for the whole batch). The class is learned before and
    after these T corrections, and the policy learns in each of them to name the group whose correction raises the logit
    of the true class most; with a linear head that is exact without trying each. Groups with unknown values are never
    set. Which group the policy would ask for next is ``correction_scores``; the policy ``learned`` of the score
    ``interventions`` corrects in that order.

    Args:
        hidden: widths of the policy's hidden layers; 256 and 128 if None.
        horizon: longest trajectory of corrections.
        discount: weight of the class after T corrections is ``discount ** T``, that of before is 1 (gamma).
        randint: probability that a group is set before a trajectory, drawn for each sample.
        common: the arguments of ``zoo.layers.bottlenecks.concept_embedding_model.ConceptEmbeddingModel``.

    Raises:
        ValueError: if an argument is out of range or a concept is continuous.

    Example:
        >>> import torch, zoo
        >>> concepts = {"columns": {"round": {"kind": "binary"}, "red": {"kind": "binary"}}}
        >>> args = {"num_classes": 3, "concepts": concepts, "backbone": "mlp", "input_shape": [4]}
        >>> model = zoo.create_model("intcem", **args).eval()
        >>> nothing = torch.zeros(5, 2)
        >>> model.correction_scores(model.encode(torch.zeros(5, 4)), nothing.bool(), nothing).shape
        torch.Size([5, 2])
    """

    terms = ("task", "concept", "imitation")
    default_loss = {"concept": 1.0, "imitation": 1.0}
    tasks = ("classification",)
    shared_scorer = False

    def __init__(
        self,
        *,
        hidden: list[int] | None = None,
        horizon: int = 6,
        discount: float = 1.1,
        randint: float = 0.25,
        **common: Any,
    ) -> None:
        super().__init__(randint=randint, **common)
        hidden = [256, 128] if hidden is None else hidden
        if horizon < 1 or discount <= 0 or not hidden or min(hidden) < 1:
            raise ValueError(
                f"horizon is {horizon}, discount {discount}, hidden {list(hidden)}; expected at least 1, above 0, and"
                " widths of at least 1"
            )
        self.horizon = horizon
        self.discount = discount
        self.policy = CorrectionPolicy(self.head.in_features, self.space.groups, hidden)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return super().capabilities | {"correction_policy"}

    def trainable_parts(self) -> dict[str, Any]:
        """Those of ``cem``, and ``policy``."""
        return {**super().trainable_parts(), "policy": self.policy}

    def correction_scores(self, state: State, mask: Tensor, value: Tensor) -> Tensor:
        """Return the scores ``(b, g)`` of the concept groups, the one to ask for next highest.

        Args:
            state: of b inputs.
            mask: ``(b, u)`` bool, the concepts that are set.
            value: ``(b, u)`` their probabilities.
        """
        p, context = state
        weight = torch.where(mask, value.to(p), p)
        return self.policy(mix(context, weight).flatten(1), self._all_of_group(mask))

    def _all_of_group(self, mask: Tensor) -> Tensor:
        """``(b, g)`` bool, groups of which all columns of a mask ``(b, u)`` are true."""
        missing = torch.zeros(len(mask), self.space.groups, device=mask.device)
        return missing.index_add(1, self.space.group, (~mask).to(missing)) == 0

    def _gains(self, state: State, truth: Tensor, y: Tensor) -> Tensor:
        """How much the logit of the true class ``y`` rises ``(b, g)`` when each group is set to the truth.

        The head is linear in the mixing weights, so this does not depend on what else is set.
        """
        p, context = state
        true, false = context.chunk(2, dim=-1)
        block = self.head.weight.unflatten(1, (p.shape[-1], -1))[y]  # (b, u, width)
        rise = (truth - p) * ((true - false) * block).sum(-1)
        return rise.new_zeros(len(p), self.space.groups).index_add(1, self.space.group, rise)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Return the loss terms of a batch.

        ``task``: cross-entropy before and after T corrections, weighted 1 and ``discount ** T``, over the sum of the
        weights. ``concept``: mean over known concepts. ``imitation``: mean over corrections of the cross-entropy of the
        policy's scores against the group whose correction raises the logit of the true class most, among those that are
        known and not set. In evaluation nothing is set: ``task`` is that of the prediction, ``imitation`` that of the
        first correction.

        Raises:
            ValueError: if the batch does not have the concepts of the schema.
        """
        annotated = self.annotations(batch)
        logits, context, _ = self._pooled(batch.x)
        p = self.space.values(logits).to(self.head.weight.dtype)
        known, truth = self._all_of_group(annotated.isfinite()), annotated.nan_to_num().to(p)
        gains = self._gains((p, context), truth, batch.targets).detach()
        longest = min(self.policy.lengthen(self.horizon), self.space.groups) if self.training else 0
        steps = int(torch.randint(1, longest + 1, ())) if longest else 1
        chosen = random_start(known, self.randint, longest).to(p) if longest else torch.zeros_like(known).to(p)
        first = self._answer(p, context, truth, chosen)
        imitation: list[Tensor] = []
        for _ in range(steps):
            weight = self._weight(p, truth, chosen)
            scores = self.policy(mix(context, weight).flatten(1), chosen)
            allowed = known & (chosen.detach() < 0.5)
            imitation.append(self._imitation(scores, gains, allowed))
            if longest:
                chosen = chosen + straight_through(scores, allowed)
        terms = {"task": self.task_loss(first, batch)}
        if longest:
            after = self.discount**steps
            last = self.task_loss(self._answer(p, context, truth, chosen), batch)
            terms["task"] = (terms["task"] + after * last) / (1 + after)
        if weights.get("concept"):
            terms["concept"] = self.space.loss(logits, annotated)
        if weights.get("imitation"):
            terms["imitation"] = torch.stack(imitation).mean()
        return terms

    def _weight(self, p: Tensor, truth: Tensor, chosen: Tensor) -> Tensor:
        """Mixing weights ``(b, u)`` with the groups ``chosen`` ``(b, g)``, of 0 and 1, set to the truth."""
        return p + chosen[:, self.space.group] * (truth - p)

    def _answer(self, p: Tensor, context: Tensor, truth: Tensor, chosen: Tensor) -> Tensor:
        return self.head(mix(context, self._weight(p, truth, chosen)).flatten(1))

    @staticmethod
    def _imitation(scores: Tensor, gains: Tensor, allowed: Tensor) -> Tensor:
        """Cross-entropy over the allowed groups, mean over the samples that have any."""
        lowest = torch.finfo(scores.dtype).min
        best = gains.masked_fill(~allowed, -torch.inf).argmax(1)
        each = F.cross_entropy(scores.masked_fill(~allowed, lowest), best, reduction="none")
        some = allowed.any(1)
        return (each * some).sum() / some.sum().clamp_min(1)
