"""Splits of samples, stratified and limited subsets of them, and the data sets that serve them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from zoo.batch import Batch, content_hash
from zoo.data.images._augment.draws import Draws
from zoo.data.images._augment.gaussian_noise import Noise
from zoo.data.images._augment.policy import Augmentation
from zoo.data.images._augment.views import ViewDraws, draw_views, views_of
from zoo.data.images._part_masks import PartMasks
from zoo.data.images._pixel_sources import Pixels
from zoo.data.sampler import mix

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
        masks: source of the masks of parts, by ``rows``; None without masks.
        x: ``(n, d)`` float32 rows of a table; None for images.
        lengths: ``(n,)`` number of tokens of each context; None if samples are not contexts.
        weight: ``(n,)`` float32 weight of each sample in the loss; None for equal ones.
        group: ``(n,)`` int64 number of the group, such as a patient, whose samples stay in one split; None for none.
        sequence: ``(n,)`` int64 sequence that each sample is a part of, in the order of its parts; None if each is
            one of its own.
        time: ``(n,)`` float64 by which the samples are ordered, the latest being held out; None for no order.
    """

    names: Sequence[str]
    y: Tensor
    pixels: Pixels | None = None
    rows: Tensor | None = None
    concepts: Tensor | None = None
    points: Tensor | None = None
    visible: Tensor | None = None
    masks: PartMasks | None = None
    x: Tensor | None = None
    lengths: Tensor | None = None
    weight: Tensor | None = None
    group: Tensor | None = None
    sequence: Tensor | None = None
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


def drawn_by_hash(split: Split, n: int, strata: Tensor | None = None) -> Tensor:
    """Return the sorted positions of n samples drawn by a hash of the sample, in the proportions of the classes.

    The samples drawn do not depend on the order of the split: the hash is that of the content for tables and tokens,
    and of the name for images. Every class has a sample if n is at least the number of classes.

    Args:
        split: the samples.
        n: number of samples to draw.
        strata: ``(len(split),)`` int64 whose proportions are kept; None for the classes.
    """
    strata = split.y if strata is None else strata
    key = _content_key(split.x) if split.x is not None else torch.tensor([_name_key(name) for name in split.names])
    rank = rank_in_class(strata, key)
    place = (rank + 0.5) / torch.bincount(strata)[strata]  # within the class, in 0..1
    order = np.lexsort((key.numpy(), place.numpy(), (rank > 0).numpy()))
    return torch.from_numpy(order[:n]).sort().values


def _content_key(x: Tensor) -> Tensor:
    """Return a hash ``(n,)`` of inputs; rounded, since the last digits depend on the order in which means are taken."""
    return content_hash((x.double() * 1e4).round() if x.is_floating_point() else x)


def _name_key(name: str) -> int:
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=7).digest(), "big")


