"""Features of frozen layers, computed once and kept, so that a phase on them takes seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from zoo.batch import Batch
from zoo.data.base import Data, SplitName
from zoo.data.image_data import ImageData
from zoo.data.sampler import EpochSampler
from zoo.layers.backbone import Backbone
from zoo.model import SelfExplaining
from zoo.training.feature_store import FeatureStore, feature_key

PROBE = 8  # samples of a pass whose inputs are part of the key of its features
OPTIONAL = ("concepts", "weight", "views")  # tensors of a batch that may be None


class CachedFeatures(pl.LightningDataModule):
    """The data of a phase whose backbone, or its stem, is frozen: ``x`` are feature maps ``(b, d, h, w)``.

    Epoch e trains on augmented pass e modulo ``passes``. Features of a backbone that is cut are those of the cut if the
    phase trains the part after it, and follow from those of the cut otherwise.

    Args:
        model: its frozen layers are run in eval mode.
        data: the images.
        passes: augmented passes to keep; memory is passes * views * n * d * h * w * 4 bytes, half of it with bfloat16.
        device: of the backbone's passes.
        half: compute and keep features in bfloat16.
        store: of features on disk; None for none.
        progress: show a progress bar.
    """

    def __init__(
        self,
        model: SelfExplaining,
        data: Data,
        *,
        passes: int,
        device: torch.device,
        half: bool = False,
        store: FeatureStore | None = None,
        progress: bool = False,
    ) -> None:
        super().__init__()
        self.data = data
        self.start = (0, 0)
        features = FrozenFeatures(model, data, device=device, half=half, store=store, progress=progress)
        titles = [f"features, pass {epoch + 1} of {passes}" for epoch in range(passes)]
        self.train = FeatureSet([features.of("train", epoch, title) for epoch, title in enumerate(titles)])
        self.val = features.of("val", None, "features, validation") if len(data.splits["val"]) else None

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
        self.passes = list(passes)

    def __len__(self) -> int:
        return len(self.passes[0])

    def __getitems__(self, pairs: list[tuple[int, int]]) -> Batch:
        """Return one batch."""
        epoch, index = torch.tensor(pairs).T
        number = epoch % len(self.passes)
        like = self.passes[0]
        views = [batch.views for batch in self.passes if batch.views is not None]
        return Batch(
            x=_gather([batch.x for batch in self.passes], number, index),
            y=like.targets[index],
            index=like.index[index],
            concepts=None if like.concepts is None else like.concepts[index],
            weight=None if like.weight is None else like.weight[index],
            views=_gather(views, number, index) if views else None,
        )


class FrozenFeatures:
    """The features of frozen layers for whole splits; arguments as in ``CachedFeatures``."""

    def __init__(
        self,
        model: SelfExplaining,
        data: Data,
        *,
        device: torch.device,
        half: bool = False,
        store: FeatureStore | None = None,
        progress: bool = False,
    ) -> None:
        self.backbone = backbone_of(model).to(device).eval()
        self.has_tail = entry_of(model) == "end" and self.backbone.cut is not None  # run after the features of the cut
        self.data = data
        self.device = device
        self.half = half
        self.store = store
        self.progress = progress
        self.fingerprint = ""

    @torch.no_grad()
    def of(self, split: SplitName, epoch: int | None, title: str) -> Batch:
        """Return the features of a split in its order, on every rank.

        Args:
            split: name.
            epoch: of the augmentation; None for none.
            title: of the progress bar.
        """
        loader = self.data.loader(split, augment=epoch is not None, shard=False)
        if epoch is not None:
            sampler = loader.batch_sampler
            assert isinstance(sampler, EpochSampler)
            sampler.set_epoch(epoch)
        features = self._stored(split, epoch, loader, title)
        if not self.has_tail:
            return features
        x = torch.cat([self._mapped(self.backbone.tail, chunk) for chunk in features.x.split(self.data.batch_size)])
        views = features.views
        if views is not None:
            flat = views.flatten(0, 1).split(self.data.batch_size)
            views = torch.cat([self._mapped(self.backbone.tail, chunk) for chunk in flat]).unflatten(0, views.shape[:2])
        return replace(features, x=x, views=views)

    def _stored(self, split: SplitName, epoch: int | None, loader: DataLoader, title: str) -> Batch:
        """Features of the cut, or of the whole backbone if there is none; read from disk if they are there."""
        key = self._key(split, epoch)
        tensors = self.store.get(key) if self.store is not None and key else None
        if tensors is not None:
            return Batch(**tensors)
        compute = self.backbone if self.backbone.cut is None else self.backbone.stem
        batches: list[Batch] = []
        for batch in tqdm(loader, desc=title, disable=None if self.progress else True, leave=False):
            x = self._mapped(compute, batch.x)
            views = None
            if batch.views is not None:
                views = self._mapped(compute, batch.views.flatten(0, 1)).unflatten(0, batch.views.shape[:2])
            batches.append(replace(batch, x=x, views=views, points=None, visible=None))
        names = ["x", "y", "index", *(name for name in OPTIONAL if getattr(batches[0], name) is not None)]
        tensors = {name: torch.cat([getattr(batch, name) for batch in batches]) for name in names}
        if self.store is not None and key:
            self.store.put(key, tensors)
        return Batch(**tensors)

    def _mapped(self, compute: Any, x: Tensor) -> Tensor:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.half):
            features = compute(x.to(self.device)).cpu()
        return features.bfloat16() if self.half else features

    def _key(self, split: SplitName, epoch: int | None) -> str:
        """The key of a pass on disk; empty for data that do not describe their augmentation."""
        data = self.data
        if self.store is None or not self.store.limit or not isinstance(data, ImageData):
            return ""
        self.fingerprint = self.fingerprint or data.fingerprint()
        facts = {
            "data": [type(data).__name__, self.fingerprint, split, data.size, data.channels, data.mean, data.std],
            "epoch": epoch,
            "augment": None if epoch is None else [data.augment, data.views, repr(data.noise), data.seed],
            "entry": [self.backbone.cut, repr(self.backbone.blur), self.half, self.device.type],
        }
        dataset: Any = data.loader(split, augment=epoch is not None, shard=False).dataset
        probe = dataset.finish(dataset.__getitems__([(epoch or 0, i) for i in range(min(PROBE, len(dataset)))])).x.cpu()
        frozen = self.backbone if self.backbone.cut is None else self.backbone.halves()[0]
        return feature_key(frozen, facts, probe)


def backbone_of(model: SelfExplaining) -> Backbone:
    """Return the backbone of a model that has one."""
    backbone = model.get_submodule("backbone")
    assert isinstance(backbone, Backbone)
    return backbone


def entry_of(model: SelfExplaining) -> Literal["cut", "end"]:
    """Return where the cached features of the running phase enter: at the cut if the part after it is trained."""
    return "cut" if backbone_of(model).cut is not None and "backbone" in model.phase.lr else "end"


@contextmanager
def features_as_inputs(model: SelfExplaining) -> Iterator[None]:
    """Let the backbone take the cached features of the running phase instead of images."""
    backbone = backbone_of(model)
    backbone.entry = entry_of(model)
    try:
        yield
    finally:
        backbone.entry = "input"


def _gather(passes: Sequence[Tensor], number: Tensor, index: Tensor) -> Tensor:
    """Entries ``index`` ``(b,)`` of the tensors ``number`` ``(b,)``; a batch is nearly always of one pass."""
    if bool((number == number[:1]).all()):
        return passes[int(number[0])][index]
    return torch.stack([passes[p][i] for p, i in zip(number.tolist(), index.tolist(), strict=True)])


def _as_is(batch: Any) -> Batch:
    return batch
