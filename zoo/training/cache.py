"""Features of a frozen backbone, computed once and kept in memory, so that a phase on them takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
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
        passes: augmented passes to keep; memory is passes * n * d * h * w * 4 bytes.
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
        self.train = FeatureSet(torch.stack([batch.x for batch in features]), features[0])
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
        return DataLoader(FeatureSet(self.val.x[None], self.val), batch_sampler=sampler, collate_fn=_as_is)


class FeatureSet(Dataset):
    """Batches of (epoch, index) pairs from features of several passes.

    Args:
        passes: ``(e, n, d, h, w)`` features.
        like: classes, indices and concepts of the n samples.
    """

    def __init__(self, passes: Tensor, like: Batch) -> None:
        self.passes = passes
        self.like = like

    def __len__(self) -> int:
        return len(self.like)

    def __getitems__(self, pairs: list[tuple[int, int]]) -> Batch:
        """Return one batch."""
        epoch, index = torch.tensor(pairs).T
        concepts = None if self.like.concepts is None else self.like.concepts[index]
        x = self.passes[epoch % len(self.passes), index]
        weight = None if self.like.weight is None else self.like.weight[index]
        return Batch(x, self.like.targets[index], self.like.index[index], concepts=concepts, weight=weight)


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
        batches.append(replace(batch, x=backbone(batch.x.to(device)).cpu(), points=None, visible=None))
    names = ["x", "y", "index", *(name for name in ("concepts", "weight") if getattr(batches[0], name) is not None)]
    return Batch(**{name: torch.cat([getattr(b, name) for b in batches]) for name in names})


def _as_is(batch: Any) -> Batch:
    return batch
