"""What all sources of images share: splits, loaders, normalisation, identity."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from zoo.batch import Batch
from zoo.concepts import ConceptSchema
from zoo.data.augment import Augment, policy
from zoo.data.pixels import Files
from zoo.data.sampler import EpochSampler
from zoo.data.split import Samples, Split, first_of_each, held_out

SplitName = Literal["train", "val", "test"]


class ImageData(pl.LightningDataModule):
    """A source of labelled images. A subclass says what it knows as attributes and reads its splits in ``_read``.

    The order of samples and their augmentation depend on (seed, epoch, sample) alone: not on workers, ranks or the
    global random state. Train with ``Trainer(use_distributed_sampler=False)``; the sampler shards over ranks itself.

    Args:
        size: side of the square images, in pixels.
        batch_size: of one rank.
        augment: policy for training, see :mod:`zoo.data.augment`.
        workers: processes that load; 0 loads in the main one.
        val: share of train held out for validation, stratified, where the source has no validation split.
        seed: of the held-out share, the order and the augmentation.
        limit: use only so many samples of each split, spread evenly over the classes; None for all.
        mean: per channel, of x in [0, 1]; None for the source's own.
        std: per channel.

    Attributes:
        class_names: one name for each class.
        part_names: one name for each keypoint; empty if there are none.
        concept_names: one name for each concept; empty if there are none.
        concepts: what they mean; None if there are none.
        licence: of the images, in a few words.

    Raises:
        ValueError: if an argument is out of range.
    """

    class_names: tuple[str, ...] = ()
    part_names: tuple[str, ...] = ()
    concept_names: tuple[str, ...] = ()
    concepts: ConceptSchema | None = None
    licence: ClassVar[str] = ""
    default_mean: ClassVar[tuple[float, ...]] = (0.485, 0.456, 0.406)
    default_std: ClassVar[tuple[float, ...]] = (0.229, 0.224, 0.225)

    def __init__(
        self,
        *,
        size: int,
        batch_size: int,
        augment: Augment,
        workers: int = 0,
        val: float = 0.1,
        seed: int = 0,
        limit: int | None = None,
        mean: list[float] | None = None,
        std: list[float] | None = None,
    ) -> None:
        super().__init__()
        self.size, self.batch_size, self.augment, self.workers = size, batch_size, augment, workers
        self.val, self.seed, self.limit = val, seed, limit
        self.mean, self.std = tuple(mean or self.default_mean), tuple(std or self.default_std)
        self._check()
        self._policy = policy(augment, size)
        self._images: dict[str, Tensor | None] = {}
        self._start = (0, 0)

    def _check(self) -> None:
        least = {"size": 1, "batch_size": 1, "workers": 0, "seed": 0, "limit": 1}
        for name, low in least.items():
            if (value := getattr(self, name)) is not None and value < low:
                raise ValueError(f"data.{name} is {value}; expected {low} or more")
        if not 0 <= self.val < 1:
            raise ValueError(f"data.val is {self.val}; expected a share of train, at least 0 and below 1")
        finite = all(map(math.isfinite, self.mean + self.std))
        if not finite or len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(f"data.mean is {self.mean}, data.std {self.std}; expected three numbers each, std above 0")

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return 3, self.size, self.size

    def _read(self) -> dict[str, Split]:
        """The splits ``train``, ``test`` and, where the source has one, ``val``."""
        raise ValueError(f"{type(self).__name__} does not say how its splits are read; give it a _read method")

    @cached_property
    def splits(self) -> dict[str, Split]:
        """The three splits.

        Raises:
            ValueError: if the data is missing or wrong; the message names file and row.
        """
        splits = self._read()
        for name, split in splits.items():
            self._check_split(name, split)
        if "val" not in splits:
            held = held_out(splits["train"].y, self.val, seed=self.seed)
            splits["val"] = splits["train"].take(held.nonzero()[:, 0])
            splits["train"] = splits["train"].take((~held).nonzero()[:, 0])
        if self.limit is not None:
            splits = {name: split.take(first_of_each(split.y, self.limit)) for name, split in splits.items()}
        return splits

    def _check_split(self, name: str, split: Split) -> None:
        count = torch.bincount(split.y, minlength=self.num_classes)
        if len(count) > self.num_classes or (len(split) and split.y.min() < 0):
            raise ValueError(f"{name} has labels up to {len(count) - 1}; there are only {self.num_classes} classes")
        if name == "train" and (count == 0).any():
            lost = self.class_names[int((count == 0).nonzero()[0])]
            raise ValueError(f"class {lost!r} has no image in {name}; add one or remove the class")
        if split.points is not None:
            bad = ~torch.isfinite(split.points).all(-1) & split.visible
            if bad.any():
                row, part = bad.nonzero()[0].tolist()
                found = f"{self.part_names[part]!r} marked visible at {split.points[row, part].tolist()}"
                raise ValueError(f"{name}: {split.names[row]} has {found}; give two numbers or mark it not visible")

    def setup(self, stage: str | None = None) -> None:
        """Read the splits; a second call does nothing. Images are decoded when a loader is first asked for."""
        _ = self.splits

    def _split(self, name: SplitName) -> Split:
        if name not in self.splits:
            raise ValueError(f"split is {name!r}; expected one of train, val, test")
        return self.splits[name]

    def loader(
        self,
        split: SplitName,
        *,
        augment: bool = False,
        shuffle: bool = False,
        shard: bool = True,
        batch_size: int | None = None,
    ) -> DataLoader:
        """Batches of one split, in order and as they are unless asked otherwise.

        The order and the augmentation are those of epoch 0 until ``loader.batch_sampler.set_epoch(e)`` says otherwise;
        each new iteration follows it, with any number of workers.

        Args:
            split: ``train``, ``val`` or ``test``.
            augment: whether to apply the training policy.
            shuffle: whether to draw a new order each epoch.
            shard: whether the ranks of a distributed run divide the samples; otherwise each rank gets all of them.
            batch_size: if not the module's own.

        Raises:
            ValueError: if there is no such split or it is empty.
        """
        samples = self._split(split)
        if not len(samples):
            raise ValueError(f"split {split!r} is empty (data.val is {self.val}); hold out a share with data.val=0.1")
        if split not in self._images:
            self._images[split] = samples.decode()
        dataset = Samples(
            samples,
            self._images[split],
            transform=self._policy if augment else None,
            seed=self.seed,
            mean=self.mean,
            std=self.std,
        )
        batch_size = batch_size or self.batch_size
        return DataLoader(
            dataset,
            batch_sampler=EpochSampler(len(samples), batch_size, shuffle=shuffle, seed=self.seed, shard=shard),
            collate_fn=_as_is,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator().manual_seed(self.seed),
        )

    def resume_at(self, *, epoch: int, batch: int) -> None:
        """Let the next training loader begin there. Lightning makes the first iterator before it sets the epoch."""
        self._start = (epoch, batch)

    def train_dataloader(self) -> DataLoader:
        """Augmented and shuffled."""
        loader = self.loader("train", augment=True, shuffle=True)
        sampler, (epoch, batch) = loader.batch_sampler, self._start
        assert isinstance(sampler, EpochSampler)
        sampler.set_epoch(epoch)
        sampler.skip(batch)
        self._start = (0, 0)
        return loader

    def val_dataloader(self) -> DataLoader | list:
        """The held-out samples; no loader if there are none."""
        return self.loader("val") if len(self._split("val")) else []

    def test_dataloader(self) -> DataLoader:
        """The test samples."""
        return self.loader("test")

    def name_of(self, split: SplitName, i: int) -> str:
        """File name or id of a sample."""
        return self._split(split).names[i]

    def samples(self, split: SplitName, ids: Sequence[int]) -> Batch:
        """Some samples of a split as they are, by position."""
        return self.loader(split).dataset.__getitems__([(0, int(i)) for i in ids])

    def read_picture(self, file: Path) -> Tensor:
        """A picture file of the user's own as an input ``(3, s, s)``, squashed to a square and normalised.

        Raises:
            ValueError: if the file is missing or is no image.
        """
        pixels = torch.from_numpy(Files((str(file),), self.size)(0).copy()).permute(2, 0, 1) / 255
        mean, std = (torch.tensor(v)[:, None, None] for v in (self.mean, self.std))
        return (pixels - mean) / std

    def picture(self, x: Tensor) -> Tensor:
        """Images ``(b, 3, s, s)`` as they look, in [0, 1]."""
        mean, std = (torch.tensor(v, device=x.device, dtype=x.dtype)[:, None, None] for v in (self.mean, self.std))
        return (x * std + mean).clamp(0, 1)

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change when a label, a name, a keypoint, an image or the division changes.

        Every image in use is read, byte by byte but not decoded: some seconds for each gigabyte of files.

        Raises:
            ValueError: if the data is missing or wrong.
        """
        digest = hashlib.sha256()
        for name, split in sorted(self.splits.items()):
            digest.update("\n".join([name, *split.names]).encode())
            tensors = (split.y, split.rows, split.points, split.visible, split.concepts)
            for tensor in (t for t in tensors if t is not None):
                digest.update(tensor.numpy().tobytes())
        for source in {id(s.pixels): s.pixels for s in self.splits.values()}.values():
            rows = torch.cat([s.rows for s in self.splits.values() if s.pixels is source]).sort().values
            for content in source.content(rows.tolist()):
                digest.update(content)
        return digest.hexdigest()[:12]


def _as_is(batch: Batch) -> Batch:
    return batch
