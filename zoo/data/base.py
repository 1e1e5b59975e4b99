"""Base class of data sources: splits, loaders, order of samples, fingerprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from zoo.batch import Batch
from zoo.concept_schema import ConceptSchema
from zoo.data.concepts._concept_checks import check_concepts, warn_of_label_leakage
from zoo.data.concepts._concept_faults import ConceptFaults, MissingPattern
from zoo.data.fingerprint import fingerprint_of
from zoo.data.holdout import holdout, strata_of
from zoo.data.sampler import EpochSampler
from zoo.data.split import BatchDataset, BatchLoader, Split, drawn_by_hash
from zoo.data.split_checks import check_split
from zoo.inputs.base import Inputs
from zoo.inputs.texts.text_encoders import EncoderSpec
from zoo.sequence_spec import Frame, Properties
from zoo.task import Classification, Task

SplitName = Literal["train", "val", "test"]


class Data(pl.LightningDataModule):
    """A source of labeled samples.

    A subclass sets the attributes below, reads its splits in ``_read`` and serves them in ``_serve``. Sources of rows
    of numbers and of images derive from ``zoo.data.table_data.TableData`` and ``zoo.data.image_data.ImageData``, which
    serve them. Models of a source whose ``inputs`` are None can be trained and scored, but predict no files.

    The order of samples and their augmentation depend on (seed, epoch, sample) alone, not on workers, ranks or the
    global random state. Train with ``Trainer(use_distributed_sampler=False)``; the sampler shards over ranks itself.

    Args:
        batch_size: samples per batch on each rank.
        workers: number of loader processes; 0 loads in the main process.
        val: share of the training split used for validation, stratified, if the source has no validation split.
        seed: random seed of the validation share, the order and the augmentation.
        limit: maximum number of samples of each split, spread evenly over the classes; None for all.
        missing_concepts: share of the concept annotations of the training split that are made unknown, for experiments;
            the other splits keep theirs. Which ones depends on the seed; a larger share contains a smaller one.
        missing_pattern: ``random``, or ``by_value`` (not at random): the less frequent values of a concept are missing
            three times as often as its most frequent one.
        wrong_concepts: share of the concept annotations of the training split that are replaced by another value.

    Attributes:
        capabilities: names of what the source offers beyond this class, see ``zoo.capabilities``.
        class_names: name of each class.
        part_names: name of each part that is annotated with keypoints or masks; empty if there are none.
        has_masks: whether evaluated batches have masks of the parts.
        concepts: meaning of each concept column; None if there are no concepts.
        sequence: format of token sequences; None if inputs are not sequences of words.
        encoder_spec: the text encoder of others whose word pieces inputs are; None for other inputs.
        feature_names: name of each number of a row; empty if inputs are not rows of numbers.
        license: license of the samples, in a few words.
        user_supplied: whether the samples are the user's own; then label leakage by a concept is reported as a warning.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> from zoo.data import create_data
        >>> data = create_data("toys", kind="xor", batch_size=4)
        >>> batch = next(iter(data.loader("test")))
        >>> tuple(batch.x.shape), data.class_names, data.concept_names
        ((4, 2), ('no', 'yes'), ('a > .5', 'b > .5'))
    """

    registered_as: ClassVar[str] = "data"
    capabilities: frozenset[str] = frozenset()
    class_names: tuple[str, ...] = ()
    part_names: tuple[str, ...] = ()
    has_masks: bool = False
    concepts: ConceptSchema | None = None
    sequence: Frame | None = None
    encoder_spec: EncoderSpec | None = None
    feature_names: tuple[str, ...] = ()
    license: ClassVar[str] = ""
    user_supplied: ClassVar[bool] = False

    def __init__(
        self,
        *,
        batch_size: int,
        workers: int = 0,
        val: float = 0.1,
        seed: int = 0,
        limit: int | None = None,
        missing_concepts: float = 0.0,
        missing_pattern: MissingPattern = "random",
        wrong_concepts: float = 0.0,
    ) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.workers = workers
        self.val = val
        self.seed = seed
        self.limit = limit
        self.concept_faults = ConceptFaults(missing_concepts, missing_pattern, wrong_concepts)
        self._check()
        self._start = (0, 0)
        self.sizes: dict[str, int] = {}  # of the splits before ``limit``

    def _check(self) -> None:
        minimum = {"batch_size": 1, "workers": 0, "seed": 0, "limit": 1}
        for name, low in minimum.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise ValueError(f"data.{name} is {value}; expected {low} or more")
        if not 0 <= self.val < 1:
            raise ValueError(f"data.val is {self.val}; expected a share of the training split, at least 0 and below 1")

    @property
    def inputs(self) -> Inputs | None:
        """Preprocessing and class names that a model trained on these data saves; None for sources without them."""
        return None

    def use_inputs(self, inputs: Inputs, concepts: ConceptSchema | None = None) -> None:
        """Read these data with the inputs of a trained model, matched by name; nothing is fitted again.

        Args:
            inputs: inputs of the model.
            concepts: concepts of the model; those of the data are put in their order.

        Raises:
            ValueError: (once read) if the data do not match; missing and renamed names are listed.
        """

    def use_encoding(self, name: str) -> None:
        """Encode the columns of a table as a family of models reads them; other data have one encoding alone.

        Args:
            name: of the encoding, ``SelfExplaining.table_encoding``.
        """

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Name of each output of a model: those of the classes or labels, or of the number."""
        return self.class_names

    @cached_property
    def model_task(self) -> Task:
        """Task of a model of these data, with the numbers of the training split that it keeps."""
        counts = torch.bincount(self.splits["train"].y, minlength=self.num_classes).tolist()
        return Classification(self.num_classes, counts=tuple(counts))

    @property
    def concept_names(self) -> tuple[str, ...]:
        """Name of each concept; empty if there are none."""
        return () if self.concepts is None else self.concepts.names

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.samples("train", [0]).x.shape[1:])

    @property
    def is_available(self) -> bool:
        """Whether the samples can be read; inputs of the user can be explained without them."""
        return True

    def _read(self) -> dict[str, Split]:
        """Return the splits ``train``, ``test`` and, if the source has one, ``val``."""
        raise TypeError(f"{type(self).__name__} has no _read method; expected one that returns the splits")

    def _serve(self, name: SplitName, *, augment: bool) -> BatchDataset:
        """Return the data set of a split, which serves whole batches of (epoch, index) pairs."""
        raise TypeError(f"{type(self).__name__} has no _serve method; expected one that returns a data set")

    @cached_property
    def splits(self) -> dict[str, Split]:
        """The three splits.

        Raises:
            ValueError: if the data is missing or invalid; file and row are named.
        """
        splits = self._divided_splits
        for name, split in splits.items():
            check_concepts(name, split, self.concepts)
        classes = not splits["train"].y.is_floating_point()
        if self.user_supplied and classes and self.concepts is not None and self.limit is None:  # few leak by chance
            warn_of_label_leakage(splits["train"], self.concepts, self.class_names)
        if self.concept_faults:
            splits = {**splits, "train": self.concept_faults.apply(splits["train"], self.concepts, self.seed)}
        return splits

    @cached_property
    def _divided_splits(self) -> dict[str, Split]:
        """The three splits before the concepts are checked: a schema may need the training split to be complete."""
        return self._divide()

    def _divide(self) -> dict[str, Split]:
        splits = self._read()
        for name, split in splits.items():
            self._check_split(name, split)
        if "val" not in splits:
            in_val = holdout(splits["train"], self.val, seed=self.seed)
            splits["val"] = splits["train"].take(in_val.nonzero()[:, 0])
            splits["train"] = splits["train"].take((~in_val).nonzero()[:, 0])
        self.sizes = {name: len(split) for name, split in splits.items()}
        if self.limit is not None:
            splits = {
                name: split.take(drawn_by_hash(split, self.limit, strata_of(split.y))) for name, split in splits.items()
            }
        return splits

    def support(self, split: SplitName) -> str:
        """Return the number of samples of a split, and of how many they were drawn by ``limit``.

        Example:
            >>> import zoo
            >>> zoo.create_data("digits", size=8, limit=20).support("test")
            '20 of 359 test samples, drawn by data.limit'
        """
        used = len(self._split(split))
        every = self.sizes.get(split, used)  # own loaders are used whole
        drawn = f" of {every}" if used < every else ""
        return f"{used}{drawn} {split} samples" + (", drawn by data.limit" if drawn else "")

    def _check_split(self, name: str, split: Split) -> None:
        check_split(name, split, self.num_classes, self.class_names, self.part_names)

    def setup(self, stage: str | None = None) -> None:
        """Read the splits; a second call does nothing. Images are decoded when the first loader is made."""
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
        """Return a loader of one split, in order and without augmentation by default.

        The order and the augmentation are those of epoch 0 until ``loader.batch_sampler.set_epoch(e)`` is called; it
        applies to each new iteration, with any number of workers.

        Args:
            split: ``train``, ``val`` or ``test``.
            augment: whether to apply the augmentation policy.
            shuffle: whether to draw a new order each epoch.
            shard: whether each rank of a distributed run gets a share of the samples; otherwise it gets all of them.
            batch_size: samples per batch; None for that of the source.

        Raises:
            ValueError: if the split does not exist or is empty.
        """
        samples = self._split(split)
        if not len(samples):
            raise ValueError(f"split {split!r} is empty (data.val is {self.val}); create it with data.val=0.1")
        dataset = self._serve(split, augment=augment)
        batch_size = batch_size or self.batch_size
        return BatchLoader(
            dataset,
            batch_sampler=self._sampler(split, batch_size, shuffle=shuffle, shard=shard),
            collate_fn=_identity,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator().manual_seed(self.seed),
        )

    def _sampler(self, split: SplitName, batch_size: int, *, shuffle: bool, shard: bool) -> EpochSampler:
        """Return the sampler that decides the order of a split."""
        return EpochSampler(len(self._split(split)), batch_size, shuffle=shuffle, seed=self.seed, shard=shard)

    def resume_at(self, *, epoch: int, batch: int) -> None:
        """Start the next training loader at this point. Lightning makes the first iterator before it sets the epoch."""
        self._start = (epoch, batch)

    def train_dataloader(self) -> DataLoader:
        """Return the loader of the training split, augmented and shuffled."""
        loader = self.loader("train", augment=True, shuffle=True)
        sampler = loader.batch_sampler
        epoch, batch = self._start
        assert isinstance(sampler, EpochSampler)
        sampler.set_epoch(epoch)
        sampler.skip(batch)
        self._start = (0, 0)
        return loader

    def val_dataloader(self) -> DataLoader | list:
        """Return the loader of the validation split; an empty list if it has no samples."""
        return self.loader("val") if len(self._split("val")) else []

    def test_dataloader(self) -> DataLoader:
        """Return the loader of the test split."""
        return self.loader("test")

    def name_of(self, split: SplitName, i: int) -> str:
        """Return the file name or id of a sample."""
        return self._split(split).names[i]

    def samples(self, split: SplitName, ids: Sequence[int]) -> Batch:
        """Return the samples of a split at these positions, without augmentation."""
        dataset = self.loader(split).dataset
        assert isinstance(dataset, BatchDataset)
        return dataset.__getitems__([(0, int(i)) for i in ids])

    def read_input(self, text: str) -> Tensor:
        """Return an input given as text, without the batch dimension; or with it, if one text has several questions.

        Raises:
            ValueError: if the text cannot be read.
        """
        raise ValueError(f"{type(self).__name__} cannot read an input given as text; give the index of a test sample")

    @property
    def input_scale(self) -> str:
        """Description of the numbers of an input, for a model card."""
        return "standardized by the training split"

    def scenes(self, split: SplitName) -> Any:
        """Return the scenes of a split, to be rendered again without some parts; None if that is impossible."""
        return None

    def resolved_args(self) -> dict[str, Any]:
        """Return arguments that reading the data has determined, such as a vocabulary; saved in the config of a run."""
        return {}

    def check_compatible_with(self, sequence: Mapping[str, Any]) -> None:
        """Read with the tokens and classes of a trained model, given as in its arguments.

        Raises:
            ValueError: if the data have other tokens or classes and cannot be read with these.
        """
        if self.sequence is None:
            return
        own = {**self.sequence.to_config(), "classes": list(self.class_names)}
        for key, value in sequence.items():
            value = list(value) if isinstance(value, (list, tuple)) else value
            if value != own.get(key, value):
                raise ValueError(
                    f"the model reads sequences whose {key} is {_brief(value)}; with these data it would be"
                    f" {_brief(own[key])}: choose data like its training data, or train again"
                )

    def extra_metrics(self, model: Any) -> dict[str, float]:
        """Return metrics of a model that only this source defines, such as the distance from a known optimal loss."""
        return {}

    def position_labels(self, split: SplitName, count: int = 500) -> Properties | None:
        """Return labels of each position of the first ``count`` sequences of a split; None if there are none."""
        return None

    def token_texts(self, x: Tensor) -> list[list[str]] | None:
        """Return the texts of the tokens of contexts ``(b, t)``, b lists; None if inputs are not tokens."""
        return None

    def to_image(self, x: Tensor) -> Tensor | None:
        """Return inputs ``(b, ...)`` as images ``(b, 3, s, s)`` in [0, 1]; None if inputs are not images."""
        return None

    def feature_values(self, x: Tensor) -> list[list[tuple[str, str]]]:
        """Return names and values of each of the inputs ``(b, ...)``; empty if an image shows all."""
        return []

    def fingerprint(self) -> str:
        """Return twelve hexadecimal digits that depend on labels, names, annotations, images and the division.

        The bytes of every image in use are read but not decoded: a few seconds per gigabyte of files.

        Raises:
            ValueError: if the data is missing or invalid.
        """
        return fingerprint_of(self.splits)


def _brief(value: Any, limit: int = 100) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else repr(value)
    return text if len(text) <= limit else f"{text[:limit]}..."


def _identity(batch: Any) -> Any:
    return batch
