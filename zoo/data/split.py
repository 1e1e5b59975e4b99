"""Splits of samples, stratified and limited subsets of them, and the data sets that serve them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from zoo.batch import Batch
from zoo.data.images._augment import augment, view_policy
from zoo.data.images._pixels import Pixels
from zoo.data.sampler import mix

_VIEWS = view_policy()
KEEP = 4 << 30  # bytes; a split of up to this size is decoded once and kept in memory


@dataclass(frozen=True)
class Split:
    """n labeled samples.

    Attributes:
        names: n names, such as file names.
        y: ``(n,)`` int64 class, ``(n,)`` float32 number or ``(n, l)`` float32 labels.
        pixels: source of the images; None if samples are not images.
        rows: ``(n,)`` row of each sample in ``pixels``, or position of its first token; None for a table.
        concepts: ``(n, m)`` float32, NaN where unknown.
        points: ``(n, p, 2)`` float64 keypoints in pixels of the served image; undefined where not visible.
        visible: ``(n, p)`` bool.
        x: ``(n, d)`` float32 rows of a table; None for images.
        lengths: ``(n,)`` number of tokens of each context; None if samples are not contexts.
        weight: ``(n,)`` float32 weight of each sample in the loss; None for equal ones.
        group: ``(n,)`` int64 number of the group, such as a patient, whose samples stay in one split; None for none.
        time: ``(n,)`` float64 by which the samples are ordered, the latest being held out; None for no order.
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
    weight: Tensor | None = None
    group: Tensor | None = None
    time: Tensor | None = None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, ids: Tensor) -> Split:
        """Return the samples at positions ``ids`` ``(k,)``."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        picked = {k: v[ids] for k, v in tensors.items() if isinstance(v, Tensor)}
        return replace(self, names=[self.names[i] for i in ids.tolist()], **picked)

    def decode(self) -> Tensor | None:
        """Return all images ``(n, 1 or 3, s, s)`` uint8, or None if they take more than ``KEEP`` bytes."""
        if not len(self):
            return torch.empty(0, 3, 1, 1, dtype=torch.uint8)
        pixels = self.pixels
        rows = self.rows
        assert pixels is not None
        assert rows is not None
        first = pixels(int(rows[0]))
        if first.nbytes * len(self) > KEEP:
            return None
        out = np.empty((len(self), *first.shape), np.uint8)

        def fill(ids: range) -> None:
            for i in ids:
                out[i] = pixels(int(rows[i]))

        with ThreadPoolExecutor() as pool:
            list(pool.map(fill, (range(i, min(i + 256, len(self))) for i in range(0, len(self), 256))))
        return channels_first(out)


def channels_first(images: np.ndarray) -> Tensor:
    """Return images ``(n, s, s)`` or ``(n, s, s, 3)`` as ``(n, 1 or 3, s, s)``."""
    images = images[..., None] if images.ndim == 3 else images
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def rank_in_class(y: Tensor, key: Tensor | None = None) -> Tensor:
    """Return the rank ``(n,)`` of each sample within its class, by ``key`` ``(n,)`` or by position."""
    key = torch.arange(len(y)) if key is None else key
    order = torch.from_numpy(np.lexsort((key.numpy(), y.numpy())))
    start = torch.cat([torch.zeros(1, dtype=torch.int64), torch.bincount(y).cumsum(0)[:-1]])
    place = torch.empty_like(order)
    place[order] = torch.arange(len(y)) - start[y[order]]
    return place


def stratified_holdout(y: Tensor, share: float, *, seed: int) -> Tensor:
    """Return a stratified random share of the samples as ``(n,)`` bool; at least one sample of each class is False."""
    key = torch.rand(len(y), generator=torch.Generator().manual_seed(mix(seed)))
    count = torch.bincount(y)
    size = torch.minimum((count * share).round().long(), (count - 1).clamp_min(0))
    return rank_in_class(y, key) < size[y]


def spread_over_classes(y: Tensor, n: int) -> Tensor:
    """Return the sorted positions of n samples: the first of each class, then the second of each class, and so on."""
    order = np.lexsort((y.numpy(), rank_in_class(y).numpy()))
    return torch.from_numpy(order[:n]).sort().values


class BatchDataset(Dataset[Batch], ABC):
    """A data set that serves whole batches."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @abstractmethod
    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Batch:
        """Return the batch of (epoch, index) pairs."""


class ImageDataset(BatchDataset):
    """Serves whole batches of images of one split, from memory if they fit.

    Args:
        split: the samples.
        images: ``(n, 1 or 3, s, s)`` uint8, or None to decode on demand.
        transform: augmentation policy; None for no augmentation.
        views: number of views of each image, see ``ImageData``.
        seed: random seed of the augmentation.
        mean: mean of each channel, of x in [0, 1].
        std: standard deviation of each channel.
    """

    def __init__(
        self,
        split: Split,
        images: Tensor | None,
        *,
        transform: v2.Transform | None,
        views: int = 1,
        seed: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        self.split = split
        self.images = images
        self.transform = transform
        self.views = views
        self.seed = seed
        self.mean = torch.tensor(mean)[None, :, None, None]
        self.std = torch.tensor(std)[None, :, None, None]

    def __len__(self) -> int:
        return len(self.split)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Batch:
        """Return the batch of (epoch, index) pairs."""
        s = self.split
        ids = torch.tensor([index for _, index in keys])
        images = self._images(ids)
        points = None if s.points is None else s.points[ids]
        if self.transform is not None:
            augmented = [
                augment(self.transform, images[i], None if points is None else points[i], key=(self.seed, *key))
                for i, key in enumerate(keys)
            ]
            images = torch.stack([image for image, _ in augmented])
            points = None if points is None else torch.stack([p for _, p in augmented if p is not None])
        views = [self._normalized(self._view(images, keys, v)) for v in range(self.views if self.views > 1 else 0)]
        return Batch(
            x=views[0] if views else self._normalized(images),
            y=s.y[ids],
            index=ids,
            concepts=None if s.concepts is None else s.concepts[ids],
            points=points,
            visible=None if s.visible is None else s.visible[ids],
            views=torch.stack(views[1:], dim=1) if views else None,
            weight=None if s.weight is None else s.weight[ids],
        )

    def _view(self, images: Tensor, keys: Sequence[tuple[int, int]], number: int) -> Tensor:
        """One view ``(b, 3, s, s)`` uint8 of augmented images; it depends on seed, epoch, sample and number alone."""
        rgb = images.expand(-1, 3, -1, -1)
        seed = mix(self.seed, number + 1)
        return torch.stack([augment(_VIEWS, rgb[i], None, key=(seed, *key))[0] for i, key in enumerate(keys)])

    def _normalized(self, images: Tensor) -> Tensor:
        """Images ``(b, 1 or 3, s, s)`` uint8 as inputs of a model."""
        if self.mean.shape[1] == 1:
            pixels = images.float().mean(1, keepdim=True)
        else:
            pixels = images.expand(-1, 3, -1, -1).float()
        return (pixels / 255 - self.mean) / self.std

    def _images(self, ids: Tensor) -> Tensor:
        if self.images is not None:
            return self.images[ids]
        pixels = self.split.pixels
        rows = self.split.rows
        assert pixels is not None
        assert rows is not None
        return channels_first(np.stack([pixels(row) for row in rows[ids].tolist()]))
