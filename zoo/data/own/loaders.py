"""Your own DataLoaders or LightningDataModule as a source of data: ``zoo.train(config, data=module)``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch import Tensor

from zoo.batch import Batch
from zoo.data.base import Data, SplitName
from zoo.data.split import KEEP, BatchDataset, Split
from zoo.registry import register
from zoo.task import Classification, MultiLabel, Regression, Task

LOADERS = ("train", "val", "test")


@register
class Loaders(Data):
    """Batches of your own: ``zoo.Batch``, ``(x, y)``, or mappings with x, y and perhaps concepts and weight.

    Training iterates over the loader itself, so that order and augmentation are its own; a run that is resumed inside
    an epoch skips the batches before. Everything else (projections, scores, pages) reads each loader once, in its
    order, into memory. y is int64 for classes, float32 ``(b,)`` for numbers, float32 ``(b, l)`` for labels.

    Args:
        train: yields the training batches.
        val: yields the validation batches; None for none.
        test: yields the test batches.
        class_names: of the classes or labels; None to number them.
        batch_size: samples per batch of all that reads from memory.
        common: other arguments of ``zoo.data.base.Data``.

    Raises:
        ValueError: (once read) if a loader is missing, empty, or yields something else.

    Example:
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> loader = DataLoader(TensorDataset(torch.randn(8, 4), torch.arange(8) % 2), batch_size=4)
        >>> data = Loaders(train=loader, test=loader)
        >>> data.input_shape, data.class_names
        ((4,), ('0', '1'))
    """

    license = "the user's own"
    user_supplied = True

    def __init__(
        self,
        *,
        train: Any = None,
        val: Any = None,
        test: Any = None,
        class_names: list[str] | None = None,
        batch_size: int = 64,
        **common: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, **common)
        self.given: dict[str, Any] = {"train": train, "val": val, "test": test}
        self._names = None if class_names is None else tuple(class_names)

    @property
    def is_available(self) -> bool:
        """Whether there are loaders: not for a config, such as that of a checkpoint."""
        return self.given["train"] is not None

    def _read(self) -> dict[str, Split]:
        missing = [name for name in ("train", "test") if self.given[name] is None]
        if missing:
            raise ValueError(
                f"there is no {missing[0]} loader; pass yours: zoo.train(..., data={{'train': loader, 'test': loader}})"
            )
        splits = {name: _memorized(name, loader) for name, loader in self.given.items() if loader is not None}
        splits.setdefault("val", splits["train"].take(torch.arange(0)))
        shapes = {name: tuple(split.y.shape[1:]) for name, split in splits.items()}
        if len({(split.y.dtype, shapes[name]) for name, split in splits.items()}) > 1:
            raise ValueError(f"the targets of the loaders differ in type or shape: {shapes}; expected the same in all")
        return splits

    @property
    def class_names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The names given, or numbers; empty for a regression."""
        y = self._targets
        if y.is_floating_point() and y.ndim == 1:
            return ()
        count = y.shape[1] if y.ndim == 2 else int(y.max()) + 1
        names = self._names or tuple(str(i) for i in range(count))
        if len(names) < count:
            raise ValueError(f"there are {len(names)} class_names; the targets have {count} classes")
        return names

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the classes or labels, or ``y``."""
        return self.class_names or self._names or ("y",)

    @cached_property
    def _memory(self) -> dict[str, Split]:
        return self._read()

    @property
    def _targets(self) -> Tensor:
        return torch.cat([split.y for split in self._memory.values()])

    def _divide(self) -> dict[str, Split]:
        splits = self._memory
        for name, split in splits.items():
            self._check_split(name, split)
        return splits

    @cached_property
    def model_task(self) -> Task:  # pyright: ignore[reportIncompatibleVariableOverride]
        """A classification, regression or multi-label task, by the type of the targets."""
        y = self.splits["train"].y
        if not y.is_floating_point():
            return Classification(
                self.num_classes, counts=tuple(torch.bincount(y, minlength=self.num_classes).tolist())
            )
        if y.ndim == 2:
            return MultiLabel(y.shape[1], counts=tuple((y == 1).sum(0).tolist()), rows=len(y))
        std = float(y.double().std(correction=0))
        return Regression(mean=float(y.double().mean()), std=std if std > 0 else 1.0)

    def _serve(self, name: SplitName, *, augment: bool) -> BatchDataset:
        return _Memory(self._split(name))

    def train_dataloader(self) -> Any:
        """Return the training loader of the user, whose batches become ``Batch``."""
        check_one_process(self)
        _, skip = self._start
        self._start = (0, 0)
        return OwnBatches(self.given["train"], skip=skip)

    def to_image(self, x: Tensor) -> Tensor | None:
        """Return inputs that are images in [0, 1] as such; None for all others."""
        image = x.ndim == 4 and x.shape[1] in (1, 3) and bool(((x >= 0) & (x <= 1)).all())
        return x.expand(-1, 3, -1, -1) if image else None


class OwnBatches:
    """Iterates over a loader of the user and yields ``Batch``.

    Args:
        loader: any iterable.
        skip: batches that are left out of the first iteration.
    """

    def __init__(self, loader: Iterable[Any], *, skip: int = 0) -> None:
        self.loader = loader
        self.skip = skip

    def __len__(self) -> int:
        loader: Any = self.loader
        return len(loader)

    def __iter__(self) -> Iterator[Batch]:
        skip, self.skip = self.skip, 0
        return (Batch.of(batch) for batch in islice(iter(self.loader), skip, None))


class _Memory(BatchDataset):
    """Serves batches of (epoch, index) pairs from tensors."""

    def __init__(self, split: Split) -> None:
        self.split = split

    def __len__(self) -> int:
        return len(self.split)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Batch:
        """Return the batch of (epoch, index) pairs."""
        ids = torch.tensor([index for _, index in keys])
        s = self.split
        assert s.x is not None
        concepts = None if s.concepts is None else s.concepts[ids]
        weight = None if s.weight is None else s.weight[ids]
        sequence = None if s.sequence is None else s.sequence[ids]
        return Batch(s.x[ids], s.y[ids], ids, concepts=concepts, weight=weight, sequence=sequence)


def _memorized(name: str, loader: Iterable[Any]) -> Split:
    """Read a loader once into memory."""
    batches: list[Batch] = []
    size = 0
    for raw in loader:
        batch = Batch.of(raw)
        if batch.y is None:
            raise ValueError(f"the {name} loader yields no targets; expected (x, y), or a mapping with x and y")
        size += batch.x.nbytes
        if size > KEEP:
            raise ValueError(
                f"the {name} loader holds more than {KEEP >> 30} GiB, which are read into memory; split it"
            )
        batches.append(batch)
    if not batches:
        raise ValueError(f"the {name} loader yields no batch")

    def joined(key: str) -> Tensor | None:
        values = [getattr(batch, key) for batch in batches]
        return None if any(value is None for value in values) else torch.cat(values)

    x, y = torch.cat([batch.x for batch in batches]), torch.cat([batch.targets for batch in batches])
    if y.is_floating_point():
        y = y.float()
    elif y.ndim == 1:
        y = y.long()
    else:
        raise ValueError(f"the targets of the {name} loader are {tuple(y.shape)} {y.dtype}; expected labels as float32")
    names = [f"{name}/{i:05d}" for i in range(len(y))]
    return Split(names, y, x=x, concepts=joined("concepts"), weight=joined("weight"), sequence=joined("sequence"))


def own_data(data: Any, class_names: Sequence[str] | None = None) -> Data | None:
    """Return data that a user hands over as a source; None for a mapping of arguments of a config.

    Args:
        data: a ``Data``, a LightningDataModule, or loaders by the names train, val and test.
        class_names: of the classes; None to number them.

    Raises:
        ValueError: if it is something else.
    """
    if isinstance(data, Data):
        return data
    names = None if class_names is None else list(class_names)
    if isinstance(data, pl.LightningDataModule):
        data.prepare_data()
        data.setup("fit")
        data.setup("test")
        loaders = {name: _loader_of(data, name) for name in LOADERS}
        return Loaders(**loaders, class_names=names)
    if isinstance(data, Mapping):
        if any(
            isinstance(value, Iterable) and not isinstance(value, str | list | tuple | Mapping)
            for value in data.values()
        ):
            if unknown := [name for name in data if name not in LOADERS]:
                raise ValueError(f"data has {unknown[0]!r}; expected loaders by the names train, val and test")
            return Loaders(**data, class_names=names)
        return None
    if isinstance(data, Iterable):
        raise ValueError("data is one loader; expected {'train': loader, 'test': loader}, perhaps with 'val'")
    raise ValueError(f"data is {type(data).__name__}; expected loaders, a LightningDataModule or arguments by name")


def check_one_process(data: Data, devices: int = 1) -> None:
    """Refuse several processes for loaders of a user, which give every process the same batches.

    Args:
        data: the data of a run.
        devices: number of processes that the config asks for.

    Raises:
        ValueError: naming the cure.
    """
    if not isinstance(data, Loaders):
        return
    world = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
    if (processes := max(world, devices, int(os.environ.get("WORLD_SIZE", 1)))) > 1:
        raise ValueError(
            f"the run has {processes} processes, and your loaders would give each of them the same batches; set"
            " trainer.devices=1, or pass a zoo.data.base.Data, whose batches are divided among processes"
        )


def _is_loader(value: Any) -> bool:
    """Whether a value is no value of a config, but something that yields batches."""
    return isinstance(value, Iterable) and not isinstance(value, str | list | tuple | Mapping)


def _loader_of(module: pl.LightningDataModule, name: str) -> Any:
    """Return one loader of a LightningDataModule; None if it has none."""
    base = getattr(pl.LightningDataModule, f"{name}_dataloader")
    if getattr(type(module), f"{name}_dataloader") is base:
        return None
    loader = getattr(module, f"{name}_dataloader")()
    if isinstance(loader, Sequence):
        if len(loader) > 1:
            raise ValueError(f"the {name}_dataloader of the module returns {len(loader)} loaders; expected one")
        return loader[0] if loader else None
    return loader
