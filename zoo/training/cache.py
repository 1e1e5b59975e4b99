"""Features of a frozen backbone, computed once and kept in memory, so that a warm phase costs seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from zoo.batch import Batch
from zoo.data.base import Data
from zoo.data.sampler import EpochSampler
from zoo.model import SelfExplaining


class CachedFeatures(pl.LightningDataModule):
    """The data of a phase whose backbone is frozen: ``x`` are feature maps ``(b, d, h, w)``.

    Epoch e trains on augmented pass e modulo ``passes``.

    Args:
        model: whose ``backbone`` part is cached; it is in eval mode meanwhile.
        data: the images.
        passes: augmented passes to keep; memory is passes * n * d * h * w * 4 bytes.
        device: where the backbone computes.
        progress: show a bar.
    """

    def __init__(
        self, model: SelfExplaining, data: Data, *, passes: int, device: torch.device, progress: bool = False
    ) -> None:
        super().__init__()
        self.data = data
        backbone = model.trainable_parts()["backbone"].to(device).eval()
        self.start = (0, 0)
        train = data.loader("train", augment=True, shard=False)
        kept = []
        for epoch in range(passes):
            train.batch_sampler.set_epoch(epoch)
            kept.append(_features(backbone, train, device, f"features, pass {epoch + 1} of {passes}", progress))
        self.train = FeatureSet(torch.stack([k.x for k in kept]), kept[0])
        self.val = None
        if len(data.splits["val"]):
            held = data.loader("val", shard=False)
            self.val = _features(backbone, held, device, "features, validation", progress)

    def resume_at(self, *, epoch: int, batch: int) -> None:
        """Begin there, as ``Data.resume_at``."""
        self.start = (epoch, batch)

    def train_dataloader(self) -> DataLoader:
        """Shuffled as the images would be."""
        sampler = EpochSampler(len(self.train), self.data.batch_size, shuffle=True, seed=self.data.seed)
        (epoch, batch), self.start = self.start, (0, 0)
        sampler.set_epoch(epoch)
        sampler.skip(batch)
        return DataLoader(self.train, batch_sampler=sampler, collate_fn=_as_is)

    def val_dataloader(self) -> DataLoader | list:
        """The held-out samples."""
        if self.val is None:
            return []
        sampler = EpochSampler(len(self.val), self.data.batch_size, shuffle=False, seed=0)
        return DataLoader(FeatureSet(self.val.x[None], self.val), batch_sampler=sampler, collate_fn=_as_is)


class FeatureSet(Dataset):
    """Batches of (epoch, index) pairs out of ``passes``: ``(e, n, d, h, w)``."""

    def __init__(self, passes: Tensor, like: Batch) -> None:
        self.passes, self.like = passes, like

    def __len__(self) -> int:
        return len(self.like)

    def __getitems__(self, pairs: list[tuple[int, int]]) -> Batch:
        """One batch."""
        epoch, index = torch.tensor(pairs).T
        known = None if self.like.concepts is None else self.like.concepts[index]
        x = self.passes[epoch % len(self.passes), index]
        return Batch(x, self.like.y[index], self.like.index[index], concepts=known)


@contextmanager
def bypassed(model: SelfExplaining) -> Iterator[None]:
    """Let the backbone hand feature maps through."""
    backbone = model.trainable_parts()["backbone"]
    backbone.bypass = True
    try:
        yield
    finally:
        backbone.bypass = False


@torch.no_grad()
def _features(backbone: torch.nn.Module, loader: DataLoader, device: torch.device, title: str, progress: bool) -> Batch:
    """Features of a whole split in its order, on every rank."""
    kept = []
    for batch in tqdm(loader, desc=title, disable=None if progress else True, leave=False):
        kept.append(replace(batch, x=backbone(batch.x.to(device)).cpu(), points=None, visible=None))
    names = ["x", "y", "index", *(["concepts"] if kept[0].concepts is not None else [])]
    return Batch(**{name: torch.cat([getattr(b, name) for b in kept]) for name in names})


def _as_is(batch: Batch) -> Batch:
    return batch
