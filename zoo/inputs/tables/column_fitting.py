"""What the training cells of a column fix: its kind by fixed rules or declared, its levels and statistics."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import pandas as pd

from zoo.inputs.labels import label_key
from zoo.inputs.tables.cells import Cells, as_text
from zoo.inputs.tables.columns import PROBABILITIES, Column, Kind, Policy
from zoo.inputs.tables.notation import (
    PLAIN,
    Ambiguous,
    Notation,
    find_date_format,
    find_notation,
    find_unit,
)

PAIRS = (("false", "true"), ("0", "1"), ("no", "yes"), ("f", "t"), ("n", "y"))  # of booleans, in any case
MAX_LEVELS = 50  # of a category whose levels are not declared; further ones are pooled in *other*
MANY = 20  # rows from which a column with a different value in each is an identifier


class LeftOut(ValueError):
    """The reason why a column is no input."""


@dataclass(frozen=True)
class Declared:
    """What a user declares about a column; None and empty for what is found from its cells."""

    kind: Kind | None = None
    levels: tuple[str, ...] = ()
    notation: Notation | None = None
    date_format: str = ""
    policy: Policy = "indicator"
    chosen: bool = False


def fit_column(name: str, cells: Cells, declared: Declared, markers: frozenset[str]) -> Column:
    """Return what the training cells of a column fix.

    Args:
        name: the column.
        cells: the training split.
        declared: what the user says about it.
        markers: cells that mean that the value is missing.

    Raises:
        LeftOut: if the column cannot be an input and was not chosen by the user.
        ValueError: if a cell does not fit the kind, or the kind is ambiguous; line and column are named.
    """
    raw = cells.columns[name]
    text = as_text(raw)
    codes, different = pd.factorize(text)
    count = np.bincount(codes[codes >= 0], minlength=len(different))
    known = {cell: int(n) for cell, n in zip(different, count, strict=True) if cell not in markers}
    where = f"{cells.source}, column {name!r}"
    if not known:
        raise LeftOut("no training row has a value")
    missing = len(cells) - sum(known.values())
    base: dict[str, Any] = {"name": name, "rows": len(cells), "missing": missing, "policy": declared.policy}
    base["examples"] = tuple(list(known)[:3])
    if missing and declared.policy == "refuse":
        i = next(i for i, cell in enumerate(text) if cell is None or cell in markers)
        raise ValueError(f"{cells.at(i, name)}: the cell is missing, and data.missing_policy is refuse; fill it in")
    try:
        kind, more = _kind_of(name, known, declared, typed=raw.dtype != object)
    except Ambiguous as error:
        i = next(i for i, cell in enumerate(text) if cell == error.cell)
        raise ValueError(f"{cells.at(i, name)}: {error}") from error
    column = Column(kind=kind, **base, **more)
    values, bad = column.parse(raw, markers)
    if bad.any():
        i = int(bad.argmax())
        raise ValueError(f"{cells.at(i, name)}: {column.why_bad(text[i])}")
    if len(known) == 1 and not missing:
        raise LeftOut(f"the same in every training row: {next(iter(known))!r}")
    if not declared.chosen and declared.kind is None:
        _refuse_identifier(column, known, len(cells))
    if column.kind == "category":
        return _with_levels(column, known, declared, where)
    if column.kind == "ordinal" and (values == len(column.levels)).any():
        i = int((values == len(column.levels)).argmax())
        raise ValueError(f"{cells.at(i, name)}: {text[i]!r} is none of the levels {', '.join(column.levels)}")
    return _with_statistics(column, values)


def _kind_of(name: str, known: Mapping[str, int], declared: Declared, *, typed: bool) -> tuple[Kind, dict[str, Any]]:
    """The kind of a column and the fields that go with it."""
    kind = declared.kind
    if kind == "ordinal":
        if len(declared.levels) < 2:
            raise ValueError(f"column {name!r} is declared ordinal; give its levels in order in data.levels")
        return kind, {"levels": declared.levels}
    if kind == "category" or (declared.levels and kind is None):
        return "category", {}
    pair = _truth_words(known)
    if kind == "boolean" and pair is None:
        raise ValueError(f"column {name!r} is declared boolean and holds {', '.join(map(repr, list(known)[:4]))}")
    if pair is not None and kind in (None, "boolean"):
        return "boolean", {"levels": pair}
    if kind == "date" or declared.date_format:
        date_format = declared.date_format or find_date_format(known)
        if date_format is None:
            raise ValueError(f"column {name!r} is declared a date; give its format in data.dates, such as '%Y-%m-%d'")
        return "date", {"date_format": date_format}
    if typed:
        return "number", {}
    if declared.notation and not np.isnan(declared.notation.parse_many(list(known))).any():
        return "number", {"notation": declared.notation}
    if (notation := find_notation(known)) is not None:
        return "number", {"notation": notation}
    styles = [PLAIN, declared.notation] if declared.notation else [PLAIN]
    numbers = {cell for cell in known if any(not math.isnan(style.parse(cell)) for style in styles)}
    if kind == "number":
        bad = next(cell for cell in known if cell not in numbers)
        raise Ambiguous(
            bad, f"{bad!r} is not a number; correct it, or declare how numbers are written in data.notation"
        )
    if (date_format := find_date_format(known)) is not None:
        return "date", {"date_format": date_format}
    if unit := find_unit(known):
        bad = next(cell for cell in known if unit in cell)
        raise Ambiguous(
            bad,
            f"{bad!r} is a number with the unit {unit!r}; write the number alone, declare data.units={{{name}: {unit}}}"
            f" or data.kinds={{{name}: category}}",
        )
    share = sum(known[cell] for cell in numbers) / sum(known.values())
    if share > 0.9 or (len(numbers) > 10 and share > 0.5):
        bad = next(cell for cell in known if cell not in numbers)
        raise Ambiguous(
            bad,
            f"{bad!r} is not a number, unlike most cells of the column; correct it, list it in data.missing where it"
            f" means missing, or declare data.kinds={{{name}: category}}",
        )
    return "category", {}


def _truth_words(known: Mapping[str, int]) -> tuple[str, str] | None:
    """The words for false and true, in their most frequent spelling; None if the cells are not one pair of words."""
    lowered = {cell.lower() for cell in known}
    for pair in PAIRS:
        if lowered == set(pair) or {label_key(cell).lower() for cell in known} == set(pair):
            of = {word: [c for c in known if label_key(c).lower() == word] for word in pair}
            low, high = (max(of[word], key=lambda cell: known[cell]) for word in pair)
            return low, high
    return None


def _refuse_identifier(column: Column, known: Mapping[str, int], rows: int) -> None:
    """Leave out texts that name their rows; a counter is pointed out, see ``TableSchema.notes``."""
    all_different = len(known) == sum(known.values()) and rows >= MANY
    if column.kind == "category" and all_different:
        raise LeftOut(f"an identifier or free text: {len(known)} different texts in {rows} rows")
    if column.kind == "category" and len(known) > MAX_LEVELS and len(known) > rows / 2:
        raise LeftOut(f"free text: {len(known)} different texts in {rows} rows")


def _with_levels(column: Column, known: Mapping[str, int], declared: Declared, where: str) -> Column:
    """A category with its levels: the declared ones, or those that are frequent enough."""
    spelling: dict[str, str] = {}
    count: dict[str, int] = {}
    for cell in sorted(known, key=lambda cell: -known[cell]):
        key = label_key(cell)
        spelling.setdefault(key, unicodedata.normalize("NFC", cell))
        count[key] = count.get(key, 0) + known[cell]
    if declared.levels:
        keys = [label_key(level) for level in declared.levels]
        spelling = dict(zip(keys, declared.levels, strict=True))
    else:
        rare = max(1, min(10, column.rows // 100))
        keys = [key for key in sorted(count, key=lambda key: (-count[key], key)) if count[key] >= rare][:MAX_LEVELS]
        if not keys:
            raise LeftOut(f"free text: each of its {len(count)} texts is in fewer than {rare} rows")
    counts = tuple(count.get(key, 0) for key in keys)
    other = sum(count.values()) - sum(counts)
    return replace(column, levels=tuple(spelling[key] for key in keys), counts=counts, other=other)


def _with_statistics(column: Column, values: np.ndarray) -> Column:
    known = values[~np.isnan(values)]
    varies = bool(known.min() < known.max())  # by rounding, the std of a constant may be above 0
    more: dict[str, Any] = {
        "mean": float(known.mean()) if varies else float(known[0]),
        "std": float(known.std()) if varies else 1.0,
        "median": float(np.median(known)),
        "quantiles": tuple(np.quantile(known, PROBABILITIES).tolist()),
    }
    if column.has_levels:
        more["counts"] = tuple(np.bincount(known.astype(int), minlength=len(column.levels)).tolist())
    return replace(column, **more)


def declared_from(
    name: str,
    *,
    kinds: Mapping[str, str],
    levels: Mapping[str, Sequence[str]],
    units: Mapping[str, str],
    dates: Mapping[str, str],
    policy: str | Mapping[str, str],
    decimal: str,
    thousands: str,
    chosen: bool,
) -> Declared:
    """Return what the arguments of a table declare about one column."""
    kind = kinds.get(name)
    order = tuple(str(level) for level in levels.get(name, ()))
    special = bool(decimal or thousands or name in units)
    notation = Notation(decimal or ".", thousands, units.get(name, "")) if special else None
    one = policy if isinstance(policy, str) else policy.get(name, "indicator")
    if kind is not None and kind not in get_args(Kind):
        raise ValueError(f"data.kinds.{name} is {kind!r}; expected one of {', '.join(get_args(Kind))}")
    if one not in get_args(Policy):
        raise ValueError(f"data.missing_policy is {one!r}; expected indicator or refuse")
    return Declared(kind, order, notation, dates.get(name, ""), one, chosen)  # pyright: ignore[reportArgumentType]
