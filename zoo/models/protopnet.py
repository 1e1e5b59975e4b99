"""ProtoPNet: classifies an image by the similarity of its patches to patches of training images.

Source: Chen et al., This Looks Like That: Deep Learning for Interpretable Image Recognition, NeurIPS 2019.

An image is a map of features; each prototype is a point in the same space and belongs to one class; the score of a
class depends on the largest similarity of each prototype to any patch. After projection every prototype *is* a patch of
a training image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.layers.prototypes.linear_head import LinearHead
from zoo.layers.prototypes.prototype_losses import cluster, orthogonality, separation
from zoo.layers.prototypes.prototype_model import at_least_one
from zoo.layers.prototypes.similarity import AddOn, Similarity, addon_layers
from zoo.registry import register


@register
class ProtoPNet(LinearHead):
    """Backbone, 1 x 1 add-on layers, prototypes, linear head without bias.

    Args:
        per_class: prototypes of each class.
        dim: width d of the prototypes.
        prototype_size: side of a prototype in cells of the feature map.
        similarity: ``log_l2`` as published, ``cosine``, ``l2``, ``exp_l2`` or ``projection``.
        addon: layers between backbone and prototypes.
        sigmoid: end these layers in a sigmoid; None for yes unless the similarity is ``cosine``.
        average: side of the square of cells over which similarities are averaged, 1 for none; see
            ``zoo.layers.prototypes.similarity.MeanDirection``.
        own_weight: the head's initial weight from a prototype to its class.
        other_weight: the head's initial weight to the other classes.
        common: the arguments of ``zoo.layers.backbone_model.BackboneModel``.

    Example:
        >>> import zoo
        >>> model = zoo.create_model("protopnet", num_classes=2, backbone="resnet18", per_class=3, dim=8)
        >>> model.units.names[:4]
        ['class 0 #0', 'class 0 #1', 'class 0 #2', 'class 1 #0']
    """

    terms = ("task", "cluster", "separation", "l1", "orthogonality")
    default_loss = {"cluster": 0.8, "separation": -0.08}

    def __init__(
        self,
        *,
        per_class: int = 10,
        dim: int = 128,
        prototype_size: int = 1,
        similarity: Similarity = "log_l2",
        addon: AddOn = "regular",
        sigmoid: bool | None = None,
        average: int = 1,
        own_weight: float = 1.0,
        other_weight: float = -0.5,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        at_least_one(dim=dim, prototype_size=prototype_size)
        self.similarity = similarity
        sigmoid = similarity != "cosine" if sigmoid is None else sigmoid
        self.addon = addon_layers(addon, self.backbone.channels, dim, sigmoid=sigmoid, average=average)
        initial = torch.rand if sigmoid else torch.randn
        self.build_owned(per_class, (dim, prototype_size, prototype_size), initial=initial)
        self.build_head(own_weight=own_weight, other_weight=other_weight)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Terms of eq. (2) and (5) of the paper, see ``zoo.layers.prototypes.prototype_losses``.

        ``separation`` needs a negative weight; ``l1``: absolute head weights from prototypes to other classes.
        """
        evidence = self.evidence(batch.x)
        distance = evidence.amin((2, 3))
        terms = {"task": self.task_loss(self.decide(self.strengths(evidence)), batch)}
        own = self.owner[None] == batch.targets[:, None]
        if weights.get("cluster"):
            terms["cluster"] = cluster(distance, own)
        if weights.get("separation"):
            terms["separation"] = separation(distance, own)
        if weights.get("l1"):
            terms["l1"] = self.off_class_l1()
        if weights.get("orthogonality"):
            terms["orthogonality"] = orthogonality(self.prototypes, self.owner)
        return terms
