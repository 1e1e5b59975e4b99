"""Numbers and dates in text: each notation is read in one way, or refused as ambiguous."""

import math
import random

import numpy as np
import pytest

from zoo.inputs.tables.notation import (
    PLAIN,
    Ambiguous,
    Notation,
    find_date_format,
    find_notation,
    find_unit,
    notation_from,
    parse_date,
    show_date,
)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("3", 3),
        ("-1.5", -1.5),
        ("+2", 2),
        (".5", 0.5),
        ("5.", 5),
        ("1e3", 1000),
        ("1E-2", 0.01),
        ("\u22123.5", -3.5),
        (" 7 ", 7),
        ("007", 7),
    ],
)
def test_plain_numbers(cell, value):
    assert PLAIN.parse(cell) == value


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "a",
        "1_000",
        "1,5",
        "1,000",
        "inf",
        "-Infinity",
        "nan",
        "1e39",
        "0x10",
        "1 2",
        "--1",
        "1e",
        "\u0661",
        "12 mg",
        "(5)",
        "1/2",
        ".",
    ],
)
def test_not_plain_numbers(cell):
    assert math.isnan(PLAIN.parse(cell))


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["2,041", "0,418"], [2.041, 0.418]),  # 0,418 proves a decimal comma
        (["-2,556", "-0,568", "3"], [-2.556, -0.568, 3]),
        (["1,5", "2,25"], [1.5, 2.25]),
        (["1,234,567", "17,390", "5"], [1234567, 17390, 5]),  # two groups prove a thousands separator
        (["1,234.5", "12", "999"], [1234.5, 12, 999]),
        (["1.234.567", "2.041"], [1234567, 2041]),
        (["1.234,5", "0,5"], [1234.5, 0.5]),
        (["12 500", "3"], [12500, 3]),
        (["12\u00a0500", "1\u202f000\u202f000"], [12500, 1000000]),
        (["12'500,5", "3"], [12500.5, 3]),
        (["16%", "1%", "0.5 %"], [16, 1, 0.5]),
        (["1.5", "-2", "1e3"], [1.5, -2, 1000]),
    ],
)
def test_found_notation(cells, values):
    notation = find_notation(cells)
    assert [notation.parse(cell) for cell in cells] == values
    assert notation_from(notation.to_config()) == notation


@pytest.mark.parametrize(
    "cells",
    [["17,390"], ["1,500", "12"], ["1,500", "2,500", "999"], ["1,5", "1.5"], ["1,234.5", "1.234,5"], ["12,5", "1.5"]],
)
def test_ambiguous_numbers_are_refused(cells):
    with pytest.raises(Ambiguous) as error:
        find_notation(cells)
    assert error.value.cell in cells
    assert "declare" in str(error.value) or "in the same way" in str(error.value)


@pytest.mark.parametrize("cells", [["a", "1,5"], ["12 mg"], ["16%", "20"], ["1_000"], ["2020-01-01"], ["1,23,4"]])
def test_no_notation(cells):
    assert find_notation(cells) is None


def test_units():
    assert find_unit(["12 mg", "3mg", "4"]) == "mg"
    assert find_unit(["$12", "$1,000", "x"]) == "$"
    assert find_unit(["1st", "2nd", "3rd"]) == ""
    assert find_unit(["red", "green"]) == ""
    assert Notation(unit="mg").parse("12 mg") == 12
    assert Notation(unit="$", thousands=",").parse("$1,200") == 1200
    assert math.isnan(Notation(unit="mg").parse("12"))
    assert math.isnan(Notation(unit="mg").parse("12 kg"))


def test_wrong_notation():
    with pytest.raises(ValueError, match="decimal mark is ';'"):
        Notation(decimal=";")
    with pytest.raises(ValueError, match="thousands separator is ','"):
        Notation(decimal=",", thousands=",")
    with pytest.raises(ValueError, match="expected decimal, thousands, unit"):
        notation_from({"comma": ","})


@pytest.mark.parametrize(
    ("cells", "date_format", "days"),
    [
        (["1970-01-02", "1969-12-31"], "%Y-%m-%d", [1, -1]),
        (["1970/01/11"], "%Y/%m/%d", [10]),
        (["02.01.1970", "31.12.1969"], "%d.%m.%Y", [1, -1]),
        (["02/01/1970", "31/12/1969"], "%d/%m/%Y", [1, -1]),  # 31 cannot be a month
        (["01/02/1970", "12/31/1969"], "%m/%d/%Y", [1, -1]),
        (["1970-01-02 12:00", "1970-01-03 00:00"], "%Y-%m-%d %H:%M", [1.5, 2]),
        (["1970-01-02T06:00:00"], "%Y-%m-%dT%H:%M:%S", [1.25]),
    ],
)
def test_dates(cells, date_format, days):
    assert find_date_format(cells) == date_format
    assert [parse_date(cell, date_format) for cell in cells] == days
    assert [show_date(day, date_format) for day in days] == cells


def test_day_and_month_that_can_be_exchanged_are_refused():
    with pytest.raises(Ambiguous, match=r"'03/04/2021' may be day or month first; declare data.dates"):
        find_date_format(["03/04/2021", "05/06/2021"])


@pytest.mark.parametrize("cells", [["2021-13-01"], ["2021-02-30"], ["5"], ["a"], [], ["2021-01-01", "x"]])
def test_no_dates(cells):
    assert find_date_format(cells) is None


def test_many_at_once_are_as_one_by_one():
    rng = random.Random(0)
    for notation in (PLAIN, Notation(","), Notation(".", ","), Notation(unit="%")):
        for characters in ("0123456789.+-eE", "019.,-%e ", "12e+-.Einfa_"):
            cells = ["".join(rng.choices(characters, k=rng.randrange(1, 6))) for _ in range(200)]
            np.testing.assert_array_equal(notation.parse_many(cells), [notation.parse(cell) for cell in cells])
            for cell in cells:
                np.testing.assert_array_equal(notation.parse_many([cell]), [notation.parse(cell)])
