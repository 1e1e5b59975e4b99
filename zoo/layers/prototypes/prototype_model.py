"""The base class of prototype models: prototypes with owners and sources, and a linear head on their scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo.capabilities import Sources
from zoo.explanation import Units
from zoo.layers.prototypes.nearest_patches import Nearest
from zoo.model import SelfExplaining

PER_UNIT = ("owner", "source_index", "source_row", "source_col", "source_distance", "source_hash")
DESCRIBE = (
    "This model predicts by comparison with characteristic patches of training images, called prototypes. The strength"
    " of a prototype is its largest similarity to any patch of the image. Every similarity adds to the score of a class"
    " or subtracts from it."
)


class PrototypeModel(SelfExplaining):
    """A model whose units are prototypes of classes, with a linear head without bias on their scores.

    A family calls ``build_prototypes``.

    Attributes:
        prototypes: ``(u, d, i, j)``
        head: from u scores to c logits.
        owner: ``(u,)`` class of each prototype, sorted.
        source_index: ``(u,)`` training sample that each prototype was projected on, -1 before.
        source_row: ``(u,)`` row of its patch.
        source_col: ``(u,)`` column of its patch.
        source_distance: ``(u,)`` distance from the patch before the projection.
        source_hash: ``(u,)`` content hash of the sample.
    """

    prototypes: nn.Parameter
    head: nn.Linear
    owner: Tensor
    source_index: Tensor
    source_row: Tensor
    source_col: Tensor
    source_distance: Tensor
    source_hash: Tensor

    def build_prototypes(
        self,
        num_classes: int,
        per_class: int,
        shape: tuple[int, int, int],
        *,
        initial: Callable[..., Tensor],
        own_weight: float,
        other_weight: float,
    ) -> None:
        """Set prototypes, head, owners and sources.

        Args:
            num_classes: c.
            per_class: prototypes of each class.
            shape: (d, i, j) of one prototype.
            initial: returns a tensor of given sizes, such as ``torch.rand``.
            own_weight: initial weight from a prototype to its class.
            other_weight: initial weight from a prototype to the other classes.
        """
        u = num_classes * per_class
        self.initial_weights = (own_weight, other_weight)
        self.prototypes = nn.Parameter(initial(u, *shape))
        self.head = nn.Linear(u, num_classes, bias=False)
        self.register_buffer("owner", torch.arange(num_classes).repeat_interleave(per_class))
        for name in PER_UNIT[1:]:
            dtype = torch.float64 if name == "source_distance" else torch.int64
            self.register_buffer(name, torch.full((u,), -1, dtype=dtype))
        self._initialize_head()
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

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``: ``sources`` after a projection."""
        return frozenset({"sources"} if bool((self.source_index >= 0).any()) else ())

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
        self._initialize_head()

    @torch.no_grad()
    def replace_by(self, nearest: Nearest) -> None:
        """Replace each prototype by its nearest patch, and record the source."""
        self.prototypes.copy_(nearest.patch)
        self.source_index.copy_(nearest.index)
        self.source_row.copy_(nearest.row)
        self.source_col.copy_(nearest.col)
        self.source_distance.copy_(nearest.distance)
        self.source_hash.copy_(nearest.content)

    @torch.no_grad()
    def keep(self, mask: Tensor) -> None:
        """Remove the prototypes where ``mask`` ``(u,)`` is false."""
        self.prototypes = nn.Parameter(self.prototypes[mask].clone())
        weight = self.head.weight[:, mask].clone()
        self.head = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device=weight.device, dtype=weight.dtype)
        self.head.weight.copy_(weight)
        for name in PER_UNIT:
            setattr(self, name, getattr(self, name)[mask].clone())

    def own(self) -> Tensor:
        """Return ``(c, u)`` bool, whether prototype u belongs to class c."""
        return torch.arange(self.head.out_features, device=self.owner.device)[:, None] == self.owner

    @torch.no_grad()
    def _initialize_head(self) -> None:
        own = self.own().float()
        own_weight, other_weight = self.initial_weights
        self.head.weight.copy_(own * own_weight + (1 - own) * other_weight)


def _resize(module: nn.Module, state: Mapping[str, Tensor], prefix: str, *_: Any) -> None:
    assert isinstance(module, PrototypeModel)
    module.resize_for(state, prefix)
