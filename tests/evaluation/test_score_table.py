"""Results as rows: intervals, titles and meanings, scores that do not apply, and the axes of curves."""

import math

from zoo.evaluation.score_table import applicable, charts, stored_rows, table
from zoo.explanation import Units
from zoo.metrics.score_result import Result
from zoo.metrics.suite import Suite
from zoo.reporting.context import ScoreRow


def lines(*results):
    return {row.name: row for row in table({r.name: r for r in results})}


def test_intervals_are_in_brackets_and_of_readouts_in_rows_of_their_own():
    more = {"soft": 0.45, "coverage": 0.1, "soft low": 0.36, "soft high": 0.555, "consistency low": 10.1}
    result = lines(Result("consistency", 22.4, "huang2023-v2", 359, more=more | {"consistency high": 36.8}))
    assert result["consistency"].value == "22.4 [10.1, 36.8]"
    assert result["· soft"].value == "0.45 [0.36, 0.555]"
    assert list(result) == ["consistency", "· soft"]


def test_title_meaning_and_unit_are_those_of_the_result():
    result = lines(
        Result("stability_shift", 80.0, "p", 9, title="Stability shift", meaning="share of matches", unit="%")
    )
    row = result["Stability shift"]
    assert (row.value, row.note) == ("80 %", "share of matches")
    assert lines(Result("own_metric", 1.0, "p"))["own metric"].note == ""
    assert lines(Result("a", 1.0, "p", note="not finite", meaning="m"))["a"].note == "not finite"
    assert lines(Result("mine", None, "p", note="n/a: no units", meaning="m"))["mine"].value == "n/a: no units"


def test_every_shipped_suite_has_a_title_and_a_meaning_for_each_row():
    for suite in ("quick", "full"):
        for row in table(Suite(suite, Units("prototype", ["a", "b"]), ["head"], control=True).compute()):
            assert row.name[0] == row.name[0].upper(), row
            assert row.note, row


def test_scores_that_do_not_apply_are_one_line():
    rows = lines(
        Result("a", 1.0, "p"),
        Result("b", None, "p", note="n/a: no parts"),
        Result("c", None, "p", note="n/a: no concepts"),
        Result("d", None, "p", note="n/a: no parts"),
    ).values()
    kept, line = applicable(list(rows))
    assert [row.name for row in kept] == ["a"]
    assert line == "3 scores do not apply: no parts (2), no concepts (1)"
    assert applicable(kept) == (kept, "")


def test_stored_scores_are_the_rows_of_a_checkpoint():
    stored = {name: Result(name, v, "p", note=n).to_json() for name, v, n in (("a_b", 0.5, "x"), ("c", None, "n/a: y"))}
    assert stored_rows({"scores": stored}) == [ScoreRow("a b", "0.5", "p", "x"), ScoreRow("c", "n/a: y", "p", "")]
    assert stored_rows({}) == []


def test_intervals_of_detailed_scores_stand_beside_their_value():
    ends = {"area low": 0.8, "area high": 1.0, "none low": 0.4, "none high": 0.6}
    result = Result("interventions", 0.9, "p", 9, more={"none": 0.5, "all": 0.9} | ends, details=True)
    rows = table({"interventions": result})
    assert [row.name for row in rows] == ["interventions", "· none", "· all"]
    assert [row.value for row in rows] == ["0.9 [0.8, 1]", "0.5 [0.4, 0.6]", "0.9"]


def test_curves_are_drawn_over_the_axes_of_their_result():
    two = {"morf": [1.0, 0.5], "lerf": [1.0, 0.9]}
    axes = dict.fromkeys(two, ("steps", "accuracy"))
    road = Result("road", 0.2, "rong2022-v1/share0.1", 9, curves=two, axes=axes, title="ROAD")
    mine = Result("mine", 1.0, "p", curves=two)
    mixed = Result("mixed", 1.0, "p", curves=two, axes={"morf": ("x", "y"), "lerf": ("s", "t")})
    broken = Result("interventions", 1.0, "zoo-interventions-v1", curves={"a": [math.nan, 1.0], "b": [1.0]})
    result = charts({r.name: r for r in (road, mine, mixed, broken)})
    assert [(c.title, c.x, len(c.lines)) for c in result] == [
        ("ROAD: accuracy", "steps", 2),
        ("mine: value", "step", 2),
        ("mixed: y", "x", 1),
        ("mixed: t", "s", 1),
    ]
    assert broken.to_json()["curves"]["a"] == [None, 1.0]
