"""The nearest patch of a whole data set to each prototype: the search behind ProtoPNet's projection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from zoo.explanation import owned_by
from zoo.layers.prototypes.similarity import Similarity


@dataclass
class Nearest:
    """The nearest patch of a data set to each of u prototypes.

    Attributes:
        distance: ``(u,)`` float64, computed directly (not by the expanded square).
        index: ``(u,)`` sample.
        row: ``(u,)`` row of the upper left cell of the patch.
        col: ``(u,)`` column of the upper left cell of the patch.
        patch: ``(u, d, i, j)`` its features.
        content: ``(u,)`` int64 hash of the input it was cut from.
    """

    distance: Tensor
    index: Tensor
    row: Tensor
    col: Tensor
    patch: Tensor
    content: Tensor

    def merge(self, other: Nearest) -> Nearest:
        """Return the nearer of two for each prototype; of ties, the one that comes first in the data set."""
        step = (other._place() - self._place()).sign()
        earlier = torch.where(step[0] != 0, step[0], torch.where(step[1] != 0, step[1], step[2])) < 0
        take = (other.distance < self.distance) | ((other.distance == self.distance) & earlier)

        def pick(mine: Tensor, theirs: Tensor) -> Tensor:
            return torch.where(take.reshape(-1, *[1] * (mine.ndim - 1)), theirs, mine)

        return Nearest(*(pick(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)))

    def of(self, units: Tensor) -> Nearest:
        """Return the entries of prototypes ``units`` ``(m,)``."""
        return Nearest(*(getattr(self, f.name)[units] for f in fields(self)))

    def put(self, units: Tensor, entries: Nearest) -> None:
        """Set the entries of prototypes ``units`` ``(m,)`` in place."""
        for f in fields(self):
            getattr(self, f.name)[units] = getattr(entries, f.name)

    def _place(self) -> Tensor:
        return torch.stack([self.index, self.row, self.col])


@torch.no_grad()
def nearest_patches(
    batches: Iterable[tuple[Tensor, Tensor, Tensor, Tensor]],
    prototypes: Tensor,
    owner: Tensor | None,
    similarity: Similarity,
    *,
    proposals: int = 4,
) -> Nearest:
    """Return for each prototype the nearest patch among the samples of its class or classes.

    Each sample proposes its nearest patches to each prototype of its class by the fast, expanded distance; those that
    can still be the nearest are scored again with the direct distance in float64, which separates exact from near
    matches. Of ties, the first in the data set is taken. The result does not depend on the batch size, and under DDP it
    is the same on every rank.

    Args:
        batches: features ``(b, d, h, w)``, classes ``(b,)``, sample indices ``(b,)``, content hashes ``(b,)``.
        prototypes: ``(u, d, i, j)``
        owner: ``(u,)`` class of each prototype, or ``(u, c)`` bool, the classes that each may be taken from; None
            searches all samples for all prototypes.
        similarity: which distance.
        proposals: per sample and prototype.

    Raises:
        ValueError: if a prototype's class has no sample, or features are not finite; the message names the class.

    Example:
        >>> batch = (torch.eye(2).view(2, 2, 1, 1), torch.tensor([0, 1]), torch.tensor([0, 1]), torch.tensor([7, 8]))
        >>> nearest_patches([batch], torch.ones(2, 2, 1, 1), torch.tensor([0, 1]), "l2").index.tolist()
        [0, 1]
    """
    u, _, i, j = prototypes.shape
    bank = prototypes.flatten(1)
    norm = bank.square().sum(1)
    table = None if owner is None else _prototypes_of_classes(owner)
    best = Nearest(
        distance=bank.new_full((u,), torch.inf, dtype=torch.float64),
        patch=prototypes.clone(),
        **{name: torch.zeros(u, dtype=torch.int64, device=bank.device) for name in ("index", "row", "col", "content")},
    )
    for z, y, index, content in batches:
        if not bool(z.isfinite().all()):
            raise ValueError("features are NaN or infinite: training has diverged before the projection")
        if table is None:
            ids = torch.arange(u, device=z.device).expand(len(z), u)
        else:
            ids = table[y.clamp_max(len(table) - 1)]
        columns = z.shape[3] - j + 1
        patches = _patches(z.to(bank.dtype), i, j)  # (b, d i j, n)
        near, candidate = _proposals(patches, bank, norm, ids, best.distance, similarity, proposals)
        sample, slot, nth = candidate.nonzero().T
        unit = ids[sample, slot]
        cell = near[sample, slot, nth]
        patch = patches[sample, :, cell]
        distance = _direct(patch, bank[unit], similarity)
        first = _first_of_nearest(unit, distance, index[sample] * patches.shape[2] + cell)
        units = unit[first]
        cells = cell[first]
        new = Nearest(
            distance=distance[first],
            index=index[sample[first]],
            row=cells // columns,
            col=cells % columns,
            patch=patch[first].unflatten(1, prototypes.shape[1:]),
            content=content[sample[first]],
        )
        best.put(units, best.of(units).merge(new))
    best = _across_ranks(best)
    if not bool(best.distance.isfinite().all()):
        missing = (~best.distance.isfinite()).nonzero().flatten()
        which = "any class" if owner is None else _classes_of(owner[missing])
        raise ValueError(
            f"{len(missing)} prototypes cannot be projected; expected samples of class {which} in the data"
        )
    return best


def _prototypes_of_classes(owner: Tensor) -> Tensor:
    """Ids ``(c + 1, k)`` of the prototypes that search each class, -1 pads; the last row is of an unknown class."""
    if owner.ndim == 1:
        return owned_by(owner, torch.arange(int(owner.max()) + 2, device=owner.device))
    allowed = torch.cat([owner.T, owner.new_zeros(1, len(owner))])
    first = allowed.int().sort(dim=1, descending=True, stable=True)
    width = int(allowed.sum(1).max())
    return torch.where(first.values.bool(), first.indices, -1)[:, :width]


def _classes_of(owner: Tensor) -> list[int]:
    """The classes, sorted, of prototypes with ``owner`` as in ``nearest_patches``."""
    classes = owner if owner.ndim == 1 else owner.any(0).nonzero()[:, 0]
    return sorted(set(classes.tolist()))


def _proposals(
    patches: Tensor,
    bank: Tensor,
    norm: Tensor,
    ids: Tensor,
    best: Tensor,
    similarity: Similarity,
    count: int,
) -> tuple[Tensor, Tensor]:
    """Propose the nearest patches of each sample by the fast, expanded distance.

    Args:
        patches: ``(b, d i j, n)``
        bank: ``(u, d i j)`` prototypes.
        norm: ``(u,)`` their squared norms.
        ids: ``(b, k)`` prototypes of each sample's class, -1 pads.
        best: ``(u,)`` smallest distance so far.
        similarity: which distance.
        count: proposals per sample and prototype.

    Returns:
        Cells ``(b, k, count + 1)``, the nearest first, and whether each can still be the nearest of all, bool.
    """
    safe = ids.clamp_min(0)
    inner = bank[safe] @ patches
    square = patches.square().sum(1, keepdim=True)
    p2 = norm[safe][..., None]
    if similarity == "cosine":
        coarse = 1 - inner * (square * p2).clamp_min(1e-24).rsqrt()
        slack = 1e-4
    elif similarity == "projection":
        coarse = -inner * p2.clamp_min(1e-24).rsqrt()
        slack = 1e-4 * float(square.max().sqrt())
    else:
        coarse = square - 2 * inner + p2
        slack = 1e-4 * (float(square.max()) + float(norm.max()))
    coarse = coarse.masked_fill((ids < 0)[..., None], torch.inf)
    near = coarse.topk(min(count, coarse.shape[2]), largest=False).indices
    near = torch.cat([coarse.argmin(2, keepdim=True), near], 2)  # argmin is the first of ties
    smallest = coarse.amin(2).double().flatten()
    bound = best.scatter_reduce(0, safe.flatten(), smallest, "amin")[safe] + slack
    return near, (coarse.gather(2, near) <= bound[..., None]).logical_and((ids >= 0)[..., None])


def _first_of_nearest(unit: Tensor, distance: Tensor, place: Tensor) -> Tensor:
    """Positions of the row of smallest ``distance``, then ``place``, of each ``unit`` ``(m,)``."""
    order = place.argsort(stable=True)
    order = order[distance[order].argsort(stable=True)]
    order = order[unit[order].argsort(stable=True)]
    new = torch.ones_like(order, dtype=torch.bool)
    new[1:] = unit[order][1:] != unit[order][:-1]
    return order[new]


def _patches(z: Tensor, i: int, j: int) -> Tensor:
    """Return all patches ``(b, d i j, n)`` of features ``(b, d, h, w)``, row by row."""
    return z.flatten(2) if (i, j) == (1, 1) else F.unfold(z, (i, j))


def _direct(patch: Tensor, prototypes: Tensor, similarity: Similarity) -> Tensor:
    """Return the distance ``(m,)`` of patches ``(m, d i j)`` to prototypes ``(m, d i j)``, directly in float64."""
    a, b = patch.double(), prototypes.double()
    if similarity == "cosine":
        return 1 - F.cosine_similarity(a, b, dim=1, eps=1e-12)
    if similarity == "projection":
        return -(a * F.normalize(b, dim=1)).sum(1)
    return (a - b).square().sum(1)


def _across_ranks(best: Nearest) -> Nearest:
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return best
    gathered: dict[str, list[Tensor]] = {}
    for f in fields(best):
        mine = getattr(best, f.name).contiguous()
        gathered[f.name] = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
        dist.all_gather(gathered[f.name], mine)
    ranks = [Nearest(**{name: parts[r] for name, parts in gathered.items()}) for r in range(dist.get_world_size())]
    best = ranks[0]
    for other in ranks[1:]:
        best = best.merge(other)
    return best
