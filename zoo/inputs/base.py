"""The base class of all inputs, what reading returns, and the file ``inputs.yaml`` that keeps them."""

from __future__ import annotations

import os
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import torch
import yaml
from torch import Tensor

from zoo.batch import Batch
from zoo.paths import did_you_mean

FILE = "inputs.yaml"
FORMAT = 1
MAX_BYTES = 64 << 20  # of an inputs.yaml
ESCAPED = re.compile("[^\\x20-\\x7e\\xa0-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]|[\\u2028\\u2029\\ufeff]")
MODULES = {
    "table": "zoo.inputs.table",
    "image": "zoo.inputs.image",
    "text": "zoo.inputs.text",
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
    """Write ``inputs.yaml`` into a folder, whole or not at all."""
    path = folder / FILE
    part = path.with_name(f".{FILE}.part")
    part.write_text(to_yaml({"format": FORMAT, "kind": inputs.kind, **inputs.to_config()}), encoding="utf-8")
    os.replace(part, path)
    return path


def load(folder: Path) -> Inputs:
    """Return the inputs that are kept in a folder.

    Raises:
        ValueError: if the file is missing, damaged, of another format or of an unknown kind.
    """
    path = folder / FILE
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path} has {path.stat().st_size} bytes; expected at most {MAX_BYTES}")
        config = from_yaml(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read ({error}); the checkpoint is not complete") from error
    if not isinstance(config, dict) or config.pop("format", None) != FORMAT:
        raise ValueError(f"{path} is not an inputs file of format {FORMAT}; complete the checkpoint with `zoo migrate`")
    try:
        return from_config(config)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


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


def to_yaml(config: Mapping[str, Any]) -> str:
    """Return plain values as YAML. Any text survives: nothing is interpolated or evaluated.

    >>> print(to_yaml({"name": "${HOME}", "other": "???"}), end="")
    name: ${HOME}
    other: ???
    """
    return yaml.dump(dict(config), Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=1 << 30)


def from_yaml(text: str, where: str) -> Any:
    """Return the plain values of a YAML text; aliases, tags and keys given twice are refused.

    Args:
        text: the YAML.
        where: its file, for errors.

    Raises:
        ValueError: if it is not valid.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ValueError(f"{where} is nested too deeply; expected the file that zoo wrote") from error


class _Dumper(yaml.SafeDumper):
    """Writes every list of plain values on one line, and never an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write equal objects in full."""
        return True

    def represent_list(self, data: Iterable[Any]) -> yaml.SequenceNode:
        """A list of numbers or texts in flow style, any other in block style."""
        data = list(data)
        flow = all(isinstance(value, str | int | float | None) for value in data)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flow)

    def represent_text(self, data: str) -> yaml.Node:
        """A text, with escapes where it holds a line break or a character that is not printable."""
        return self.represent_scalar("tag:yaml.org,2002:str", data, style='"' if ESCAPED.search(data) else None)


_Dumper.add_representer(str, _Dumper.represent_text)
_Dumper.add_representer(list, _Dumper.represent_list)
_Dumper.add_representer(tuple, _Dumper.represent_list)


class _Loader(yaml.SafeLoader):
    """Refuses aliases, which can make a small file large, and keys that are given twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a node that is no alias."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.constructor.ConstructorError(None, None, "aliases are not allowed here", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        """Return a mapping whose keys are given once."""
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) < len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key is given twice", node.start_mark)
        return mapping
