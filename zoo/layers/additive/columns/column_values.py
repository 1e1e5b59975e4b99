"""Raw cells of a column as numbers or labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MISSING_MARKERS = ("", "NA", "N/A", "NaN", "nan", "?", "null", "None")


def as_numbers(values: Sequence | np.ndarray, missing: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells as float64 with NaN for missing ones, and a mask of the cells that are no number.

    Example:
        >>> as_numbers(["1", "?", "x"], ("?",))
        (array([ 1., nan, nan]), array([False, False,  True]))
    """
    array = np.asarray(values)
    if array.dtype.kind in "fiub":
        return array.astype(np.float64), np.zeros(len(array), dtype=bool)
    labels, code_of_row = as_labels(values, missing)
    numbers = np.full(len(labels), np.nan)
    unknown = np.zeros(len(labels), dtype=bool)
    for i, label in enumerate(labels):
        if label is None:
            continue
        try:
            numbers[i] = float(label)
        except ValueError:
            unknown[i] = True
        else:
            unknown[i] = np.isnan(numbers[i])
    return numbers[code_of_row], unknown[code_of_row]


def as_labels(values: Sequence | np.ndarray, missing: tuple[str, ...]) -> tuple[list[str | None], np.ndarray]:
    """Return the distinct cells as text, None for a missing one, and the position of every row among them.

    Whole floats are written without the decimal point, so that 1, 1.0 and "1" are one label; booleans are
    "False" and "True".
    """
    array = np.asarray(values)
    if array.dtype.kind in "fiub":
        distinct, code_of_row = np.unique(array, return_inverse=True)
        raw = distinct.tolist()
    else:
        plain = set(map(type, values)) <= {str, type(None)}  # no two cells of these types are equal by accident
        keys = list(values) if plain else [_key(cell) for cell in values]
        index = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        code_of_row = np.fromiter(map(index.__getitem__, keys), np.int64, len(keys))
        raw = list(index) if plain else [key[1] for key in index]
    texts = [_label(cell, missing) for cell in raw]
    labels = sorted({text for text in texts if text is not None})
    position = {label: i for i, label in enumerate(labels)}
    merged: list[str | None] = [*labels, None]
    lookup = np.asarray([len(labels) if text is None else position[text] for text in texts], dtype=np.int64)
    return merged, lookup[code_of_row]


def _key(cell) -> tuple:
    # type in the key: True, 1 and 1.0 are equal and would share an entry; NaN is never equal to itself
    return (type(cell), None if cell != cell else cell)


def _label(cell, missing: tuple[str, ...]) -> str | None:
    if cell is None or cell != cell:
        return None
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    text = str(cell).strip()
    return None if text in missing else text


def infer_kind(values: Sequence | np.ndarray, missing: tuple[str, ...] = MISSING_MARKERS) -> str:
    """Return "boolean" for two distinct values, "number" for numbers, else "category".

    Text cells count as numbers when all of them parse and more than ten are distinct.

    Example:
        >>> infer_kind(["yes", "no", None]), infer_kind([1, 2, 3]), infer_kind(["a", "b", "c"])
        ('boolean', 'number', 'category')
    """
    array = np.asarray(values)
    if array.dtype.kind == "b":
        return "boolean"
    if array.dtype.kind in "fiu":
        finite = array[~np.isnan(array)] if array.dtype.kind == "f" else array
        return "boolean" if len(np.unique(finite)) == 2 else "number"
    labels, _ = as_labels(values, missing)
    present = [label for label in labels if label is not None]
    if len(present) == 2:
        return "boolean"
    _, unknown = as_numbers(np.asarray(present, dtype=object), missing)
    return "number" if len(present) > 10 and not unknown.any() else "category"