class BatchDataset(Dataset[Batch], ABC):
    """A data set that serves whole batches."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @abstractmethod
    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Any:
        """Return the batch of (epoch, index) pairs, or what ``finish`` makes it of."""

    def finish(self, loaded: Any) -> Batch:
        """Return the batch of what ``__getitems__`` returned; called in the main process."""
        return loaded


class BatchLoader(DataLoader):
    """A loader of a ``BatchDataset``, whose workers return what the main process finishes."""

    def __iter__(self) -> Any:
        dataset = self.dataset
        assert isinstance(dataset, BatchDataset)
        return map(dataset.finish, super().__iter__())


@dataclass(frozen=True)
class Unfinished:
    """A batch whose ``x`` are pixels ``(b, 1 or 3, s, s)`` uint8, and how it is to be augmented."""

    batch: Batch
    draws: Draws | None
    views: ViewDraws | None = None
    keys: Sequence[tuple[int, ...]] = ()

    def pin_memory(self) -> Unfinished:
        """Return the same batch in page-locked memory."""
        return self._map(lambda part: part.pin_memory())

    def to(self, device: torch.device | str) -> Unfinished:
        """Return the same batch on ``device``."""
        return self._map(lambda part: part.to(device))

    def _map(self, change: Callable[[Any], Any]) -> Unfinished:
        draws = None if self.draws is None else change(self.draws)
        return Unfinished(change(self.batch), draws, None if self.views is None else change(self.views), self.keys)


class ImageDataset(BatchDataset):
    """Serves whole batches of images of one split, from memory if they fit.

    Args:
        split: the samples.
        images: ``(n, 1 or 3, s, s)`` uint8, or None to decode on demand.
        transform: augmentation policy; None for no augmentation.
        views: number of views of each image, see ``ImageData``.
        noise: added to the normalized images; None for none.
        seed: random seed of the augmentation.
        mean: mean of each channel, of x in [0, 1].
        std: standard deviation of each channel.
        device: on which the main process augments and normalizes; None for the workers, on the CPU.
    """

    def __init__(
        self,
        split: Split,
        images: Tensor | None,
        *,
        transform: Augmentation | None,
        views: int = 1,
        noise: Noise | None = None,
        seed: int,
        mean: Sequence[float],
        std: Sequence[float],
        device: str | None = None,
    ) -> None:
        self.split = split
        self.images = images
        self.transform = transform
        self.views = views
        self.noise = noise
        self.seed = seed
        self.mean = torch.tensor(mean)[None, :, None, None]
        self.std = torch.tensor(std)[None, :, None, None]
        self.device = device

    def __len__(self) -> int:
        return len(self.split)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Batch | Unfinished:
        """Return the batch of (epoch, index) pairs, unfinished if it belongs on a device."""
        s = self.split
        ids = torch.tensor([index for _, index in keys])
        batch = Batch(
            x=self._images(ids),
            y=s.y[ids],
            index=ids,
            concepts=None if s.concepts is None else s.concepts[ids],
            points=None if s.points is None else s.points[ids],
            visible=None if s.visible is None else s.visible[ids],
            weight=None if s.weight is None else s.weight[ids],
            masks=self._masks(ids),
        )
        seeds = [(self.seed, *key) for key in keys]
        draws = None if self.transform is None else self.transform.draws(seeds)
        unfinished = Unfinished(batch, draws, draw_views(seeds, self.views) if self.views > 1 else None, seeds)
        return self._finished(unfinished) if self.device is None else unfinished

    def finish(self, loaded: Batch | Unfinished) -> Batch:
        """Return the batch, augmented and normalized."""
        if isinstance(loaded, Batch):
            return loaded
        return self._finished(loaded if self.device is None else loaded.to(self.device))

    def _finished(self, unfinished: Unfinished) -> Batch:
        batch = self._augmented(unfinished)
        if self.noise is None:
            return batch
        x = self.noise(batch.x, unfinished.keys)
        if batch.views is None:
            return replace(batch, x=x)
        others = [
            self.noise(view, [(*key, number) for key in unfinished.keys])
            for number, view in enumerate(batch.views.unbind(1), 1)
        ]
        return replace(batch, x=x, views=torch.stack(others, dim=1))

    def _augmented(self, unfinished: Unfinished) -> Batch:
        batch = unfinished.batch
        draws = unfinished.draws
        views = unfinished.views
        finish = self._normalized if views is None else torch.clone
        if self.transform is None or draws is None:
            x = finish(batch.x.float())
        else:
            x = self.transform.images(batch.x, draws, finish)
            points = None if batch.points is None else self.transform.points(batch.points, draws)
            batch = replace(batch, points=points)
        if views is None:
            return replace(batch, x=x)
        served = torch.stack([self._normalized(view) for view in views_of(x, views).unbind(1)], dim=1)
        return replace(batch, x=served[:, 0], views=served[:, 1:])

    def _normalized(self, pixels: Tensor) -> Tensor:
        """Return inputs of pixels ``(b, 1 or 3, s, s)``, floats from 0 to 255."""
        mean, std = self.mean.to(pixels.device), self.std.to(pixels.device)
        pixels = pixels.mean(1, keepdim=True) if len(mean[0]) == 1 else pixels.expand(-1, 3, -1, -1)
        return (pixels / 255).sub_(mean).div_(std)

    def _masks(self, ids: Tensor) -> Tensor | None:
        """Masks ``(b, p, s, s)`` bool of images that are not augmented."""
        masks, rows = self.split.masks, self.split.rows
        if masks is None or rows is None or self.transform is not None:
            return None
        return torch.from_numpy(np.stack([masks(row) for row in rows[ids].tolist()]))

    def _images(self, ids: Tensor) -> Tensor:
        if self.images is not None:
            return self.images[ids]
        pixels = self.split.pixels
        rows = self.split.rows
        assert pixels is not None
        assert rows is not None
        return channels_first(np.stack([pixels(row) for row in rows[ids].tolist()]))
