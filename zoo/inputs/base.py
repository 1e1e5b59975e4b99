"""The base class of all inputs, what reading returns, and the file ``inputs.yaml`` that keeps them."""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.config.plain_yaml import from_yaml, to_yaml
from zoo.inputs.texts.byte_pairs import merges_of
from zoo.paths import did_you_mean

FILE = "inputs.yaml"
TOKENIZER = "tokenizer.json"  # of byte pairs, in the format of the package tokenizers
FORMAT = 1
MAX_BYTES = 64 << 20  # of an inputs.yaml
MODULES = {
    "table": "zoo.inputs.table",
    "image": "zoo.inputs.image",
    "text": "zoo.inputs.text",
    "sentences": "zoo.inputs.sentences",
    "tokens": "zoo.inputs.tokens",
}  # kinds that travel with zoo


@dataclass(frozen=True)
class Flag:
    """A remark about one sample that was read although something about it is unusual, or that was skipped.

    Attributes:
        row: name of the sample: its line, id or file.
        column: where in the sample; empty for the whole of it.
        message: what is unusual, such as ``level 'north' was not in the training data; read as other``.
    """

    row: str
    column: str
    message: str

    def __str__(self) -> str:
        where = f"{self.row}, column {self.column!r}" if self.column else self.row
        return f"{where}: {self.message}"


@dataclass(frozen=True)
class Reading:
    """n samples as they were read.

    Attributes:
        x: ``(n, ...)`` inputs of the model.
        rows: n names of the samples: line, id or file.
        y: ``(n,)`` int64 class, ``(n,)`` float32 number or ``(n, l)`` float32 labels; None without labels.
        flags: samples that were read with a remark.
        skipped: samples that could not be read and are not among the n.
        notes: remarks about the whole, such as columns that were ignored.
        position: ``(n,)`` int64 number of each sample in the source, skipped ones counted.
    """

    x: Tensor
    rows: tuple[str, ...]
    y: Tensor | None = None
    flags: tuple[Flag, ...] = ()
    skipped: tuple[Flag, ...] = ()
    notes: tuple[str, ...] = ()
    position: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self) -> Batch:
        """Return the samples as a ``Batch`` whose index is the position in the source."""
        index = torch.arange(len(self)) if self.position is None else self.position
        return Batch(x=self.x, y=self.y, index=index)  # pyright: ignore[reportArgumentType]


