"""Prototypes that belong to one class each: names, ownership, pruning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.explanation import Units
from zoo.layers.prototypes.patch_prototypes import PatchPrototypes
from zoo.layers.prototypes.prototype_model import DESCRIBE, at_least_one
from zoo.layers.prototypes.pruning import prototypes_to_keep


class OwnedPrototypes(PatchPrototypes):
    """Patch prototypes of which each class owns some.

    A family calls ``build_owned`` and sets the head's initial weights in ``initialize_head``.

    Attributes:
        owner: ``(u,)`` class of each prototype, sorted.
    """

    owner: Tensor
    unit_axes: ClassVar[Mapping[str, int]] = {**PatchPrototypes.unit_axes, "owner": 0}

    def build_owned(self, per_class: int, shape: tuple[int, int, int], *, initial: Callable[..., Tensor]) -> None:
        """Set ``per_class`` prototypes for each class; other arguments as in ``build_prototypes``."""
        at_least_one(per_class=per_class)
        self.build_prototypes(self.num_classes * per_class, shape, initial=initial)
        self.register_buffer("owner", torch.arange(self.num_classes).repeat_interleave(per_class))

    def initialize_head(self) -> None:
        """Set the initial weights of the head, for the prototypes that there are; by default nothing."""

    @property
    def units(self) -> Units:
        """The prototypes, named by class and number."""
        first = torch.searchsorted(self.owner, self.owner)  # owners are sorted: the first prototype of the class
        number = torch.arange(len(self.owner), device=self.owner.device) - first
        owners = [self.owner_name(c) for c in range(self.num_classes)]
        names = [f"{owners[c]} #{n}" for c, n in zip(self.owner.tolist(), number.tolist(), strict=True)]
        return Units("prototype", names, self.owner, describe=DESCRIBE)

    def own(self) -> Tensor:
        """Return ``(c, u)`` bool, whether prototype u belongs to class c."""
        return torch.arange(self.num_classes, device=self.owner.device)[:, None] == self.owner

    def candidate_classes(self) -> Tensor:
        """Return the class ``(u,)`` that each prototype is projected on: its own."""
        return self.owner

    def resize_for(self, state: Mapping[str, Tensor], prefix: str = "") -> None:
        """Take the number of prototypes and their classes from a state about to be loaded."""
        count = len(self.owner)
        super().resize_for(state, prefix)
        if len(self.owner) != count and f"{prefix}owner" in state:
            self.owner = state[f"{prefix}owner"].to(self.owner.device)
            self.initialize_head()

    @torch.no_grad()
    def prune(self, loader: Iterable[Batch], *, k: int = 6, least: int = 3) -> dict[str, float]:
        """Remove prototypes whose ``k`` nearest training images include fewer than ``least`` of their own class."""
        scores, y = self.score_matrix(loader)
        keep = prototypes_to_keep(scores, y, self.owner, k=k, least=least)
        self.keep(keep)
        return {"pruned": int((~keep).sum()), "left": int(keep.sum())}
