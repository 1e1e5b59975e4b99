"""What all sources of data share: splits, loaders, order, identity."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from zoo.batch import Batch
from zoo.concept_schema import ConceptSchema
from zoo.data.concepts._checks import check_concepts, warn_of_disguises
from zoo.data.sampler import EpochSampler
from zoo.data.split import Split, first_of_each, held_out
from zoo.inputs.base import Inputs
from zoo.sequence_spec import Frame, Properties

SplitName = Literal["train", "val", "test"]


class Data(pl.LightningDataModule):
    """A source of labelled samples. A subclass says what it knows as attributes and reads its splits in ``_read``.

    The order of samples and their augmentation depend on (seed, epoch, sample) alone: not on workers, ranks or the
    global random state. Train with ``Trainer(use_distributed_sampler=False)``; the sampler shards over ranks itself.

    Args:
        batch_size: of one rank.
        workers: processes that load; 0 loads in the main one.
        val: share of train held out for validation, stratified, where the source has no validation split.
        seed: of the held-out share, the order and the augmentation.
        limit: use only so many samples of each split, spread evenly over the classes; None for all.

    Attributes:
        class_names: one name for each class.
        part_names: one name for each keypoint; empty if there are none.
        concepts: what each column of the concepts means; None if there are none.
        sequence: what sequences of tokens look like; None where inputs are no sequences.
        feature_names: one name for each number of a row; empty where inputs are no rows of numbers.
        license: of the samples, in a few words.
        users_own: whether they are a user's, who is then warned of a concept that is the label in disguise.

    Raises:
        ValueError: if an argument is out of range.
    """

    registered_as: ClassVar[str] = "data"
    class_names: tuple[str, ...] = ()
    part_names: tuple[str, ...] = ()
    concepts: ConceptSchema | None = None
    sequence: Frame | None = None
    feature_names: tuple[str, ...] = ()
    license: ClassVar[str] = ""
    users_own: ClassVar[bool] = False

    def __init__(
        self, *, batch_size: int, workers: int = 0, val: float = 0.1, seed: int = 0, limit: int | None = None
    ) -> None:
        super().__init__()
        self.batch_size, self.workers, self.val, self.seed, self.limit = batch_size, workers, val, seed, limit
        self._check()
        self._start = (0, 0)

    def _check(self) -> None:
        least = {"batch_size": 1, "workers": 0, "seed": 0, "limit": 1}
        for name, low in least.items():
            if (value := getattr(self, name)) is not None and value < low:
                raise ValueError(f"data.{name} is {value}; expected {low} or more")
        if not 0 <= self.val < 1:
            raise ValueError(f"data.val is {self.val}; expected a share of train, at least 0 and below 1")

    @property
    def inputs(self) -> Inputs | None:
        """What a model trained on these data keeps of them; None for sources that do not fit inputs."""
        return None

    def use_inputs(self, inputs: Inputs, concepts: ConceptSchema | None = None) -> None:
        """Read these data with the inputs of a trained model, matched by name, and never fit inputs again.

        Args:
            inputs: of the model.
            concepts: of the model; those of the data are put in their order.

        Raises:
            ValueError: (once read) if the data do not match; the message lists what is missing or renamed.
        """

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def concept_names(self) -> tuple[str, ...]:
        """One name for each concept; empty if there are none."""
        return () if self.concepts is None else self.concepts.names

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.samples("train", [0]).x.shape[1:])

    @property
    def is_available(self) -> bool:
        """Whether the samples can be read; what a user gives can be explained without them."""
        return True

    def _read(self) -> dict[str, Split]:
        """The splits ``train``, ``test`` and, where the source has one, ``val``."""
        raise ValueError(f"{type(self).__name__} does not say how its splits are read; give it a _read method")

    def _serve(self, name: SplitName, *, augment: bool) -> Dataset:
        """The data set of a split: whole batches by (epoch, index) pairs."""
        raise ValueError(f"{type(self).__name__} does not say how it serves a split; give it a _serve method")

    @cached_property
    def splits(self) -> dict[str, Split]:
        """The three splits.

        Raises:
            ValueError: if the data is missing or wrong; the message names file and row.
        """
        splits = self._parted
        for name, split in splits.items():
            check_concepts(name, split, self.concepts)
        if self.users_own and self.concepts is not None and self.limit is None:  # a few samples agree by chance
            warn_of_disguises(splits["train"], self.concepts, self.class_names)
        return splits

    @cached_property
    def _parted(self) -> dict[str, Split]:
        """The three splits, their concepts not yet checked: a schema may need the training split to be complete."""
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
            raise ValueError(f"class {lost!r} has no sample in {name}; add one or remove the class")
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
        dataset = self._serve(split, augment=augment)
        batch_size = batch_size or self.batch_size
        return DataLoader(
            dataset,
            batch_sampler=self._sampler(split, batch_size, shuffle=shuffle, shard=shard),
            collate_fn=_as_is,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator().manual_seed(self.seed),
        )

    def _sampler(self, split: SplitName, batch_size: int, *, shuffle: bool, shard: bool) -> EpochSampler:
        """The order of the samples of a split."""
        return EpochSampler(len(self._split(split)), batch_size, shuffle=shuffle, seed=self.seed, shard=shard)

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

    def read_input(self, text: str) -> Tensor:
        """An input of the user's own, without the leading dimension; or, with it, several questions about one input.

        Raises:
            ValueError: if it cannot be read.
        """
        raise ValueError(f"{type(self).__name__} cannot read an input of your own; give the index of a test sample")

    @property
    def input_scale(self) -> str:
        """What the numbers of an input are, in words for a card."""
        mean, std = getattr(self, "mean", None), getattr(self, "std", None)
        return f"mean {list(mean)}, std {list(std)}" if mean and std else "standardised by the training split"

    def scenes(self, split: SplitName) -> Any:
        """A split whose scenes can be rendered again without parts; None if they cannot."""
        return None

    def resolved_args(self) -> dict[str, Any]:
        """Arguments of this source that reading the data has settled, such as a vocabulary; kept in a run's config."""
        return {}

    def check_compatible_with(self, sequence: Mapping[str, Any]) -> None:
        """Read with the tokens and classes of a trained model, as they stand in its arguments.

        Raises:
            ValueError: if these data have others, and cannot be read so.
        """
        if self.sequence is None:
            return
        here = {**self.sequence.to_config(), "classes": list(self.class_names)}
        for key, value in sequence.items():
            value = list(value) if isinstance(value, (list, tuple)) else value
            if value != here.get(key, value):
                raise ValueError(
                    f"the model reads sequences whose {key} is {_brief(value)}; with these data it would be"
                    f" {_brief(here[key])}: choose data like those it was trained on, or train anew"
                )

    def extra_metrics(self, model: Any) -> dict[str, float]:
        """Figures that only this source can give of a model, such as its distance from a floor that is known."""
        return {}

    def position_labels(self, split: SplitName, count: int = 500) -> Properties | None:
        """What is known of each position of the first ``count`` sequences of a split; None where nothing is."""
        return None

    def token_texts(self, x: Tensor) -> list[list[str]] | None:
        """Contexts ``(b, t)`` as the texts of their tokens, b lists; None where inputs are no tokens."""
        return None

    def to_image(self, x: Tensor) -> Tensor | None:
        """Inputs ``(b, ...)`` as pictures ``(b, 3, s, s)`` in [0, 1]; None where inputs are no pictures."""
        return None

    def feature_values(self, x: Tensor) -> list[list[tuple[str, str]]]:
        """Names and values of each of the inputs ``(b, ...)``; empty where they say nothing beside the picture."""
        return []

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change when a label, a name, a keypoint, an image or the division changes.

        Every image in use is read, byte by byte but not decoded: some seconds for each gigabyte of files.

        Raises:
            ValueError: if the data is missing or wrong.
        """
        digest = hashlib.sha256()
        for name, split in sorted(self.splits.items()):
            digest.update("\n".join([name, *split.names]).encode())
            tensors = (split.y, split.rows, split.points, split.visible, split.concepts, split.x, split.lengths)
            for tensor in (t for t in tensors if t is not None):
                digest.update(tensor.numpy().tobytes())
        for source in {id(s.pixels): s.pixels for s in self.splits.values() if s.pixels is not None}.values():
            rows = torch.cat([s.rows for s in self.splits.values() if s.pixels is source]).sort().values
            for content in source.content(rows.tolist()):
                digest.update(content)
        return digest.hexdigest()[:12]


def _brief(value: Any, most: int = 100) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def _as_is(batch: Batch) -> Batch:
    return batch