class Inputs(ABC):
    """What is fixed about a model's inputs when it is trained. It is saved with the model and never fitted again.

    A subclass sets ``kind`` and is then found by it in ``inputs.yaml``.

    Attributes:
        kind: name of the kind of inputs, such as ``table``.
        class_names: names of the classes, in the order of the logits; empty for regression.
    """

    kind: ClassVar[str] = ""
    class_names: tuple[str, ...] = ()
    _kinds: ClassVar[dict[str, type[Inputs]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__dict__.get("kind"):
            Inputs._kinds[cls.kind] = cls

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of one input of the model."""

    @classmethod
    @abstractmethod
    def fit(cls, train: Any, **arguments: Any) -> Inputs:
        """Fit the inputs on the training split."""

    @abstractmethod
    def scan(
        self, raw: Any, *, labels: bool | None = None, strict: bool = False, skip: bool = False
    ) -> Iterator[Reading]:
        """Read anything that the model can answer for, piece by piece in constant memory.

        Args:
            raw: a path, a folder, a table, a picture, a text, or a list of them; see the subclass.
            labels: True to require labels, False to ignore them, None to read them where there are some.
            strict: whether what would be flagged is an error.
            skip: whether samples that cannot be read are skipped and listed instead of being an error.

        Raises:
            ValueError: if something cannot be read; file, line and column are named.
        """

    def scan_part(
        self, raw: Any, part: int, parts: int, *, strict: bool = False, skip: bool = False
    ) -> Iterator[Reading]:
        """Read one of several parts of ``raw`` without labels; together the parts have every sample once.

        Args:
            raw: as for ``scan``.
            part: number of the part, from 0.
            parts: number of parts.
            strict: as for ``scan``.
            skip: as for ``scan``.
        """
        readings = enumerate(self.scan(raw, labels=False, strict=strict, skip=skip))
        return (reading for i, reading in readings if i % parts == part)

    @abstractmethod
    def check(self, other: Any) -> None:
        """Refuse other data that do not match the model's inputs.

        Raises:
            ValueError: listing what is missing, additional or renamed.
        """

    @abstractmethod
    def show(self, x: Tensor) -> Any:
        """Return inputs ``(b, ...)`` as people see them."""

    @abstractmethod
    def describe(self) -> list[str]:
        """Return the preprocessing in words, one line for each fact, for a card and the log."""

    @abstractmethod
    def to_config(self) -> dict[str, Any]:
        """Return everything as plain values for YAML."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Mapping[str, Any]) -> Inputs:
        """Return the inputs that ``to_config`` described.

        Raises:
            ValueError: if a key or value is not understood.
        """

    def read(self, raw: Any, *, labels: bool | None = None, strict: bool = False) -> Batch:
        """Return all of ``raw`` as one batch; what is unusual about a sample is given as one warning.

        Raises:
            ValueError: as ``scan``; or if there is nothing to read.
        """
        reading = concatenate(list(self.scan(raw, labels=labels, strict=strict)))
        if reading.flags:
            first, *others = reading.flags
            warnings.warn(f"{first} (and {len(others)} more)" if others else str(first), stacklevel=2)
        for note in reading.notes:
            warnings.warn(note, stacklevel=2)
        return reading.batch()


def concatenate(readings: Sequence[Reading]) -> Reading:
    """Return the samples of several readings as one.

    Raises:
        ValueError: if there is none.
    """
    if not sum(map(len, readings)):
        raise ValueError("there is nothing to read: no sample was given")
    labels = [reading.y for reading in readings]
    starts = [0, *torch.tensor([len(r) for r in readings]).cumsum(0).tolist()]
    position = [
        torch.arange(len(r)) + start if r.position is None else r.position
        for r, start in zip(readings, starts, strict=False)
    ]
    return Reading(
        x=torch.cat([reading.x for reading in readings]),
        rows=tuple(row for reading in readings for row in reading.rows),
        y=torch.cat([y for y in labels if y is not None]) if all(y is not None for y in labels) else None,
        flags=tuple(flag for reading in readings for flag in reading.flags),
        skipped=tuple(flag for reading in readings for flag in reading.skipped),
        notes=tuple(dict.fromkeys(note for reading in readings for note in reading.notes)),
        position=torch.cat(position),
    )


def save(inputs: Inputs, folder: Path) -> Path:
    """Write ``inputs.yaml`` into a folder, whole or not at all; byte pairs beside it as ``tokenizer.json``."""
    files = {}
    config = inputs.to_config()
    tokenizer = getattr(inputs, "tokenizer", None)
    if isinstance(config.get("tokenizer"), dict) and "merges" in config["tokenizer"] and tokenizer is not None:
        files[TOKENIZER] = tokenizer.to_json()
        config["tokenizer"] = {"name": config["tokenizer"]["name"], "file": TOKENIZER}
    files[FILE] = to_yaml({"format": FORMAT, "kind": inputs.kind, **config})
    for name, text in files.items():  # inputs.yaml last: it names the others
        part = folder / f".{name}.part"
        part.write_text(text, encoding="utf-8")
        os.replace(part, folder / name)
    return folder / FILE


def load(folder: Path) -> Inputs:
    """Return the inputs that are kept in a folder.

    Raises:
        ValueError: if the file is missing, damaged, of another format or of an unknown kind.
    """
    path = folder / FILE
    config = from_yaml(_text(path), str(path))
    if not isinstance(config, dict) or config.pop("format", None) != FORMAT:
        raise ValueError(f"{path} is not an inputs file of format {FORMAT}; complete the checkpoint with `zoo migrate`")
    try:
        tokenizer = config.get("tokenizer")
        if isinstance(tokenizer, dict) and "file" in tokenizer:
            if tokenizer["file"] != TOKENIZER:
                raise ValueError(f"the tokenizer is in {tokenizer['file']!r}; expected {TOKENIZER!r}, beside this file")
            merges = merges_of(_text(folder / TOKENIZER), str(folder / TOKENIZER))
            config["tokenizer"] = {"name": tokenizer.get("name"), "merges": merges}
        return from_config(config)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path} has {path.stat().st_size} bytes; expected at most {MAX_BYTES}")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read ({error}); the checkpoint is not complete") from error


def from_config(config: Mapping[str, Any]) -> Inputs:
    """Return the inputs of a mapping with ``kind`` and what ``to_config`` of that kind gave.

    Raises:
        ValueError: if the kind is unknown or a value is not understood.
    """
    config = dict(config)
    kind = config.pop("kind", None)
    if kind in MODULES:
        import_module(MODULES[kind])
    if kind not in Inputs._kinds:
        known = sorted({*MODULES, *Inputs._kinds})
        raise ValueError(
            f"inputs are of kind {kind!r}{did_you_mean(str(kind), known)}; expected one of {', '.join(known)}"
        )
    try:
        return Inputs._kinds[kind].from_config(config)
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(f"inputs of kind {kind!r} cannot be built: {type(error).__name__} {error}") from error
