"""How numbers and dates are written in a column of text, found from its cells by fixed rules or declared."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

SPACES = "\u00a0\u202f\u2009"  # no-break, narrow no-break, thin
PLAIN_CHARACTERS = b"0123456789.+-eE"
LARGEST = float(np.finfo(np.float32).max)
_MINUS = str.maketrans({"\u2212": "-", **dict.fromkeys(SPACES, " ")})
CANDIDATES = ((".", ","), (",", ""), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"), (".", "\u2019"))
DATE_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y")
TIME_FORMATS = ("", " %H:%M", " %H:%M:%S", "T%H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%S.%f")
EPOCH = dt.datetime(1970, 1, 1)


@dataclass(frozen=True)
class Notation:
    """How a column writes its numbers.

    Attributes:
        decimal: the decimal mark, ``.`` or ``,``.
        thousands: the mark between groups of three digits; empty for none.
        unit: text behind or before every number, such as ``%``, ``mg`` or ``$``; empty for none.

    >>> Notation(decimal=",", thousands=".").parse("1.234,5")
    1234.5
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""

    def __post_init__(self) -> None:
        if self.decimal not in (".", ","):
            raise ValueError(f"the decimal mark is {self.decimal!r}; expected '.' or ','")
        if self.thousands not in ("", ".", ",", " ", "'", "\u2019") or self.thousands == self.decimal:
            raise ValueError(
                f"the thousands separator is {self.thousands!r} beside the decimal mark {self.decimal!r};"
                " expected one of ',', '.', ' ', \"'\", and another than the decimal mark"
            )

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        mark, digits = re.escape(self.decimal), r"\d+"
        if self.thousands:
            digits = rf"(?:[1-9]\d{{0,2}}(?:{re.escape(self.thousands)}\d{{3}})+|\d+)"
        return re.compile(rf"[+-]?(?:{digits}(?:{mark}\d*)?|{mark}\d+)(?:[eE][+-]?\d+)?", re.ASCII)

    def parse(self, cell: str) -> float:
        """Return the number that a cell holds, NaN where it holds none that is finite in single precision."""
        text = cell.translate(_MINUS).strip()
        if self.unit:
            if text.endswith(self.unit):
                text = text[: -len(self.unit)].rstrip()
            elif text.startswith(self.unit):
                text = text[len(self.unit) :].lstrip()
            else:
                return math.nan
        if not self._pattern.fullmatch(text):
            return math.nan
        text = text.replace(self.thousands, "") if self.thousands else text
        value = float(text.replace(",", ".") if self.decimal == "," else text)
        return value if abs(value) <= LARGEST else math.nan

    def parse_many(self, cells: Sequence[str]) -> np.ndarray:
        """Return the numbers ``(n,)`` float64 that n cells hold, NaN where one holds none."""
        plain = plain_numbers(cells) if self == PLAIN else None
        return np.array([self.parse(cell) for cell in cells], np.float64) if plain is None else plain

    def __str__(self) -> str:
        parts = []
        if self.decimal != ".":
            parts.append("decimal comma")
        if self.thousands:
            parts.append(f"thousands separated by {self.thousands!r}")
        if self.unit:
            parts.append(f"in {self.unit}")
        return ", ".join(parts)

    def to_config(self) -> dict[str, str]:
        """Return the fields that differ from plain numbers."""
        plain = {"decimal": ".", "thousands": "", "unit": ""}
        return {key: getattr(self, key) for key, value in plain.items() if getattr(self, key) != value}


PLAIN = Notation()


def plain_numbers(cells: Sequence[str] | np.ndarray) -> np.ndarray | None:
    """Return the numbers ``(n,)`` float64 of n cells if all are plain numbers, NaN for those beyond single precision.

    On digits, signs, points and exponents alone, ``float`` and the pattern of ``Notation`` agree.

    Returns:
        None if a cell is missing or has another character.

    >>> plain_numbers(["1", "-2.5e3"]), plain_numbers(["1", "NA"])
    (array([ 1.0e+00, -2.5e+03]), None)
    """
    try:
        if "".join(cells).encode("ascii").translate(None, PLAIN_CHARACTERS):
            return None
        values = np.fromiter(map(float, cells), np.float64, len(cells))
    except (TypeError, ValueError):
        return None
    return np.where(np.abs(values) <= LARGEST, values, np.nan)


class Ambiguous(ValueError):
    """The cells of a column can be read in two ways; the message names one of them and the cure."""

    def __init__(self, cell: str, message: str) -> None:
        super().__init__(message)
        self.cell = cell


