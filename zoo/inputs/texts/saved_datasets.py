"""Data sets that ``datasets`` of Hugging Face has saved on this machine, read without that package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.inputs.regular_files import open_regular

STATE, INFO, SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"
PARTS = {"train": "train", "validation": "val", "valid": "val", "val": "val", "dev": "val", "test": "test"}


def is_saved_dataset(path: Path) -> bool:
    """Return whether a folder was written by ``Dataset.save_to_disk``."""
    return (path / STATE).is_file() and (path / INFO).is_file()


def split_folders(path: Path) -> dict[str, Path]:
    """Return the folders of the splits ``train``, ``val`` and ``test`` of what ``DatasetDict.save_to_disk`` wrote.

    Empty for any other folder.

    Raises:
        ValueError: if there is no split ``train``, or two have one meaning.
    """
    if not (path / SPLITS).is_file():
        return {}
    names = _json(path / SPLITS).get("splits", [])
    parts: dict[str, Path] = {}
    for name in names:
        part = PARTS.get(name)
        if part in parts:
            raise ValueError(f"{path / SPLITS} has two splits of one meaning, {', '.join(names)}; remove one")
        if part is not None:
            parts[part] = path / name
    if "train" not in parts:
        listed = ", ".join(names) or "nothing"
        raise ValueError(f"{path / SPLITS} lists {listed}; expected a split train, and perhaps validation and test")
    return parts


def read_saved_dataset(path: Path, chunk: int) -> Iterator[tuple[dict[str, list[Any]], int]]:
    """Read a saved data set piece by piece: columns, and the number of rows before them.

    Labels that are numbers with names (``ClassLabel``) are read by their names, -1 as missing.

    Raises:
        ValueError: if a file is missing or damaged, rows were selected without being written, or pyarrow is missing.
    """
    state = _json(path / STATE)
    if state.get("_indices_data_files"):
        raise ValueError(f"{path} holds a selection of rows; write it with dataset.flatten_indices().save_to_disk(...)")
    try:
        import pyarrow as pa  # pyright: ignore[reportMissingImports]
        import pyarrow.ipc as ipc  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            f"{path}: a saved data set needs the package pyarrow: pip install 'zoo-interpretable[tables]'"
        ) from error
    names = _label_names(_json(path / INFO))
    start = 0
    for entry in state.get("_data_files") or []:
        file = path / str(entry.get("filename", ""))
        try:
            with open_regular(file) as stream, ipc.open_stream(stream) as reader:
                for batch in reader:
                    for first in range(0, batch.num_rows, chunk):
                        part = batch.slice(first, chunk)
                        columns = {name: _named(part[name].to_pylist(), names.get(name)) for name in part.schema.names}
                        yield columns, start
                        start += part.num_rows
        except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
            raise ValueError(f"{file}: damaged ({' '.join(str(error).split())}); save the data set again") from error
    if not start:
        raise ValueError(f"{path} has no rows; expected one or more")


def _label_names(info: dict[str, Any]) -> dict[str, list[str]]:
    features = info.get("features") or {}
    labels = {name: f for name, f in features.items() if isinstance(f, dict) and f.get("_type") == "ClassLabel"}
    return {name: [str(label) for label in f["names"]] for name, f in labels.items() if f.get("names")}


def _named(cells: list[Any], names: list[str] | None) -> list[Any]:
    if names is None:
        return cells
    return [names[cell] if isinstance(cell, int) and 0 <= cell < len(names) else None for cell in cells]


def _json(path: Path) -> dict[str, Any]:
    try:
        with open_regular(path) as file:
            value = json.loads(file.read().decode("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}); save the data set again") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds no JSON object; save the data set again")
    return value
