"""Patch prototypes: how near each patch of a feature map is, and the nearest patch of a whole data set.

A prototype is a small tensor ``(d, i, j)`` in feature space, usually 1 x 1. Distances are squared L2, or 1 - cosine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.explanation import owned_by

Similarity = Literal["cosine", "log_l2", "l2", "exp_l2"]
EPS = 1e-4  # of the log similarity, as in the ProtoPNet paper


def distances(z: Tensor, prototypes: Tensor, similarity: Similarity) -> Tensor:
    """Distance of every patch to every prototype, by one convolution, in float32 or wider.

    Args:
        z: ``(b, d, h, w)`` features.
        prototypes: ``(u, d, i, j)``
        similarity: ``cosine`` gives 1 - cosine in [0, 2]; the others the squared L2 distance, never negative.

    Returns:
        ``(b, u, h - i + 1, w - j + 1)``
    """
    with torch.autocast(z.device.type, enabled=False):
        z = z.float() if z.dtype in (torch.float16, torch.bfloat16) else z
        p = prototypes.to(z.dtype)
        if not len(p):  # all pruned
            return z.new_zeros(len(z), 0, z.shape[2] - p.shape[2] + 1, z.shape[3] - p.shape[3] + 1)
        square = F.conv2d(z.square().sum(1, keepdim=True), z.new_ones(1, 1, *p.shape[2:]))
        if similarity == "cosine":
            p = p / p.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None, None]
            return 1 - F.conv2d(z, p) * square.clamp_min(1e-24).rsqrt()
        norm = p.square().sum((1, 2, 3))[:, None, None]
        return F.relu(square - 2 * F.conv2d(z, p) + norm)


def similarities(distance: Tensor, similarity: Similarity) -> Tensor:
    """Similarity from distance, elementwise: falls with distance, the same scale in training and explanation.

    ``exp_l2`` is ProtoTree's exp(-sqrt(d)), whose slope at an exact match is 5e6: after a projection, train its
    prototypes with a gradient limit (``clip``) or not at all.
    """
    match similarity:
        case "cosine":
            return 1 - distance
        case "log_l2":
            return torch.log((distance + 1) / (distance + EPS))
        case "l2":
            return -distance
        case "exp_l2":
            return torch.exp(-torch.sqrt(distance + 1e-14))
    raise ValueError(f"similarity is {similarity!r}; expected cosine, log_l2, l2 or exp_l2")


def addon_layers(
    kind: Literal["regular", "bottleneck", "none"], channels: int, dim: int, *, sigmoid: bool
) -> nn.Sequential:
    """The 1 x 1 convolutions between a backbone and its prototypes (ProtoPNet, section 2.1).

    Raises:
        ValueError: if ``none`` is asked for and ``dim`` is not the backbone's width.
    """
    layers: list[nn.Module] = []
    if kind == "regular":
        layers = [nn.Conv2d(channels, dim, 1), nn.ReLU(), nn.Conv2d(dim, dim, 1)]
    elif kind == "bottleneck":
        while channels > dim:
            half = max(dim, channels // 2)
            layers += [nn.Conv2d(channels, half, 1), nn.ReLU(), nn.Conv2d(half, half, 1), nn.ReLU()]
            channels = half
        layers = layers[:-1] or [nn.Conv2d(channels, dim, 1)]
    elif channels != dim:
        raise ValueError(f"addon is none, so dim must be the backbone's width {channels}; it is {dim}")
    if sigmoid:
        layers.append(nn.Sigmoid())
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


@dataclass
class Nearest:
    """The nearest patch of a data set to each of u prototypes.

    Attributes:
        distance: ``(u,)`` float64, computed directly (not by the expanded square).
        index: ``(u,)`` sample.
        row: ``(u,)`` and ``col``: ``(u,)`` upper left cell of the patch.
        patch: ``(u, d, i, j)`` the exact feature there.
        content: ``(u,)`` int64 hash of the input it was cut from.
    """

    distance: Tensor
    index: Tensor
    row: Tensor
    col: Tensor
    patch: Tensor
    content: Tensor

    def merge(self, other: Nearest) -> Nearest:
        """The nearer of two, and of two equally near the one that stands first in the data set."""
        place = lambda n: torch.stack([n.index, n.row, n.col])  # noqa: E731
        a, b = place(self), place(other)
        step = (b - a).sign()
        earlier = torch.where(step[0] != 0, step[0], torch.where(step[1] != 0, step[1], step[2])) < 0
        take = (other.distance < self.distance) | ((other.distance == self.distance) & earlier)
        pick = lambda x, y: torch.where(take.reshape(-1, *[1] * (x.ndim - 1)), y, x)  # noqa: E731
        return Nearest(*(pick(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)))


@torch.no_grad()
def nearest_patches(
    batches: Iterable[tuple[Tensor, Tensor, Tensor, Tensor]],
    prototypes: Tensor,
    owner: Tensor | None,
    similarity: Similarity,
    *,
    few: int = 4,
) -> Nearest:
    """For each prototype the nearest patch among the samples of its class: the search behind ProtoPNet's projection.

    Each sample proposes its ``few`` nearest patches to each prototype of its class by the fast expanded distance, and
    the first of them in order; those that can still win are scored again with the direct distance in float64, so that a
    match is told from a near match, and equal ones go to the first in the data set. The result does not depend on the
    batch size, and under DDP it is the same on every rank.

    Args:
        batches: features ``(b, d, h, w)``, classes ``(b,)``, sample indices ``(b,)``, content hashes ``(b,)``.
        prototypes: ``(u, d, i, j)``
        owner: ``(u,)`` class of each prototype; None searches all samples for all prototypes.
        similarity: which distance.
        few: proposals per sample and prototype.

    Raises:
        ValueError: if a prototype's class has no sample, or features are not finite; the message names the class.
    """
    u, _, i, j = prototypes.shape
    bank = prototypes.flatten(1)
    norm = bank.square().sum(1)
    table = None if owner is None else owned_by(owner, torch.arange(int(owner.max()) + 2, device=owner.device))
    best = Nearest(
        distance=bank.new_full((u,), torch.inf, dtype=torch.float64),
        patch=prototypes.clone(),
        **{name: torch.zeros(u, dtype=torch.int64, device=bank.device) for name in ("index", "row", "col", "content")},
    )
    for z, y, index, content in batches:
        if not bool(z.isfinite().all()):
            raise ValueError("features are NaN or infinite: the network has diverged before its projection")
        ids = (
            torch.arange(u, device=z.device).expand(len(z), u) if table is None else table[y.clamp_max(len(table) - 1)]
        )
        patches, cols = _patches(z.to(bank.dtype), i, j), z.shape[3] - j + 1  # (b, d i j, n)
        safe = ids.clamp_min(0)  # (b, k), where -1 pads
        inner, square, p2 = bank[safe] @ patches, patches.square().sum(1, keepdim=True), norm[safe][..., None]
        if similarity == "cosine":
            coarse, slack = 1 - inner * (square * p2).clamp_min(1e-24).rsqrt(), 1e-4
        else:
            coarse, slack = square - 2 * inner + p2, 1e-4 * (float(square.max()) + float(norm.max()))
        coarse = coarse.masked_fill((ids < 0)[..., None], torch.inf)
        near = coarse.topk(min(few, coarse.shape[2]), largest=False).indices
        near = torch.cat([coarse.argmin(2, keepdim=True), near], 2)  # (b, k, few + 1); argmin is the first on ties
        least = coarse.amin(2).double().flatten()
        bound = best.distance.scatter_reduce(0, safe.flatten(), least, "amin")[safe] + slack
        sample, slot, nth = (coarse.gather(2, near) <= bound[..., None]).logical_and((ids >= 0)[..., None]).nonzero().T
        unit, cell = ids[sample, slot], near[sample, slot, nth]
        patch = patches[sample, :, cell]
        distance = _direct(patch, bank[unit], similarity)
        order = (index[sample] * patches.shape[2] + cell).argsort(stable=True)
        order = order[distance[order].argsort(stable=True)]
        order = order[unit[order].argsort(stable=True)]
        new = torch.ones_like(order, dtype=torch.bool)
        new[1:] = unit[order][1:] != unit[order][:-1]
        first = order[new]
        found, s = unit[first], sample[first]
        mine = Nearest(**{f.name: getattr(best, f.name)[found] for f in fields(best)})
        shaped = patch[first].unflatten(1, prototypes.shape[1:])
        mine = mine.merge(
            Nearest(distance[first], index[s], cell[first] // cols, cell[first] % cols, shaped, content[s])
        )
        for f in fields(best):
            getattr(best, f.name)[found] = getattr(mine, f.name)
    best = _across_ranks(best)
    if not bool(best.distance.isfinite().all()):
        lost = (~best.distance.isfinite()).nonzero().flatten()
        which = sorted(set(owner[lost].tolist())) if owner is not None else "any class"
        raise ValueError(
            f"{len(lost)} prototypes have no sample to be projected on: the data has none of class {which}"
        )
    return best


def _patches(z: Tensor, i: int, j: int) -> Tensor:
    """All patches ``(b, d i j, n)`` of features ``(b, d, h, w)``, row by row."""
    return z.flatten(2) if (i, j) == (1, 1) else F.unfold(z, (i, j))


def _direct(patch: Tensor, prototypes: Tensor, similarity: Similarity) -> Tensor:
    """Distance ``(m,)`` of patches ``(m, d i j)`` to as many prototypes, term by term in float64."""
    a, b = patch.double(), prototypes.double()
    if similarity == "cosine":
        return 1 - F.cosine_similarity(a, b, dim=1, eps=1e-12)
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