def find_notation(cells: Iterable[str]) -> Notation | None:
    """Return the notation in which every cell is a number; None where the cells are not all numbers.

    Plain numbers and exponents are read as they are. Other notations are accepted only where the cells leave one
    reading: ``0,5`` proves a decimal comma, ``1,234,567`` and ``1,234.5`` prove a comma between thousands, and
    ``12 500`` has one meaning. Percent signs are read where every cell has one: ``16%`` is 16.

    Args:
        cells: different cells of a column that are not missing.

    Raises:
        Ambiguous: if the cells are numbers that can be read in two ways, or in none together.
    """
    cells = list(cells)
    unit = "%" if cells and all(cell.rstrip().endswith("%") for cell in cells) else ""
    plain = Notation(unit=unit)
    is_plain = ~np.isnan(plain.parse_many(cells))
    special = [cell for cell, good in zip(cells, is_plain.tolist(), strict=True) if not good]
    if not special:
        return plain
    candidates = [Notation(decimal, thousands, unit) for decimal, thousands in CANDIDATES]
    values = {notation: [notation.parse(cell) for cell in special] for notation in candidates}
    if any(all(math.isnan(read[i]) for read in values.values()) for i in range(len(special))):
        return None
    rest = [cell for cell, good in zip(cells, is_plain.tolist(), strict=True) if good]
    fitting = [n for n, read in values.items() if not any(map(math.isnan, read)) and _all_parse(n, rest)]
    if not fitting:
        first = next(n for n in candidates if not math.isnan(n.parse(special[0])))
        other = next(cell for cell in (*special, *rest) if math.isnan(first.parse(cell)))
        message = f"{special[0]!r} and {other!r} are not in one notation; write every number in the same way"
        raise Ambiguous(other, message)
    for i, cell in enumerate(special):
        if len({values[notation][i] for notation in fitting}) > 1:
            readings = " or ".join(f"{value:.10g}" for value in dict.fromkeys(values[n][i] for n in fitting))
            message = f"{cell!r} may be {readings}; declare data.thousands=',' or data.decimal=','"
            raise Ambiguous(cell, message)
    return fitting[0]


def _all_parse(notation: Notation, cells: list[str]) -> bool:
    return not any(math.isnan(notation.parse(cell)) for cell in cells)


def find_unit(cells: Iterable[str]) -> str:
    """Return the text behind the number in most cells, such as ``mg`` of ``12 mg``; empty where there is none."""
    count: dict[str, int] = {}
    total = 0
    for cell in cells:
        total += 1
        match = re.fullmatch(r"[+-]?[\d.,' ]*\d\s*([^\d\s.,]{1,12})|([$€£¥])\s*[\d.,]+", cell.translate(_MINUS).strip())
        if match:
            unit = match[1] or match[2]
            count[unit] = count.get(unit, 0) + 1
    unit = max(count, key=count.__getitem__, default="")
    return unit if total and count.get(unit, 0) > total / 2 else ""


def find_date_format(cells: Iterable[str]) -> str | None:
    """Return the one format in which every cell is a date; None where they are no dates.

    Raises:
        Ambiguous: if days and months can be exchanged in every cell, as in 03/04/2021.
    """
    cells = list(cells)
    if not cells or not re.fullmatch(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?", cells[0].strip(), re.ASCII):
        return None
    fitting = []
    for date in DATE_FORMATS:
        for time in TIME_FORMATS:
            if all(parse_date(cell, date + time) is not None for cell in cells):
                fitting.append(date + time)
                break
    if len(fitting) > 1:
        raise Ambiguous(
            cells[0],
            f"{cells[0]!r} may be day or month first; declare data.dates={{column: '{fitting[0]}'}} or '{fitting[1]}'",
        )
    return fitting[0] if fitting else None


def parse_date(cell: str, date_format: str) -> float | None:
    """Return the days from 1970-01-01 to a date, parts of a day included; None where the cell is no such date.

    >>> parse_date("1970-01-03", "%Y-%m-%d")
    2.0
    """
    try:
        value = dt.datetime.strptime(cell.strip(), date_format)
    except ValueError:
        return None
    return (value - EPOCH) / dt.timedelta(days=1)


def show_date(days: float, date_format: str) -> str:
    """Return the text of a date that is given in days from 1970-01-01, rounded to what the format shows."""
    step = 1 if "%f" in date_format else 1_000_000 if "%S" in date_format else 60_000_000
    step = step if "%H" in date_format else 86_400_000_000
    try:
        microseconds = round(float(days) * 86_400_000_000 / step) * step
        return (EPOCH + dt.timedelta(microseconds=microseconds)).strftime(date_format)
    except (OverflowError, ValueError):
        return f"day {days:.6g}"


def notation_from(config: Mapping[str, Any] | None) -> Notation:
    """Return a notation from plain values.

    Raises:
        ValueError: if a key or a value is not known.
    """
    try:
        return Notation(**(config or {}))
    except TypeError as error:
        raise ValueError(f"a notation is {config}; expected decimal, thousands, unit") from error
