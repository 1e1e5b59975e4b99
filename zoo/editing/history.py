"""The history of an edited model: every operation with its note, and the values before it, for an exact undo."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.config.plain_yaml import from_config_yaml, to_config_yaml
from zoo.editing.edit_file import MAX_BYTES, Edit
from zoo.editing.state import EditState
from zoo.weights.integrity import bits

FILE = "edits.yaml"
VALUES = "edits.safetensors"  # values before the edits, and the files of the checkpoint before the first
FORMAT = 1
INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by size, to compare bits


@dataclass(frozen=True)
class Step:
    """One edit that was applied.

    Attributes:
        edit: with the resolved name of its unit.
        weights: hash of the tensors after it.
        before: names and limits before it.
        values: tensors by name: the changed entries before it, as ``index`` and ``value``, or the ``whole`` tensor.
    """

    edit: Edit
    weights: str
    before: EditState
    values: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """All edits of a model since it was trained.

    Attributes:
        model: name of the checkpoint that was edited.
        weights: hash of its tensors.
        steps: in order.
        state: names and limits now.
        files: the files of that checkpoint that an edit replaces, by name; None for one that it did not have.
    """

    model: str
    weights: str
    state: EditState
    steps: tuple[Step, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.steps)

    def lines(self) -> list[str]:
        """Return one line for each edit: number, operation, and the note."""
        lines = []
        for n, step in enumerate(self.steps, 1):
            edit = step.edit
            note = ", ".join(part for part in (edit.who, edit.when) if part)
            lines.append(f"{n}. {edit}{f': {edit.why}' if edit.why else ''}{f' ({note})' if note else ''}")
        return lines

    def to_files(self) -> dict[str, bytes]:
        """Return the contents of ``edits.yaml`` and ``edits.safetensors``."""
        from safetensors.torch import save

        tensors = {
            f"{n}/{name}/{part}": value.contiguous()
            for n, step in enumerate(self.steps)
            for name, parts in step.values.items()
            for part, value in parts.items()
        }
        for name, content in self.files.items():
            tensors[f"file/{name}"] = torch.frombuffer(bytearray(content or b"\0"), dtype=torch.uint8)
        values = save(tensors)
        steps = [{"weights": step.weights, "before": step.before.to_config()} for step in self.steps]
        own = {
            "format": FORMAT,
            "values": hashlib.sha256(values).hexdigest(),
            "state": self.state.to_config(),
            "steps": steps,
        }
        edits = [step.edit.to_config() for step in self.steps]
        text = to_config_yaml({"model": self.model, "weights": self.weights, "edits": edits, "history": own})
        return {FILE: text.encode("utf-8", "surrogatepass"), VALUES: values}

    @classmethod
    def load(cls, folder: Path) -> History | None:
        """Return the history in the folder of a checkpoint; None if the model was never edited.

        Raises:
            ValueError: if a file is missing or damaged.
        """
        file = folder / FILE
        if not file.is_file():
            return None
        try:
            if file.stat().st_size > MAX_BYTES:
                raise ValueError(f"it has {file.stat().st_size} bytes; expected at most {MAX_BYTES}")
            return _history(from_config_yaml(file.read_text(encoding="utf-8"), str(file)), folder / VALUES)
        except (OSError, UnicodeDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{file} is no whole history of edits: {' '.join(str(error).split())}") from error


def _history(content: Any, values: Path) -> History:
    from safetensors.torch import load

    own = content["history"]
    if own.get("format") != FORMAT:
        raise ValueError(f"its format is {own.get('format')!r}; expected {FORMAT}, update zoo")
    raw = values.read_bytes()
    if hashlib.sha256(raw).hexdigest() != own["values"]:
        raise ValueError(f"{values.name} is damaged: its SHA-256 is another one; restore it from a copy")
    tensors = load(raw)
    files = {name.removeprefix("file/"): _bytes(value) for name, value in tensors.items() if name.startswith("file/")}
    edits, steps = content["edits"], own["steps"]
    parts: list[dict[str, dict[str, Tensor]]] = [{} for _ in steps]
    for name, value in tensors.items():
        number, _, rest = name.partition("/")
        key, _, part = rest.rpartition("/")
        if number != "file":
            parts[int(number)].setdefault(key, {})[part] = value
    read = tuple(
        Step(Edit.read(edit), str(step["weights"]), EditState.from_config(step["before"]), part)
        for edit, step, part in zip(edits, steps, parts, strict=True)
    )
    return History(str(content["model"]), str(content["weights"]), EditState.from_config(own["state"]), read, files)


def _bytes(value: Tensor) -> bytes:
    content = bits(value).numpy().tobytes()
    return b"" if content == b"\0" else content


def changed_values(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return what differs, bit by bit, as it was before: entries as ``index`` and ``value``, or the ``whole`` tensor.

    Example:
        >>> old, new = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([-0.0, 1.0, 2.0])
        >>> {name: part.tolist() for name, part in changed_values({"a": old}, {"a": new})["a"].items()}
        {'index': [0], 'value': [0.0]}
    """
    changed = {}
    for name, old in before.items():
        new = after[name]
        if old.shape != new.shape or old.dtype != new.dtype:
            changed[name] = {"whole": old.clone()}
            continue
        integers = INTEGERS[old.element_size()]
        flat = old.contiguous().reshape(-1)
        differs = flat.view(integers) != new.contiguous().reshape(-1).view(integers)
        index = differs.nonzero()[:, 0]
        if len(index) > len(flat) // 2:
            changed[name] = {"whole": old.clone()}
        elif len(index):
            changed[name] = {"index": index, "value": flat[index].clone()}
    return changed


def restored(after: Mapping[str, Tensor], changed: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the tensors before, from those after and what ``changed_values`` returned.

    Raises:
        ValueError: if an entry does not fit a tensor.
    """
    state = {name: value.clone() for name, value in after.items()}
    for name, parts in changed.items():
        if name not in state or set(parts) not in ({"whole"}, {"index", "value"}):
            raise ValueError(f"the values before an edit of tensor {name!r} do not fit the model; restore the files")
        if "whole" in parts:
            state[name] = parts["whole"].clone()
            continue
        flat = state[name].contiguous().reshape(-1)
        index, value = parts["index"], parts["value"]
        fits = index.ndim == 1 and value.shape == index.shape and value.dtype == flat.dtype
        if not fits or (len(index) and not 0 <= int(index.min()) <= int(index.max()) < len(flat)):
            raise ValueError(f"the values before an edit of tensor {name!r} do not fit the model; restore the files")
        flat[index] = value
        state[name] = flat.view(after[name].shape)
    return state


def without_last(history: History, count: int) -> History | None:
    """Return the history without its last ``count`` edits; None if none is left."""
    rest = history.steps[: len(history.steps) - count]
    return replace(history, steps=rest, state=history.steps[len(rest)].before) if rest else None
