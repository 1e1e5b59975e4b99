"""SDFA-SA: a ProtoPNet whose deep features keep the spatial similarities of shallow ones, with one weight a prototype.

Source: Huang et al., Evaluation and Improvement of Interpretability for Self-Explainable Part-Prototype Networks, ICCV
2023.

The paper also defines the consistency and stability scores. Shallow-deep feature alignment (SDFA) ties the evidence of
a prototype to the place where it is found; score aggregation (SA) lets only a class's own prototypes add to its logit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.editing.state import EditState
from zoo.explanation import gather
from zoo.layers.class_shares import class_shares
from zoo.layers.prototypes.owned_prototypes import OwnedPrototypes
from zoo.layers.prototypes.prototype_edits import OFF, check_same_class
from zoo.layers.prototypes.prototype_losses import absolute_orthogonality, cluster, separation
from zoo.layers.prototypes.prototype_model import at_least_one
from zoo.layers.prototypes.shallow_deep import shallow_deep_alignment
from zoo.layers.prototypes.similarity import AddOn, addon_layers, distances
from zoo.registry import register

SMALLEST = 1e-30  # weight whose logarithm is taken


@register
class SDFASA(OwnedPrototypes):
    """Backbone with a shallow and a deep grid, one 1 x 1 convolution with sigmoid, prototypes, score aggregation.

    The logit of a class is the weighted sum of the strengths of its own prototypes; the weights are a softmax within
    the class, times the number of its prototypes. The published network never projects its prototypes on training
    patches; here that is a method of a phase, ``then: project``.

    Args:
        per_class: prototypes of each class.
        dim: width d of the prototypes.
        similarity: ``projection`` of the patch on the prototype, as published, or ``cosine``.
        addon: layers between backbone and prototypes, ``single`` as published.
        sigmoid: end these layers in a sigmoid; None for yes unless the similarity is ``cosine``.
        average: side of the square of cells over which similarities are averaged, 1 for none; see
            ``zoo.layers.prototypes.similarity.MeanDirection``.
        shallow_level: index of the shallow feature level; its grid is a multiple of the deep one.
        own_weight: mean weight from a prototype to its class.
        common: the arguments of ``zoo.layers.backbone_model.BackboneModel``.

    Example:
        >>> import zoo
        >>> model = zoo.create_model("sdfa_sa", num_classes=2, backbone="resnet10t", per_class=3, dim=8)
        >>> model.class_weights().tolist()
        [[1.0, 1.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]]
    """

    terms = ("task", "cluster", "separation", "sdfa", "orthogonality")
    default_loss = {"cluster": 0.8, "separation": -0.08, "orthogonality": 1e-4}
    unit_axes: ClassVar[Mapping[str, int]] = {**OwnedPrototypes.unit_axes, "attention": 0}
    editable_by = ("forbid", "remove", "merge", "resolve")
    penalties = (0.0, 1e-3)
    leaves_when_merged = False  # the weights of a class sum to its number of prototypes

    def __init__(
        self,
        *,
        per_class: int = 10,
        dim: int = 64,
        similarity: Literal["projection", "cosine"] = "projection",
        addon: AddOn = "single",
        sigmoid: bool | None = None,
        average: int = 1,
        shallow_level: int = 0,
        own_weight: float = 1.0,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        at_least_one(dim=dim)
        if similarity not in ("projection", "cosine"):
            raise ValueError(f"similarity is {similarity!r}; expected projection or cosine")
        self.similarity = similarity
        self.own_weight = own_weight
        sigmoid = similarity != "cosine" if sigmoid is None else sigmoid
        self.addon = addon_layers(addon, self.backbone.channels, dim, sigmoid=sigmoid, average=average)
        self.build_owned(per_class, (dim, 1, 1), initial=torch.rand if sigmoid else torch.randn)
        self.attention = nn.Parameter(torch.ones(len(self.owner)))
        self.after_step()

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone``, ``addon``, ``prototypes``, ``attention``."""
        parts = {**self.backbone_parts(), "addon": self.addon}
        return {**parts, "prototypes": self.prototypes, "attention": self.attention}

    @torch.no_grad()
    def initialize_head(self) -> None:
        """Set all weights within a class equal."""
        self.attention.fill_(1.0)

    @torch.no_grad()
    def after_step(self) -> None:
        """Scale every prototype to length 1."""
        self.prototypes.copy_(F.normalize(self.prototypes.flatten(1), dim=1).view_as(self.prototypes))

    def class_weights(self) -> Tensor:
        """Return the weights ``(c, u)``: softmax within the class times its number of prototypes, otherwise 0."""
        own = self.own()
        share = self.attention.expand(len(own), -1).masked_fill(~own, -torch.inf).softmax(1)
        return (share * own.sum(1, keepdim=True) * self.own_weight).masked_fill(~own, 0.0)

    # Edits.

    @torch.no_grad()
    def forbid(self, unit: int) -> None:
        """Give the weight of a prototype to the others of its class, which still sum to their number."""
        self._check_not_last(unit)
        self.attention[unit] = OFF

    def remove(self, unit: int) -> None:
        """Remove one prototype; the weights of its class then sum to one less."""
        self._check_not_last(unit)
        super().remove(unit)

    def _check_not_last(self, unit: int) -> None:
        others = (self.owner == self.owner[unit]) & (self.attention > OFF / 2)
        others[unit] = False
        if not bool(others.any()):
            raise ValueError("it is the last prototype of its class that adds anything; expected to leave one")

    @torch.no_grad()
    def merge(self, unit: int, into: int) -> None:
        """Add the weight of a prototype to that of another one of its class."""
        check_same_class(self.owner, unit, into)
        self.attention[into] = torch.logaddexp(self.attention[into], self.attention[unit])
        self.attention[unit] = OFF

    @torch.no_grad()
    def solve(self, state: EditState, train: Iterable[Batch], l1: float, l2: float) -> None:
        """Set the weights to the optimum of cross-entropy + l2 / 2 times the squared distance from equal weights."""
        if l1:
            raise ValueError(f"l1 is {l1}; the weights of a class have one sum, expected l2 alone")
        scores, y, share = self._weighted_scores(train)
        free = [i not in state.held and i not in state.locked for i in range(len(self.owner))]
        weight = self.class_weights().sum(0)
        solved = class_shares(
            scores,
            y,
            self.owner,
            weight,
            torch.tensor(free),
            l2=l2,
            loss=self.head_loss(y, share),
            equal=self.own_weight,
        )
        off = torch.tensor([i in state.held for i in range(len(free))], device=weight.device)
        self.attention.copy_(torch.where(off, OFF, solved.to(weight).clamp_min(SMALLEST).log()))

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Cross-entropy, cluster and separation on cosines, shallow-deep alignment, orthogonality.

        ``separation`` needs a negative weight; the published weights are 0.8, -0.08, 0.5 and 1e-4.
        """
        shallow, deep = self.backbone.pyramid(batch.x) if weights.get("sdfa") else (None, self.backbone(batch.x))
        z = self.addon(deep)
        evidence = distances(z, self.prototypes, self.similarity)
        terms = {"task": self.task_loss(self.decide(self.strengths(evidence)), batch)}
        own = self.owner[None] == batch.targets[:, None]
        if weights.get("cluster") or weights.get("separation"):
            nearest = distances(z, self.prototypes, "cosine").amin((2, 3)) - 1
            terms["cluster"] = cluster(nearest, own)
            terms["separation"] = separation(nearest, own)
        if shallow is not None:
            ids = self.units.of_class(batch.targets)
            cells = gather(evidence, ids).flatten(2).argmin(2).masked_fill(ids < 0, -1)
            terms["sdfa"] = shallow_deep_alignment(z, shallow, cells)
        if weights.get("orthogonality"):
            terms["orthogonality"] = absolute_orthogonality(self.prototypes, self.owner)
        return terms
