"""Conformance check of data sources."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from itertools import islice
from typing import Any, get_args

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.data.base import Data, SplitName
from zoo.data.split import BatchDataset, Split

SPLITS: tuple[SplitName, ...] = get_args(SplitName)


def check_data(data: Data, *, rebuild: Callable[[], Data] | None = None, samples: int = 16, workers: int = 2) -> None:
    """Check that a data source keeps the contract of ``zoo.data.base.Data``.

    - The order of samples and their augmentation depend on (seed, epoch, sample) alone: not on the batch, the global
      random state or the loader processes, and the global random state does not change.
    - Splits are disjoint and labels, concepts and images are in their ranges.
    - The fingerprint is stable, and it changes when a label or a sample does.

    Args:
        data: the source; it is read if it has not been.
        rebuild: returns a second source of the same arguments, whose fingerprint must be the same; None to skip that.
        samples: number of samples of each split that are loaded.
        workers: number of loader processes that are compared with none; 0 to skip that.

    Raises:
        AssertionError: if a check fails; the message says which, and what was expected.

    Example:
        >>> from zoo.data import create_data
        >>> check_data(create_data("toys", n_train=32, n_val=8, n_test=8), workers=0)
    """
    splits = data.splits
    _require(set(splits) == set(SPLITS), f"splits are {sorted(splits)}; expected train, val and test")
    numbers = splits["train"].y.is_floating_point() and splits["train"].y.ndim == 1  # of a regression
    _require(numbers or data.num_classes > 0, "class_names is empty; expected the name of each class")
    _require(all(isinstance(name, str) for name in data.capabilities), "capabilities are not a set of names")
    _check_disjoint(splits)
    for name in SPLITS:
        if len(splits[name]):
            _check_ranges(data, name, samples)
            _check_augmentation(data, name, samples)
            _check_order(data, name)
    if workers:
        _check_workers(data, workers)
    _check_fingerprint(data, rebuild)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _equal(a: Batch, b: Batch) -> bool:
    pairs = [(getattr(a, field.name), getattr(b, field.name)) for field in fields(Batch)]
    return all(
        (x is None and y is None)
        or (isinstance(x, Tensor) and isinstance(y, Tensor) and x.dtype == y.dtype and _same(x, y))
        for x, y in pairs
    )


def _same(x: Tensor, y: Tensor) -> bool:
    return x.shape == y.shape and torch.equal(x.isnan(), y.isnan()) and torch.equal(x.nan_to_num(), y.nan_to_num())


def _check_disjoint(splits: dict[str, Split]) -> None:
    names = [name for split in splits.values() for name in split.names]
    _require(len(set(names)) == len(names), "two samples have the same name; expected unique names over all splits")
    taken: set[tuple[int, int]] = set()  # source of pixels or tokens, and row
    for name, split in splits.items():
        if split.rows is None:
            continue
        rows = {(id(split.pixels), row) for row in split.rows.tolist()}
        common = rows & taken
        _require(not common, f"{name} shares {len(common)} rows with another split; expected disjoint splits")
        taken |= rows


def _check_ranges(data: Data, name: SplitName, samples: int) -> None:
    split = data.splits[name]
    if split.y.is_floating_point() and split.y.ndim == 1:  # of a regression
        _require(split.y.dtype == torch.float32, f"{name}: targets are {split.y.dtype}; expected float32")
        _require(bool(split.y.isfinite().all()), f"{name}: a target is not finite")
    else:
        low = int(split.y.min())
        high = int(split.y.max())
        _require(split.y.dtype == torch.int64, f"{name}: labels are {split.y.dtype}; expected int64")
        known = data.num_classes
        _require(0 <= low <= high < known, f"{name}: labels are {low} to {high}; expected {known}")
    ids = range(min(samples, len(split)))
    batch = data.samples(name, ids)
    shape = tuple(batch.x.shape)
    _require(shape == (len(ids), *data.input_shape), f"{name}: x is {shape}; expected (b, *{data.input_shape})")
    _require(batch.index.tolist() == list(ids), f"{name}: index is {batch.index.tolist()}; expected {list(ids)}")
    _require(torch.equal(batch.targets, split.y[: len(ids)]), f"{name}: labels of the batch are not those of the split")
    _check_concepts(data, name, batch)
    images = data.to_image(batch.x)
    if images is not None:
        shape = tuple(images.shape)
        _require(images.ndim == 4 and shape[:2] == (len(ids), 3), f"to_image returns {shape}; expected (b, 3, s, s)")
        _require(bool(((images >= 0) & (images <= 1)).all()), "to_image returns values outside [0, 1]")


def _check_concepts(data: Data, name: SplitName, batch: Batch) -> None:
    if data.concepts is None:
        _require(batch.concepts is None, f"{name}: batches have concepts, but data.concepts is None")
        return
    values = batch.concepts
    width = len(data.concepts)
    _require(values is not None and values.shape[1] == width, f"{name}: batches have not {width} concepts")
    assert values is not None
    number = data.concepts.columns("continuous")
    valid = values.isnan() | torch.where(number, values.isfinite(), (values == 0) | (values == 1))
    _require(bool(valid.all()), f"{name}: a concept is out of range; expected 0, 1, NaN or a finite number")


def _serve(data: Data, name: SplitName, keys: Sequence[tuple[int, int]]) -> Batch:
    dataset = data.loader(name, augment=True).dataset
    assert isinstance(dataset, BatchDataset)
    return dataset.__getitems__(keys)


def _check_augmentation(data: Data, name: SplitName, samples: int) -> None:
    keys = [(1, i) for i in range(min(samples, len(data.splits[name])))]
    state = torch.get_rng_state()
    together = _serve(data, name, keys)
    _require(torch.equal(torch.get_rng_state(), state), f"{name}: loading changes the global random state")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1234)
        reverse = _serve(data, name, keys[::-1])
    order = torch.arange(len(keys)).flip(0)
    turned = {f.name: getattr(reverse, f.name) for f in fields(Batch) if getattr(reverse, f.name) is not None}
    same = _equal(together, replace(reverse, **{key: value[order] for key, value in turned.items()}))
    _require(same, f"{name}: a sample depends on its batch or the global random state; expected on seed, epoch, index")


def _check_order(data: Data, name: SplitName) -> None:
    def order(epoch: int, shuffle: bool) -> list[Any]:
        sampler = data.loader(name, shuffle=shuffle).batch_sampler
        sampler.set_epoch(epoch)  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
        return [list(batch) for batch in sampler or []]

    plain = [index for batch in order(0, False) for _, index in batch]
    _require(plain == list(range(len(data.splits[name]))), f"{name}: the plain loader is not in order")
    with torch.random.fork_rng(devices=[]):
        first = order(3, True)
        torch.manual_seed(4321)
        again = order(3, True)
    _require(first == again, f"{name}: two loaders of one epoch have different orders")
    if len(first) > 1 and len(plain) > 16:
        indices = [[[index for _, index in batch] for batch in batches] for batches in (first, order(4, True))]
        _require(indices[0] != indices[1], f"{name}: two epochs have the same shuffled order")


def _check_workers(data: Data, workers: int) -> None:
    batches: list[list[Batch]] = []
    for count in (0, workers):
        source = copy.copy(data)
        source.workers = count
        loader = source.loader("train", augment=True, shuffle=True)
        batches.append(list(islice(loader, 2)))
    same = len(batches[0]) == len(batches[1]) and all(map(_equal, *batches))
    _require(same, f"train: batches of {workers} loader processes are not those of none")


def _check_fingerprint(data: Data, rebuild: Callable[[], Data] | None) -> None:
    own = data.fingerprint()
    _require(own == data.fingerprint(), "two fingerprints of one source differ")
    if rebuild is not None:
        _require(own == rebuild().fingerprint(), "two sources of the same arguments have different fingerprints")
    train = data.splits["train"]
    changes = {"label": replace(train, y=train.y.roll(1) + train.y.new_tensor([1] + [0] * (len(train) - 1)))}
    changes["name"] = replace(train, names=["another name", *list(train.names)[1:]])
    if train.x is not None:
        changes["input"] = replace(train, x=train.x + 1)
    for what, changed in changes.items():
        source = copy.copy(data)
        vars(source)["splits"] = {**data.splits, "train": changed}
        _require(source.fingerprint() != own, f"the fingerprint does not change with a {what} of train")
