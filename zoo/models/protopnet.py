"""ProtoPNet: classifies an image by the similarity of its patches to patches of training images.

Chen et al., This Looks Like That: Deep Learning for Interpretable Image Recognition, NeurIPS 2019. An image is a map of
features; each prototype is a point in the same space and belongs to one class; the score of a class depends on the
largest similarity of each prototype to any patch. After projection every prototype *is* a patch of a training image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo.batch import Batch, content_hash
from zoo.capabilities import Directions
from zoo.explanation import Explanation, gather
from zoo.layers.backbone import Backbone
from zoo.layers.directions import space_of
from zoo.layers.prototypes.losses import cluster, orthogonality, separation
from zoo.layers.prototypes.nearest_patches import nearest_patches
from zoo.layers.prototypes.prototype_model import PrototypeModel
from zoo.layers.prototypes.pruning import prototypes_to_keep
from zoo.layers.prototypes.similarity import Similarity, addon_layers, distances, similarities
from zoo.layers.sparse_linear import fit_sparse_linear
from zoo.model import in_order
from zoo.registry import register


@register
class ProtoPNet(PrototypeModel):
    """Backbone, 1 x 1 add-on layers, prototypes, linear head without bias.

    Args:
        num_classes: c.
        backbone: timm architecture with ``features_only``, CNN or ViT, or a module of your own.
        backbone_level: index of the feature level, -1 for the deepest.
        pretrained: backbone weights from timm's hub.
        backbone_weights: backbone weights from a local safetensors file.
        backbone_args: further arguments of ``timm.create_model``.
        per_class: prototypes of each class.
        dim: width d of the prototypes.
        prototype_size: side of a prototype in cells of the feature map.
        similarity: ``log_l2`` as published, ``cosine``, ``l2`` or ``exp_l2``.
        addon: layers between backbone and prototypes.
        own_weight: the head's initial weight from a prototype to its class.
        other_weight: the head's initial weight to the other classes.

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
        num_classes: int | None = None,
        backbone: str | nn.Module = "resnet18",
        backbone_level: int = -1,
        pretrained: bool = False,
        backbone_weights: str | None = None,
        backbone_args: dict[str, Any] | None = None,
        per_class: int = 10,
        dim: int = 128,
        prototype_size: int = 1,
        similarity: Similarity = "log_l2",
        addon: Literal["regular", "bottleneck", "none"] = "regular",
        own_weight: float = 1.0,
        other_weight: float = -0.5,
    ) -> None:
        super().__init__()
        sizes = {"num_classes": num_classes, "per_class": per_class, "dim": dim, "prototype_size": prototype_size}
        for key, value in sizes.items():
            if value is None or value < 1:
                raise ValueError(f"{key} is {value}; expected at least 1")
        assert num_classes is not None
        self.save_hyperparameters()
        self.similarity: Similarity = similarity
        self.backbone = Backbone(
            backbone, level=backbone_level, pretrained=pretrained, weights=backbone_weights, args=backbone_args
        )
        self.addon = addon_layers(addon, self.backbone.channels, dim, sigmoid=similarity != "cosine")
        self.build_prototypes(
            num_classes,
            per_class,
            (dim, prototype_size, prototype_size),
            initial=torch.randn if similarity == "cosine" else torch.rand,
            own_weight=own_weight,
            other_weight=other_weight,
        )

    def directions(self) -> Directions:
        """Return the prototypes, in the space of the add-on layers."""
        return Directions(self.prototypes.detach().flatten(1), space_of(self.backbone, self.addon))

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return super().capabilities | {"directions"}

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone``, ``addon``, ``prototypes``, ``head``."""
        return {"backbone": self.backbone, "addon": self.addon, "prototypes": self.prototypes, "head": self.head}

    def maps(self, x: Tensor) -> Tensor:
        """Return the similarity ``(b, u, h, w)`` of every patch to every prototype."""
        return similarities(self._distances(x), self.similarity)

    def scores(self, x: Tensor) -> Tensor:
        """Return the similarity ``(b, u)`` of the nearest patch to each prototype: the maximum of its map."""
        return similarities(self._distances(x).amin((2, 3)), self.similarity)

    def _distances(self, x: Tensor) -> Tensor:
        return distances(self.addon(self.backbone(x)), self.prototypes, self.similarity)

    def _logits(self, scores: Tensor) -> Tensor:
        with torch.autocast(scores.device.type, enabled=False):
            return self.head(scores.to(self.head.weight.dtype))  # of a model in half precision

    def encode(self, x: Tensor) -> Tensor:
        """Return the scores ``(b, u)`` of images ``(b, 3, s, s)``."""
        return self.scores(x)

    def decide(self, state: Tensor, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Apply the linear head to the scores, some of them set."""
        if mask is not None and value is not None:
            state = torch.where(mask, value, state)
        return self._logits(state)

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain by weight times similarity, exact; ``where`` is the similarity map of each shown prototype."""
        distance = self._distances(x)
        scores = similarities(distance.amin((2, 3)), self.similarity)
        logits = self._logits(scores)
        target = self.resolve_target(logits, target)
        contribution = scores * self.head.weight[target]
        shown = self.resolve_shown(contribution, shown)
        maps = similarities(gather(distance, shown), self.similarity) * (shown >= 0)[..., None, None]
        return Explanation(self.units, logits, target, scores, contribution, logits.new_zeros(len(x)), shown, maps)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Terms of eq. (2) and (5) of the paper, see ``zoo.layers.prototypes.losses``.

        ``separation`` needs a negative weight; ``l1``: absolute head weights from prototypes to other classes.
        """
        distance = self._distances(batch.x).amin((2, 3))
        terms = {"task": self.task_loss(self._logits(similarities(distance, self.similarity)), batch)}
        own = self.owner[None] == batch.targets[:, None]
        if weights.get("cluster"):
            terms["cluster"] = cluster(distance, own)
        if weights.get("separation"):
            terms["separation"] = separation(distance, own)
        if weights.get("l1"):
            terms["l1"] = (self.head.weight.abs() * ~self.own()).sum()
        if weights.get("orthogonality"):
            terms["orthogonality"] = orthogonality(self.prototypes, self.owner)
        return terms

    # Methods that a phase can name under ``then``.

    @torch.no_grad()
    def project(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Replace each prototype by the nearest patch of the training images of its class, and record its source."""
        self.eval()
        nearest = nearest_patches(self._features(loader), self.prototypes.data, self.owner, self.similarity)
        shift = (self.prototypes - nearest.patch).flatten(1).norm(dim=1).mean()
        self.replace_by(nearest)
        patches = len(torch.stack([nearest.index, nearest.row, nearest.col], dim=1).unique(dim=0))
        return {
            "mean distance": float(nearest.distance.mean()),
            "mean shift": float(shift),
            "distinct patches": patches,
        }

    @torch.no_grad()
    def fit_head(self, loader: Iterable[Batch], *, l1: float = 1e-4, l2: float = 1e-3) -> dict[str, float]:
        """Fit the head exactly: cross-entropy + off-class L1 + L2 distance from the initial own-class weights."""
        scores, y, share = self._weighted_scores(loader)
        start = self.own().to(scores) * float(self.hparams["own_weight"])
        loss = self.head_loss(y, share)
        weight, residual = fit_sparse_linear(scores, y, start, ~self.own(), l1=l1, l2=l2, loss=loss)
        self.head.weight.copy_(weight.to(self.head.weight))
        others = weight[~self.own()]
        return {"kkt residual": residual, "off-class weights": int((others != 0).sum())}

    @torch.no_grad()
    def prune(self, loader: Iterable[Batch], *, k: int = 6, least: int = 3) -> dict[str, float]:
        """Remove prototypes whose ``k`` nearest training images include fewer than ``least`` of their own class."""
        scores, y = self.score_matrix(loader)
        keep = prototypes_to_keep(scores, y, self.owner, k=k, least=least)
        self.keep(keep)
        return {"pruned": int((~keep).sum()), "left": int(keep.sum())}

    @torch.no_grad()
    def score_matrix(self, loader: Iterable[Batch]) -> tuple[Tensor, Tensor]:
        """Return scores ``(n, u)`` and classes ``(n,)`` of a whole split in its order, gathered over ranks."""
        scores, y, _ = self._weighted_scores(loader)
        return scores, y

    def _weighted_scores(self, loader: Iterable[Batch]) -> tuple[Tensor, Tensor, Tensor]:
        """Scores ``(n, u)``, classes ``(n,)`` and weights ``(n,)`` of a whole split."""
        self.eval()
        scores, y, weight = in_order((self.scores(b.x), b.targets, b.weights, b.index) for b in self._moved(loader))
        return scores, y, weight

    def _features(self, loader: Iterable[Batch]) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        for b in self._moved(loader):
            yield self.addon(self.backbone(b.x)), b.targets, b.index, content_hash(b.x)

    def _moved(self, loader: Iterable[Batch]) -> Iterator[Batch]:
        return (b.to(self.prototypes.device) for b in loader)
