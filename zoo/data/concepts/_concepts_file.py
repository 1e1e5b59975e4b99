"""Concepts of a user's samples: a CSV file with a row for each sample and a column for each concept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from zoo.data.concepts._concept_columns import Column, Labels, encode
from zoo.inputs.images.class_folders import name_key
from zoo.inputs.tables.table_reader import read_table
from zoo.paths import did_you_mean


def read_concepts(
    path: Path,
    keys: Sequence[str],
    *,
    key_name: str = "file",
    kinds: Mapping[str, str] | None = None,
) -> Labels:
    """Return the concepts of samples from a CSV file; see ``read_columns`` and ``encode``.

    Raises:
        ValueError: if the file is missing or invalid; file, line and column are named.
    """
    return encode(read_columns(path, keys, key_name=key_name), kinds)


def read_columns(path: Path, keys: Sequence[str], *, key_name: str) -> list[Column]:
    """Return the columns of a CSV file in the order of the samples; samples without a row have empty cells.

    Args:
        path: the file; the first column holds the key of a sample, each other column a concept.
        keys: the n unique keys of the samples.
        key_name: header of the first column.

    Raises:
        ValueError: if the file is missing or invalid, or a key is unknown or occurs twice; the cell is named.
    """
    file = read_table(path, argument="data.concepts_file")
    first, *names = file.columns
    if first != key_name:
        raise ValueError(f"{path}: the first column is {first!r}; expected {key_name!r}")
    if not names:
        raise ValueError(f"{path}: no column after {key_name!r}; add one for each concept")
    place = {key: i for i, key in enumerate(keys)}
    by_file = {name_key(key): i for i, key in enumerate(keys)}
    lines = [0] * len(keys)
    order = [len(file)] * len(keys)
    for j, cell in enumerate(file.text(first)):
        i = place.get(cell, by_file.get(name_key(cell), -1))
        if i < 0:
            raise ValueError(
                f"{file.at(j, first)}: no sample {cell!r}{did_you_mean(cell, list(keys))}; correct or remove it"
            )
        if lines[i]:
            raise ValueError(f"{file.at(j, first)}: {cell!r} is already in {file.word} {lines[i]}; keep one of the two")
        lines[i] = int(file.lines[j])
        order[i] = j
    cells = {name: [*file.text(name), ""] for name in names}  # the last is for samples without a row
    return [Column(name, [cells[name][j] for j in order], lines, file) for name in names]
