"""Samples at rest, the held-out and limited subsets of them, and the data set that serves batches."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from zoo.batch import Batch
from zoo.data.images._augment import augment
from zoo.data.images._pixels import Pixels
from zoo.data.sampler import mix

KEEP = 4 << 30  # a split of up to this many bytes is decoded once and kept


@dataclass(frozen=True)
class Split:
    """n labelled samples.

    Attributes:
        names: n names, such as file names.
        y: ``(n,)`` int64 class.
        pixels: source of the images; None for a table.
        rows: ``(n,)`` row of each sample in the source, or where its tokens begin; None for a table.
        concepts: ``(n, m)`` float32, NaN where unknown.
        points: ``(n, p, 2)`` float64 keypoints in pixels of the image served; without meaning where not visible.
        visible: ``(n, p)`` bool.
        x: ``(n, d)`` float32 rows of a table; None for images.
        lengths: ``(n,)`` tokens of each context; None where samples are no contexts.
    """

    names: Sequence[str]
    y: Tensor
    pixels: Pixels | None = None
    rows: Tensor | None = None
    concepts: Tensor | None = None
    points: Tensor | None = None
    visible: Tensor | None = None
    x: Tensor | None = None
    lengths: Tensor | None = None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, ids: Tensor) -> Split:
        """The samples at these positions."""
        tensors = {k: getattr(self, k) for k in ("y", "rows", "concepts", "points", "visible", "x", "lengths")}
        picked = {k: v[ids] for k, v in tensors.items() if v is not None}
        return replace(self, names=[self.names[i] for i in ids.tolist()], **picked)

    def decode(self) -> Tensor | None:
        """All images ``(n, 1 or 3, s, s)`` uint8, or None where they would take more than ``KEEP`` bytes."""
        if not len(self):
            return torch.empty(0, 3, 1, 1, dtype=torch.uint8)
        first = self.pixels(int(self.rows[0]))
        if first.nbytes * len(self) > KEEP:
            return None
        out = np.empty((len(self), *first.shape), np.uint8)

        def fill(ids: range) -> None:
            for i in ids:
                out[i] = self.pixels(int(self.rows[i]))

        with ThreadPoolExecutor() as pool:
            list(pool.map(fill, (range(i, min(i + 256, len(self))) for i in range(0, len(self), 256))))
        return channels_first(out)


def channels_first(images: np.ndarray) -> Tensor:
    """``(n, s, s)`` or ``(n, s, s, 3)`` as ``(n, 1 or 3, s, s)``."""
    images = images[..., None] if images.ndim == 3 else images
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def place_in_class(y: Tensor, key: Tensor | None = None) -> Tensor:
    """``(n,)`` rank of each sample among those of its class, by ``key`` or by position."""
    key = torch.arange(len(y)) if key is None else key
    order = torch.from_numpy(np.lexsort((key.numpy(), y.numpy())))
    start = torch.cat([torch.zeros(1, dtype=torch.int64), torch.bincount(y).cumsum(0)[:-1]])
    place = torch.empty_like(order)
    place[order] = torch.arange(len(y)) - start[y[order]]
    return place


def held_out(y: Tensor, share: float, *, seed: int) -> Tensor:
    """``(n,)`` bool: a stratified random share of the samples. A class keeps at least one sample on the other side."""
    key = torch.rand(len(y), generator=torch.Generator().manual_seed(mix(seed)))
    count = torch.bincount(y)
    wanted = torch.minimum((count * share).round().long(), (count - 1).clamp_min(0))
    return place_in_class(y, key) < wanted[y]


def first_of_each(y: Tensor, n: int) -> Tensor:
    """Positions, in order, of n samples spread evenly over the classes: the first of each class, then the second..."""
    order = np.lexsort((y.numpy(), place_in_class(y).numpy()))
    return torch.from_numpy(order[:n]).sort().values


class Samples(Dataset):
    """Serves whole batches of one split, from memory where it fits.

    Args:
        split: the samples.
        images: ``(n, 1 or 3, s, s)`` uint8, or None to decode on demand.
        transform: augmentation policy, None for none.
        seed: of the augmentation.
        mean: per channel.
        std: per channel.
    """

    def __init__(
        self,
        split: Split,
        images: Tensor | None,
        *,
        transform: v2.Transform | None,
        seed: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        self.split, self.images, self.transform, self.seed = split, images, transform, seed
        self.mean, self.std = (torch.tensor(v)[None, :, None, None] for v in (mean, std))

    def __len__(self) -> int:
        return len(self.split)

    def __getitems__(self, keys: list[tuple[int, int]]) -> Batch:
        """The batch of these (epoch, index) pairs."""
        s, ids = self.split, torch.tensor([index for _, index in keys])
        images = self._images(ids)
        points = None if s.points is None else s.points[ids]
        if self.transform is not None:
            each = [
                augment(self.transform, images[i], None if points is None else points[i], key=(self.seed, *key))
                for i, key in enumerate(keys)
            ]
            images = torch.stack([image for image, _ in each])
            points = None if points is None else torch.stack([p for _, p in each])
        if self.mean.shape[1] == 1:
            pixels = images.float().mean(1, keepdim=True)
        else:
            pixels = images.expand(-1, 3, -1, -1).float()
        x = (pixels / 255 - self.mean) / self.std
        return Batch(
            x=x,
            y=s.y[ids],
            index=ids,
            concepts=None if s.concepts is None else s.concepts[ids],
            points=points,
            visible=None if s.visible is None else s.visible[ids],
        )

    def _images(self, ids: Tensor) -> Tensor:
        if self.images is not None:
            return self.images[ids]
        return channels_first(np.stack([self.split.pixels(row) for row in self.split.rows[ids].tolist()]))
