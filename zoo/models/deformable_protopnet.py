"""Deformable ProtoPNet: prototypes made of parts whose relative positions adapt to the image.

Source: Donnelly et al., Deformable ProtoPNet: An Interpretable Image Classifier Using Deformable Prototypes, CVPR 2022.

A prototype is a square of parts; at every cell of the image each part may move by an offset that a small network
predicts from the features. The similarity is the mean cosine of the parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.batch import Batch
from zoo.layers.prototypes.deformed_patches import DeformedPatches
from zoo.layers.prototypes.linear_head import LinearHead
from zoo.layers.prototypes.prototype_losses import absolute_orthogonality, cluster, separation
from zoo.layers.prototypes.prototype_model import at_least_one
from zoo.layers.prototypes.similarity import distances
from zoo.registry import register

MARGIN = 0.1  # radians by which prototypes of other classes are taken to be nearer in training


@register
class DeformableProtoPNet(LinearHead):
    """Backbone, predicted offsets, prototypes of several parts with cosine similarity, linear head without bias.

    Args:
        per_class: prototypes of each class.
        parts: side of the square of parts of a prototype.
        dilation: distance of neighboring parts before they move, in cells.
        own_weight: the head's initial weight from a prototype to its class.
        other_weight: the head's initial weight to the other classes.
        common: the arguments of ``zoo.layers.backbone_model.BackboneModel``.

    Example:
        >>> import zoo
        >>> model = zoo.create_model("deformable_protopnet", num_classes=2, backbone="resnet10t", per_class=3)
        >>> model.prototypes.shape  # four parts of 512 features
        torch.Size([6, 2048, 1, 1])
    """

    terms = ("task", "cluster", "separation", "offsets", "l1", "orthogonality")
    default_loss = {"cluster": 0.8, "separation": -0.08, "offsets": 0.8}

    def __init__(
        self,
        *,
        per_class: int = 6,
        parts: int = 2,
        dilation: int = 2,
        own_weight: float = 1.0,
        other_weight: float = -0.5,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        at_least_one(parts=parts, dilation=dilation)
        self.similarity = "cosine"
        self.addon = DeformedPatches(self.backbone.channels, parts=parts, dilation=dilation)
        self.build_owned(per_class, (self.backbone.channels * parts**2, 1, 1), initial=torch.rand)
        self.build_head(own_weight=own_weight, other_weight=other_weight)
        self.after_step()

    @torch.no_grad()
    def after_step(self) -> None:
        """Scale all parts of a prototype to one length, of 1 together."""
        parts = self.part_vectors()
        self.prototypes.copy_((F.normalize(parts, dim=1) * parts.shape[2] ** -0.5).flatten(1)[..., None, None])

    def part_vectors(self) -> Tensor:
        """Return the parts ``(u, d, m)`` of all prototypes."""
        return self.prototypes.flatten(1).unflatten(1, (self.backbone.channels, -1))

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Cross-entropy with a margin, cluster, separation, mean length of offsets, off-class L1, orthogonality.

        Cluster and separation are on distances 1 - cosine, so ``separation`` needs a negative weight. Orthogonality is
        among all parts of the prototypes of a class.
        """
        assert isinstance(self.addon, DeformedPatches)
        z = self.backbone(batch.x)
        offsets = self.addon.offsets(z)
        nearest = distances(self.addon(z, offsets), self.prototypes, self.similarity).amin((2, 3))
        own = self.owner[None] == batch.targets[:, None]
        angle = (1 - nearest).clamp(-1 + 1e-6, 1 - 1e-6).acos()
        scores = torch.where(own, 1 - nearest, (angle - MARGIN).clamp_min(0).cos())
        terms = {"task": self.task_loss(self.decide(scores), batch)}
        if weights.get("cluster"):
            terms["cluster"] = cluster(nearest, own)
        if weights.get("separation"):
            terms["separation"] = separation(nearest, own)
        if weights.get("offsets"):
            terms["offsets"] = offsets.norm(dim=2).mean()
        if weights.get("l1"):
            terms["l1"] = self.off_class_l1()
        if weights.get("orthogonality"):
            parts = self.part_vectors().mT.flatten(0, 1)[..., None, None]
            terms["orthogonality"] = absolute_orthogonality(parts, self.owner.repeat_interleave(self.addon.parts))
        return terms
