"""Parser of rows that a user writes as ``name=value,name=value``."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence

from zoo.paths import did_you_mean


def parse_assignments(text: str, names: Sequence[str], *, kind: str, expected: str = "") -> dict[str, str]:
    """Return the values by name; every name occurs at most once.

    Names and values may contain ``=``: the longest known name counts. A name with a comma is quoted together with its
    value.

    Args:
        text: the row.
        names: the known names.
        kind: what the names are, for error messages, such as ``column``.
        expected: end of the error messages.

    Raises:
        ValueError: if a name is unknown or given twice; it is named.

    Example:
        >>> parse_assignments("height=2, width=3", ["width", "height"], kind="feature")
        {'height': '2', 'width': '3'}
    """
    values: dict[str, str] = {}
    for part in next(csv.reader([text], skipinitialspace=True), []):
        name, value = _split(part, names)
        if name not in names:
            near = did_you_mean(name or part, list(names))
            raise ValueError(f"input {text!r}: {name or part!r} is not a {kind}{near}{expected}")
        if name in values:
            raise ValueError(f"input {text!r}: {kind} {name!r} is given twice{expected}")
        values[name] = value
    return values


def require_all(values: Mapping[str, str], names: Sequence[str], text: str, *, kind: str, expected: str = "") -> None:
    """Check that every name has a value.

    Raises:
        ValueError: if a name is missing; it is named.
    """
    for name in names:
        if name not in values:
            raise ValueError(f"input {text!r}: {kind} {name!r} is missing{expected}")


def _split(part: str, names: Sequence[str]) -> tuple[str, str]:
    pieces = part.split("=")
    for i in range(len(pieces) - 1, 0, -1):
        name = "=".join(pieces[:i]).strip()
        if name in names:
            return name, "=".join(pieces[i:]).strip()
    name, _, value = part.rpartition("=")
    return name.strip(), value.strip()
