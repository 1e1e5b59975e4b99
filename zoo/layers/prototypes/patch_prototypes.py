"""Learned patch prototypes: similarity to every patch of an image, projection on training patches, resizing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zoo.batch import Batch, content_hash
from zoo.capabilities import Directions
from zoo.layers.feature_space import space_of
from zoo.layers.prototypes.nearest_patches import Nearest, nearest_patches
from zoo.layers.prototypes.prototype_edits import all_but
from zoo.layers.prototypes.provenance import SOURCES, Provenance
from zoo.layers.prototypes.similarity import Similarity, distances, similarities


class PatchPrototypes(Provenance):
    """A prototype model whose prototypes are parameters in the space of the features.

    A family calls ``build_prototypes``, and restricts the projection in ``candidate_classes``.

    Attributes:
        similarity: of patches and prototypes.
        prototypes: ``(u, d, i, j)``
        unit_axes: the axis of the units in every tensor of the state that has one, by name; pruning and loading a
            pruned state resize these.
    """

    similarity: Similarity
    prototypes: nn.Parameter
    unit_axes: ClassVar[Mapping[str, int]] = {"prototypes": 0, **dict.fromkeys(SOURCES, 0)}

    def build_prototypes(self, count: int, shape: tuple[int, int, int], *, initial: Callable[..., Tensor]) -> None:
        """Set ``count`` prototypes without sources.

        Args:
            count: u.
            shape: (d, i, j) of one prototype.
            initial: returns a tensor of given sizes, such as ``torch.rand``.
        """
        self.prototypes = nn.Parameter(initial(count, *shape))
        self.build_sources(count)
        self.register_load_state_dict_pre_hook(_resize)

    def evidence(self, x: Tensor) -> Tensor:
        """Return the distance ``(b, u, h, w)`` of every patch to every prototype; exact outside of training."""
        return distances(self.feature_map(x), self.prototypes, self.similarity, exact=not self.training)

    def strengths(self, evidence: Tensor) -> Tensor:
        """Return the similarity ``(b, u)`` of the nearest patch to each prototype: the maximum of its map."""
        return similarities(evidence.amin((2, 3)), self.similarity)

    def to_maps(self, evidence: Tensor) -> Tensor:
        """Return the similarity ``(b, k, h, w)`` of every patch to k prototypes, from their distances."""
        return similarities(evidence, self.similarity)

    def candidate_classes(self) -> Tensor | None:
        """Return which classes a prototype may be projected on, ``(u,)`` one class or ``(u, c)`` bool; None for all."""
        return None

    def directions(self) -> Directions:
        """Return the prototypes, in the space of the add-on layers."""
        return Directions(self.prototypes.detach().flatten(1), space_of(self.backbone, self.addon))

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return super().capabilities | {"directions"}

    def part_of(self, key: str) -> str:
        """Return ``prototypes`` for buffers that have one entry for each prototype."""
        is_buffer = key in self.unit_axes and "." not in key and key not in self.trainable_parts()
        return "prototypes" if is_buffer else super().part_of(key)

    @torch.no_grad()
    def project(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Replace each prototype by the nearest patch of the training images of its classes, and record its source."""
        self.eval()
        nearest = nearest_patches(
            self._features(loader), self.prototypes.data, self.candidate_classes(), self.similarity
        )
        shift = (self.prototypes - nearest.patch).flatten(1).norm(dim=1).mean()
        self.replace_by(nearest)
        patches = len(torch.stack([nearest.index, nearest.row, nearest.col], dim=1).unique(dim=0))
        return {
            "mean distance": float(nearest.distance.mean()),
            "mean shift": float(shift),
            "distinct patches": patches,
        }

    @torch.no_grad()
    def replace_by(self, nearest: Nearest) -> None:
        """Replace each prototype by its nearest patch, and record the source."""
        self.prototypes.copy_(nearest.patch)
        self.record_sources(
            index=nearest.index,
            row=nearest.row,
            col=nearest.col,
            distance=nearest.distance,
            content=nearest.content,
        )

    @torch.no_grad()
    def keep(self, mask: Tensor) -> None:
        """Remove the prototypes where ``mask`` ``(u,)`` is false."""
        ids = mask.nonzero()[:, 0]
        self._replace_tensors(lambda tensor, axis: tensor.index_select(axis, ids))

    @torch.no_grad()
    def remove(self, unit: int) -> None:
        """Remove one prototype."""
        self.keep(all_but(unit, len(self.prototypes), self.prototypes.device))

    @torch.no_grad()
    def resize_for(self, state: Mapping[str, Tensor], prefix: str = "") -> None:
        """Take the number of prototypes from a state about to be loaded, such as that of a pruned network."""
        loaded = state.get(f"{prefix}prototypes")
        if loaded is None or len(loaded) == len(self.prototypes):
            return
        count = len(loaded)

        def resized(tensor: Tensor, axis: int) -> Tensor:
            sizes = [*tensor.shape]
            sizes[axis] = count
            return tensor.new_full(sizes, 0 if tensor.is_floating_point() else -1)

        self._replace_tensors(resized)

    def _replace_tensors(self, change: Callable[[Tensor, int], Tensor]) -> None:
        """Replace every tensor of ``unit_axes`` by ``change(tensor, axis)``."""
        for name, axis in self.unit_axes.items():
            path, _, leaf = name.rpartition(".")
            module = self.get_submodule(path)
            old = getattr(module, leaf)
            new = change(old.detach(), axis)
            setattr(module, leaf, nn.Parameter(new) if isinstance(old, nn.Parameter) else new)
            if isinstance(module, nn.Linear):
                module.in_features = module.weight.shape[1]

    def _features(self, loader: Iterable[Batch]) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        for b in self._moved(loader):
            yield self.feature_map(b.x), b.targets, b.index, content_hash(b.x)


def _resize(module: nn.Module, state: Mapping[str, Tensor], prefix: str, *_: Any) -> None:
    assert isinstance(module, PatchPrototypes)
    module.resize_for(state, prefix)
