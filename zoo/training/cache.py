"""Features of a frozen backbone, computed once and kept in memory, so that a phase on them takes seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from zoo.batch import Batch
from zoo.data.base import Data
from zoo.data.sampler import EpochSampler
from zoo.layers.backbone import Backbone
from zoo.model import SelfExplaining


class CachedFeatures(pl.LightningDataModule):
    """The data of a phase whose backbone is frozen: ``x`` are feature maps ``(b, d, h, w)``.

    Epoch e trains on augmented pass e modulo ``passes``.

    Args:
        model: its ``backbone`` part is cached, in eval mode.
        data: the images.
        passes: augmented passes to keep; memory is passes * views * n * d * h * w * 4 bytes.
        device: of the backbone's passes.
        progress: show a progress bar.
    """

    def __init__(
        self, model: SelfExplaining, data: Data, *, passes: int, device: torch.device, progress: bool = False
    ) -> None:
        super().__init__()
        self.data = data
        backbone = backbone_of(model).to(device).eval()
        self.start = (0, 0)
        loader = data.loader("train", augment=True, shard=False)
        sampler = loader.batch_sampler
        assert isinstance(sampler, EpochSampler)
        features: list[Batch] = []
        for epoch in range(passes):
            sampler.set_epoch(epoch)
            title = f"features, pass {epoch + 1} of {passes}"
            features.append(_features(backbone, loader, device, title, progress))
        self.train = FeatureSet(features)
        self.val = None
        if len(data.splits["val"]):
            loader = data.loader("val", shard=False)
            self.val = _features(backbone, loader, device, "features, validation", progress)

    def resume_at(self, *, epoch: int, batch: int) -> None:
        """Begin at a batch of an epoch, as ``Data.resume_at``."""
        self.start = (epoch, batch)

    def train_dataloader(self) -> DataLoader:
        """Return a loader in the order in which the images would be shuffled."""
        sampler = EpochSampler(len(self.train), self.data.batch_size, shuffle=True, seed=self.data.seed)
        epoch, batch = self.start
        self.start = (0, 0)
        sampler.set_epoch(epoch)
        sampler.skip(batch)
        return DataLoader(self.train, batch_sampler=sampler, collate_fn=_as_is)

    def val_dataloader(self) -> DataLoader | list:
        """Return a loader of the validation samples."""
        if self.val is None:
            return []
        sampler = EpochSampler(len(self.val), self.data.batch_size, shuffle=False, seed=0)
        return DataLoader(FeatureSet([self.val]), batch_sampler=sampler, collate_fn=_as_is)


class FeatureSet(Dataset):
    """Batches of (epoch, index) pairs from features of several passes.

    Args:
        passes: for each pass the features ``(n, d, h, w)`` and views ``(n, v, d, h, w)`` of n samples; the first has
            their classes, indices, concepts and weights.
    """

    def __init__(self, passes: Sequence[Batch]) -> None:
        self.like = passes[0]
        self.x = torch.stack([batch.x for batch in passes])
        views = [batch.views for batch in passes if batch.views is not None]
        self.views = torch.stack(views) if views else None

    def __len__(self) -> int:
        return len(self.like)

    def __getitems__(self, pairs: list[tuple[int, int]]) -> Batch:
        """Return one batch."""
        epoch, index = torch.tensor(pairs).T
        number = epoch % len(self.x)
        like = self.like
        return Batch(
            x=self.x[number, index],
            y=like.targets[index],
            index=like.index[index],
            concepts=None if like.concepts is None else like.concepts[index],
            weight=None if like.weight is None else like.weight[index],
            views=None if self.views is None else self.views[number, index],
        )


def backbone_of(model: SelfExplaining) -> nn.Module:
    """Return the part ``backbone`` of a model that has one."""
    backbone = model.trainable_parts()["backbone"]
    assert isinstance(backbone, nn.Module)
    return backbone


@contextmanager
def bypassed(model: SelfExplaining) -> Iterator[None]:
    """Let the backbone return its input, which already is a feature map."""
    backbone = backbone_of(model)
    assert isinstance(backbone, Backbone)
    backbone.bypass = True
    try:
        yield
    finally:
        backbone.bypass = False


@torch.no_grad()
def _features(backbone: nn.Module, loader: DataLoader, device: torch.device, title: str, progress: bool) -> Batch:
    """Features of a whole split in its order, on every rank."""
    batches: list[Batch] = []
    for batch in tqdm(loader, desc=title, disable=None if progress else True, leave=False):
        x = backbone(batch.x.to(device)).cpu()
        views = None
        if batch.views is not None:
            views = backbone(batch.views.flatten(0, 1).to(device)).cpu().unflatten(0, batch.views.shape[:2])
        batches.append(replace(batch, x=x, views=views, points=None, visible=None))
    optional = [name for name in ("concepts", "weight", "views") if getattr(batches[0], name) is not None]
    names = ["x", "y", "index", *optional]
    return Batch(**{name: torch.cat([getattr(b, name) for b in batches]) for name in names})


def _as_is(batch: Any) -> Batch:
    return batch
