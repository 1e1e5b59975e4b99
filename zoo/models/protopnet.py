"""ProtoPNet: classifies an image by the similarity of its patches to patches of training images.

Chen et al., This Looks Like That: Deep Learning for Interpretable Image Recognition, NeurIPS 2019. An image is a map of
features; each prototype is a point in the same space and belongs to one class; the score of a class depends on the
largest similarity of each prototype to any patch. After projection every prototype *is* a patch of a training image.
"""

from __future__ import annotations

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
from zoo.layers.nearest_patches import nearest_patches
from zoo.layers.prototype_losses import cluster, orthogonality, separation
from zoo.layers.prototype_pruning import prototypes_to_keep
from zoo.layers.prototypes import Similarity, addon_layers, distances, similarities
from zoo.layers.sparse_linear import fit_sparse_linear
from zoo.model import SelfExplaining, in_order
from zoo.registry import register

PER_UNIT = ("owner", "source_index", "source_row", "source_col", "source_distance", "source_hash")
DESCRIBE = (
    "This model predicts by comparison with characteristic patches of training images, called prototypes. The strength"
    " of a prototype is its largest similarity to any patch of the image. Every similarity adds to the score of a class"
    " or subtracts from it."
)


@register
class ProtoPNet(SelfExplaining):
    """Backbone, 1 x 1 add-on layers, prototypes, linear head without bias.

    Args:
        num_classes: c.
        backbone: timm architecture with ``features_only``, CNN or ViT.
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
    owner: Tensor
    source_index: Tensor
    source_row: Tensor
    source_col: Tensor
    source_distance: Tensor
    source_hash: Tensor

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
        u = num_classes * per_class
        initial = torch.randn if similarity == "cosine" else torch.rand
        self.prototypes = nn.Parameter(initial(u, dim, prototype_size, prototype_size))
        self.head = nn.Linear(u, num_classes, bias=False)
        self.register_buffer("owner", torch.arange(num_classes).repeat_interleave(per_class))
        for name in PER_UNIT[1:]:
            dtype = torch.float64 if name == "source_distance" else torch.int64
            self.register_buffer(name, torch.full((u,), -1, dtype=dtype))
        with torch.no_grad():
            self.head.weight.copy_(self._initial_head())
        self.register_load_state_dict_pre_hook(_resize)

    @property
    def units(self) -> Units:
        """The prototypes, named by class and number."""
        first = torch.searchsorted(self.owner, self.owner)  # owners are sorted: the first prototype of the class
        number = torch.arange(len(self.owner), device=self.owner.device) - first
        names = [f"class {c} #{n}" for c, n in zip(self.owner.tolist(), number.tolist(), strict=True)]
        return Units("prototype", names, self.owner, describe=DESCRIBE)

    def sources(self) -> Sources:
        """Return the training sample that each prototype was projected on."""
        return Sources(self.source_index, self.source_hash)

    def directions(self) -> Directions:
        """Return the prototypes, in the space of the add-on layers."""
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
        """Return ``prototypes`` for owner and sources."""
        return "prototypes" if key in PER_UNIT else super().part_of(key)

    def resize_for(self, state: Mapping[str, Tensor], prefix: str = "") -> None:
        """Take the number of prototypes from a state about to be loaded, such as that of a pruned network."""
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
        """Return the similarity ``(b, u, h, w)`` of every patch to every prototype."""
        return similarities(self._distances(x), self.similarity)

    def scores(self, x: Tensor) -> Tensor:
        """Return the similarity ``(b, u)`` of the nearest patch to each prototype: the maximum of its map."""
        return similarities(self._distances(x).amin((2, 3)), self.similarity)

    def _distances(self, x: Tensor) -> Tensor:
        return distances(self.addon(self.backbone(x)), self.prototypes, self.similarity)

    def _logits(self, scores: Tensor) -> Tensor:
        with torch.autocast(scores.device.type, enabled=False):
            return self.head(scores)

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
        """Terms of eq. (2) and (5) of the paper, see ``zoo.layers.prototype_losses``.

        ``separation`` needs a negative weight; ``l1``: absolute head weights from prototypes to other classes.
        """
        distance = self._distances(batch.x).amin((2, 3))
        terms = {"task": F.cross_entropy(self._logits(similarities(distance, self.similarity)), batch.y)}
        own = self.owner[None] == batch.y[:, None]
        if weights.get("cluster"):
            terms["cluster"] = cluster(distance, own)
        if weights.get("separation"):
            terms["separation"] = separation(distance, own)
        if weights.get("l1"):
            terms["l1"] = (self.head.weight.abs() * ~self._own()).sum()
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
        self.prototypes.copy_(nearest.patch)
        self.source_index.copy_(nearest.index)
        self.source_row.copy_(nearest.row)
        self.source_col.copy_(nearest.col)
        self.source_distance.copy_(nearest.distance)
        self.source_hash.copy_(nearest.content)
        patches = len(torch.stack([nearest.index, nearest.row, nearest.col], dim=1).unique(dim=0))
        return {
            "mean distance": float(nearest.distance.mean()),
            "mean shift": float(shift),
            "distinct patches": patches,
        }

    @torch.no_grad()
    def fit_head(self, loader: Iterable[Batch], *, l1: float = 1e-4, l2: float = 1e-3) -> dict[str, float]:
        """Fit the head exactly: cross-entropy + off-class L1 + L2 distance from the initial own-class weights."""
        scores, y = self.score_matrix(loader)
        start = self._own().to(scores) * float(self.hparams["own_weight"])
        weight, residual = fit_sparse_linear(scores, y, start, ~self._own(), l1=l1, l2=l2)
        self.head.weight.copy_(weight.to(self.head.weight))
        others = weight[~self._own()]
        return {"kkt residual": residual, "off-class weights": int((others != 0).sum())}

    @torch.no_grad()
    def prune(self, loader: Iterable[Batch], *, k: int = 6, least: int = 3) -> dict[str, float]:
        """Remove prototypes whose ``k`` nearest training images include fewer than ``least`` of their own class."""
        scores, y = self.score_matrix(loader)
        keep = prototypes_to_keep(scores, y, self.owner, k=k, least=least)
        self.prototypes = nn.Parameter(self.prototypes[keep].clone())
        weight = self.head.weight[:, keep].clone()
        self.head = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device=weight.device, dtype=weight.dtype)
        self.head.weight.copy_(weight)
        for name in PER_UNIT:
            setattr(self, name, getattr(self, name)[keep].clone())
        return {"pruned": int((~keep).sum()), "left": int(keep.sum())}

    @torch.no_grad()
    def score_matrix(self, loader: Iterable[Batch]) -> tuple[Tensor, Tensor]:
        """Return scores ``(n, u)`` and classes ``(n,)`` of a whole split in its order, gathered over ranks."""
        self.eval()
        scores, y = in_order((self.scores(b.x), b.y, b.index) for b in self._moved(loader))
        return scores, y

    def _features(self, loader: Iterable[Batch]) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        for b in self._moved(loader):
            yield self.addon(self.backbone(b.x)), b.y, b.index, content_hash(b.x)

    def _moved(self, loader: Iterable[Batch]) -> Iterator[Batch]:
        return (b.to(self.prototypes.device) for b in loader)

    def _own(self) -> Tensor:
        """``(c, u)`` bool, whether prototype u belongs to class c."""
        return torch.arange(self.head.out_features, device=self.owner.device)[:, None] == self.owner

    def _initial_head(self) -> Tensor:
        own = self._own().float()
        return own * self.hparams["own_weight"] + (1 - own) * self.hparams["other_weight"]


def _resize(module: nn.Module, state: Mapping[str, Tensor], prefix: str, *_: Any) -> None:
    assert isinstance(module, ProtoPNet)
    module.resize_for(state, prefix)
