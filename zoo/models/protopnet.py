"""ProtoPNet: this looks like that, because a patch here resembles a patch of a training image.

Chen et al., This Looks Like That: Deep Learning for Interpretable Image Recognition, NeurIPS 2019. An image is a map
of features; each prototype is a point in the same space and belongs to one class; a class scores by how strongly its
prototypes are found anywhere in the image. After projection every prototype *is* a patch of a training image.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch, content_hash
from zoo.capabilities import Directions, Sources
from zoo.explanation import Explanation, Units, gather
from zoo.layers.backbone import Backbone
from zoo.layers.directions import space_of
from zoo.layers.prototypes import Similarity, addon_layers, distances, nearest_patches, similarities
from zoo.layers.sparse_linear import fit_sparse_linear
from zoo.model import SelfExplaining, in_order
from zoo.registry import register

PER_UNIT = ("owner", "source_index", "source_row", "source_col", "source_distance", "source_hash")


@register
class ProtoPNet(SelfExplaining):
    """Backbone, 1 x 1 add-on layers, prototypes, linear head without bias.

    Args:
        num_classes: c.
        backbone: timm architecture that offers ``features_only``, CNN or ViT.
        backbone_level: which feature level, -1 the deepest.
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
    """

    terms = ("task", "cluster", "separation", "l1", "orthogonality")

    def __init__(
        self,
        *,
        num_classes: int,
        backbone: str = "resnet18",
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
            if value < 1:
                raise ValueError(f"{key} is {value}; expected at least 1")
        self.save_hyperparameters()
        self.similarity: Similarity = similarity
        self.backbone = Backbone(
            backbone, level=backbone_level, pretrained=pretrained, weights=backbone_weights, args=backbone_args
        )
        self.addon = addon_layers(addon, self.backbone.channels, dim, sigmoid=similarity != "cosine")
        u, size = num_classes * per_class, prototype_size
        start = torch.randn if similarity == "cosine" else torch.rand
        self.prototypes = nn.Parameter(start(u, dim, size, size))
        self.head = nn.Linear(u, num_classes, bias=False)
        self.register_buffer("owner", torch.arange(num_classes).repeat_interleave(per_class))
        for name in PER_UNIT[1:]:
            kind = torch.float64 if name == "source_distance" else torch.int64
            self.register_buffer(name, torch.full((u,), -1, dtype=kind))
        with torch.no_grad():
            self.head.weight.copy_(self._initial_head())
        self.register_load_state_dict_pre_hook(lambda module, state, prefix, *_: module.resize_for(state, prefix))

    @property
    def units(self) -> Units:
        """The prototypes, named by class and number."""
        first = torch.searchsorted(self.owner, self.owner)  # owners are sorted, so this is where the class begins
        number = torch.arange(len(self.owner), device=self.owner.device) - first
        return Units(
            "prototype",
            [f"class {c} #{n}" for c, n in zip(self.owner.tolist(), number.tolist(), strict=True)],
            self.owner,
        )

    def sources(self) -> Sources:
        """The training sample that each prototype was projected on."""
        return Sources(self.source_index, self.source_hash)

    def directions(self) -> Directions:
        """The prototypes, in the space of the add-on layers' patches."""
        return Directions(self.prototypes.detach().flatten(1), space_of(self.backbone, self.addon))

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        projected = {"sources"} if bool((self.sources().index >= 0).any()) else set()
        return frozenset({"directions"} | projected)

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone``, ``addon``, ``prototypes``, ``head``."""
        return {"backbone": self.backbone, "addon": self.addon, "prototypes": self.prototypes, "head": self.head}

    def part_of(self, key: str) -> str:
        """Owner and provenance belong to ``prototypes``."""
        return "prototypes" if key in PER_UNIT else super().part_of(key)

    def resize_for(self, state: Mapping[str, Tensor], prefix: str = "") -> None:
        """Take over the number of prototypes of a state about to be loaded, such as that of a pruned network."""
        owner = state.get(f"{prefix}owner")
        if owner is None or len(owner) == len(self.owner):
            return
        for name in PER_UNIT[1:]:
            setattr(self, name, getattr(self, name).new_full((len(owner),), -1))
        self.owner = owner.to(self.owner.device)
        self.prototypes = nn.Parameter(self.prototypes.new_zeros(len(owner), *self.prototypes.shape[1:]))
        self.head = nn.Linear(len(owner), self.head.out_features, bias=False).to(self.head.weight)
        with torch.no_grad():
            self.head.weight.copy_(self._initial_head())

    def maps(self, x: Tensor) -> Tensor:
        """Similarity ``(b, u, h, w)`` of every patch to every prototype."""
        return similarities(self._distances(x), self.similarity)

    def scores(self, x: Tensor) -> Tensor:
        """Similarity ``(b, u)`` of the nearest patch to each prototype: the largest of its map."""
        return similarities(self._distances(x).amin((2, 3)), self.similarity)

    def _distances(self, x: Tensor) -> Tensor:
        return distances(self.addon(self.backbone(x)), self.prototypes, self.similarity)

    def _logits(self, scores: Tensor) -> Tensor:
        with torch.autocast(scores.device.type, enabled=False):
            return self.head(scores)

    def encode(self, x: Tensor) -> Tensor:
        """The scores ``(b, u)`` of images ``(b, 3, s, s)``."""
        return self.scores(x)

    def decide(self, state: Tensor, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """The linear head on the scores, some of them set."""
        return self._logits(state if mask is None else torch.where(mask, value, state))

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Weight times similarity, exact; ``where`` is the similarity map of each shown prototype."""
        distance = self._distances(x)
        scores = similarities(distance.amin((2, 3)), self.similarity)
        logits = self._logits(scores)
        target = self.resolve_target(logits, target)
        contribution = scores * self.head.weight[target]
        shown = self.resolve_shown(contribution, shown)
        maps = similarities(gather(distance, shown), self.similarity) * (shown >= 0)[..., None, None]
        return Explanation(self.units, logits, target, scores, contribution, logits.new_zeros(len(x)), shown, maps)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Terms of eq. (2) and (5) of the paper.

        ``cluster``: distance of the nearest own-class prototype; ``separation``: of the nearest other (give it a
        negative weight); ``l1``: absolute head weights from prototypes to other classes; ``orthogonality``: mean
        squared cosine between prototypes of a class.
        """
        d = self._distances(batch.x).amin((2, 3))
        terms = {"task": F.cross_entropy(self._logits(similarities(d, self.similarity)), batch.y)}
        own = self.owner[None] == batch.y[:, None]
        if weights.get("cluster"):
            terms["cluster"] = d.masked_fill(~own, torch.inf).amin(1).nan_to_num(posinf=0.0).mean()
        if weights.get("separation"):
            terms["separation"] = d.masked_fill(own, torch.inf).amin(1).nan_to_num(posinf=0.0).mean()
        if weights.get("l1"):
            terms["l1"] = (self.head.weight.abs() * ~self._own()).sum()
        if weights.get("orthogonality"):
            p = F.normalize(self.prototypes.flatten(1), dim=1)
            same = (self.owner[:, None] == self.owner).fill_diagonal_(False)
            terms["orthogonality"] = ((p @ p.T).square() * same).sum() / same.sum().clamp_min(1)
        return terms

    # Methods that a phase may name under ``then``.

    @torch.no_grad()
    def project(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Replace each prototype by the nearest patch among the training images of its class, with provenance."""
        self.eval()
        found = nearest_patches(self._features(loader), self.prototypes.data, self.owner, self.similarity)
        moved = (self.prototypes - found.patch).flatten(1).norm(dim=1).mean()
        self.prototypes.copy_(found.patch)
        self.source_index.copy_(found.index)
        self.source_row.copy_(found.row)
        self.source_col.copy_(found.col)
        self.source_distance.copy_(found.distance)
        self.source_hash.copy_(found.content)
        places = torch.stack([found.index, found.row, found.col], dim=1)
        return {
            "mean distance": float(found.distance.mean()),
            "mean shift": float(moved),
            "distinct patches": len(places.unique(dim=0)),
        }

    @torch.no_grad()
    def fit_head(self, loader: Iterable[Batch], *, l1: float = 1e-4, l2: float = 1e-3) -> dict[str, float]:
        """Solve the last layer exactly: cross-entropy + off-class L1 + a pull to the initial own-class weight."""
        scores, y = self.score_matrix(loader)
        start = self._own().to(scores) * float(self.hparams["own_weight"])
        weight, residual = fit_sparse_linear(scores, y, start, ~self._own(), l1=l1, l2=l2)
        self.head.weight.copy_(weight.to(self.head.weight))
        others = weight[~self._own()]
        return {"kkt residual": residual, "off-class weights": int((others != 0).sum())}

    @torch.no_grad()
    def prune(self, loader: Iterable[Batch], *, k: int = 6, least: int = 3) -> dict[str, float]:
        """Drop prototypes whose ``k`` nearest training images include fewer than ``least`` of their own class.

        If that is all of them, none is dropped, with a warning.

        Raises:
            ValueError: if ``least`` is not between 1 and ``k``.
        """
        if not 1 <= least <= k:
            raise ValueError(f"prune: least is {least} and k is {k}; expected 1 <= least <= k")
        scores, y = self.score_matrix(loader)
        nearest = scores.topk(min(k, len(scores)), dim=0).indices  # (k, u)
        keep = (y[nearest] == self.owner).sum(0) >= least
        if not bool(keep.any()):
            warnings.warn(
                f"no prototype has {least} of its own class among its {k} nearest: none is pruned", stacklevel=2
            )
            keep = torch.ones_like(keep)
        bare = sorted(set(self.owner.tolist()) - set(self.owner[keep].tolist()))
        if bare:
            warnings.warn(
                f"pruning leaves no prototype for class {bare}: nothing argues for them any more", stacklevel=2
            )
        self.prototypes = nn.Parameter(self.prototypes[keep].clone())
        weight = self.head.weight[:, keep].clone()
        self.head = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device=weight.device, dtype=weight.dtype)
        self.head.weight.copy_(weight)
        for name in PER_UNIT:
            setattr(self, name, getattr(self, name)[keep].clone())
        return {"pruned": int((~keep).sum()), "left": int(keep.sum())}

    @torch.no_grad()
    def score_matrix(self, loader: Iterable[Batch]) -> tuple[Tensor, Tensor]:
        """Scores ``(n, u)`` and classes ``(n,)`` of a whole split in its order, gathered over ranks."""
        self.eval()
        scores, y = in_order((self.scores(b.x), b.y, b.index) for b in self._moved(loader))
        return scores, y

    def _features(self, loader: Iterable[Batch]) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        for b in self._moved(loader):
            yield self.addon(self.backbone(b.x)), b.y, b.index, content_hash(b.x)

    def _moved(self, loader: Iterable[Batch]) -> Iterator[Batch]:
        return (b.to(self.prototypes.device) for b in loader)

    def _own(self) -> Tensor:
        """``(c, u)`` bool, prototype u belongs to class c."""
        return torch.arange(self.head.out_features, device=self.owner.device)[:, None] == self.owner

    def _initial_head(self) -> Tensor:
        own = self._own().float()
        return own * self.hparams["own_weight"] + (1 - own) * self.hparams["other_weight"]
