"""Edits as mappings and as a YAML file, read strictly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.config.plain_yaml import from_config_yaml
from zoo.paths import did_you_mean

NOTES = ("why", "who", "when")
TOP = ("model", "weights", "edits", "history")
MIN_DIGITS = 12  # of a hash
MAX_BYTES = 64 << 20  # of a file


@dataclass(frozen=True)
class Edit:
    """One operation on a model, with a note.

    Attributes:
        operation: its name.
        unit: name or number of the unit; None for an operation without one.
        arguments: by name, as they were written.
        why: reason.
        who: did it.
        when: date or time.

    Example:
        >>> Edit.read({"operation": "rename", "unit": "wing #0", "to": "stripes", "why": "as people say"}).arguments
        {'to': 'stripes'}
    """

    operation: str
    unit: str | int | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    who: str = ""
    when: str = ""

    @classmethod
    def read(cls, values: Any) -> Edit:
        """Return the edit that a mapping describes.

        Raises:
            ValueError: if it is no mapping, its operation is missing, or a key or value is no plain one.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"it is {values!r}; expected a mapping with an operation")
        rest = dict(values)
        for key in rest:
            if not isinstance(key, str):
                raise ValueError(f"a key is {key!r}; expected a word")
        operation = rest.pop("operation", None)
        if not isinstance(operation, str) or not operation:
            near = did_you_mean("operation", [key for key in rest])
            raise ValueError(f"its operation is {operation!r}; expected its name{near}")
        unit = rest.pop("unit", None)
        if unit is not None and (isinstance(unit, bool) or not isinstance(unit, str | int) or unit == ""):
            raise ValueError(f"its unit is {unit!r}; expected a name or a number")
        notes = {key: rest.pop(key) for key in NOTES if key in rest}
        for key, note in notes.items():
            if not isinstance(note, str):
                raise ValueError(f"its {key} is {note!r}; expected a text")
        return cls(operation, unit, rest, **notes)

    def to_config(self) -> dict[str, Any]:
        """Return the mapping that ``read`` reads."""
        unit = {} if self.unit is None else {"unit": self.unit}
        notes = {key: getattr(self, key) for key in NOTES if getattr(self, key)}
        return {"operation": self.operation, **unit, **self.arguments, **notes}

    def __str__(self) -> str:
        rest = " ".join(f"{key}={value}" for key, value in self.arguments.items())
        return " ".join(part for part in (self.operation, "" if self.unit is None else str(self.unit), rest) if part)


@dataclass(frozen=True)
class EditFile:
    """A file of edits.

    Attributes:
        edits: in order.
        model: name of the checkpoint they were made for; empty if it is not said.
        weights: hash of its tensors, or the first digits; empty if it is not said.
    """

    edits: tuple[Edit, ...]
    model: str = ""
    weights: str = ""

    def check(self, weights: str, name: str, where: str) -> None:
        """Refuse a model with other tensors.

        Raises:
            ValueError: if the file names another hash.
        """
        if self.weights and not weights.startswith(self.weights):
            of = f" of {self.model!r}" if self.model else ""
            raise ValueError(
                f"{where} was made for the weights {self.weights[:12]}{of}; those of {name} are {weights[:12]}:"
                " name the model that the file was made for"
            )


def read_edit_file(file: Path) -> EditFile:
    """Read a YAML file of edits.

    Raises:
        ValueError: if it cannot be read or something in it is not understood; file, edit and key are named.
    """
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ValueError(f"{file} has {file.stat().st_size} bytes; expected at most {MAX_BYTES}")
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8; expected a file of edits") from error
    return parse_edit_file(from_config_yaml(text, str(file)), str(file))


def parse_edit_file(content: Any, where: str) -> EditFile:
    """Return the edits of the plain values of a file.

    Args:
        content: of the file.
        where: the file, for errors.

    Raises:
        ValueError: as ``read_edit_file``.

    Example:
        >>> parse_edit_file({"edits": [{"operation": "remove", "unit": "a"}]}, "edits.yaml").edits[0].unit
        'a'
    """
    if not isinstance(content, Mapping) or "edits" not in content:
        raise ValueError(f"{where} is no file of edits: expected the keys model, weights and edits")
    for key in content:
        if key not in TOP:
            raise ValueError(f"{where} has the key {key!r}{did_you_mean(str(key), list(TOP[:3]))}; expected {TOP[:3]}")
    texts = {key: content.get(key) or "" for key in ("model", "weights")}
    for key, value in texts.items():
        if not isinstance(value, str):
            raise ValueError(f"{where}: {key} is {value!r}; expected a text")
    digits = texts["weights"]
    if digits and (len(digits) < MIN_DIGITS or set(digits) - set("0123456789abcdef")):
        raise ValueError(f"{where}: weights is {digits!r}; expected the SHA-256 of the tensors, or its first digits")
    if not isinstance(content["edits"], list):
        raise ValueError(f"{where}: edits is {type(content['edits']).__name__}; expected a list of mappings")
    return EditFile(read_edits(content["edits"], where), texts["model"], texts["weights"])


def read_edits(values: Sequence[Any], where: str = "edits") -> tuple[Edit, ...]:
    """Return edits of mappings; those that are edits already stay as they are.

    Raises:
        ValueError: naming the number of the edit, from 1, and what is wrong with it.
    """
    edits = []
    for n, value in enumerate(values, 1):
        try:
            edits.append(value if isinstance(value, Edit) else Edit.read(value))
        except ValueError as error:
            raise ValueError(f"{where}: edit {n}: {error}") from error
    return tuple(edits)
