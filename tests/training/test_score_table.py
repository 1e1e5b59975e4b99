"""The table of results: how sure, what chance gives, and what the curves are drawn over."""

import math

from zoo.evaluation.score_table import table
from zoo.evaluation.scoring import charts
from zoo.metrics.result import Result


def lines(*results):
    return {row.name: row for row in table({r.name: r for r in results})}


def test_intervals_stand_in_brackets_and_of_read_outs_on_lines_of_their_own():
    more = {"soft": 0.45, "coverage": 0.1, "soft low": 0.36, "soft high": 0.555, "consistency low": 10.1}
    found = lines(Result("consistency", 22.4, "huang2023-v2", 359, more=more | {"consistency high": 36.8}))
    assert found["consistency"].value == "22.4 [10.1, 36.8]"
    assert found["· soft"].value == "0.45 [0.36, 0.555]"
    assert list(found) == ["consistency", "· soft"]


def test_a_score_above_chance_says_what_was_found_and_what_chance_gives():
    more = {"soft": 0.45, "soft chance": 0.451, "soft p": 0.52}
    row = lines(Result("consistency above chance (permute)", -0.001, "x/above-permute", 9, more=more)).popitem()[1]
    assert row.note == "1 is perfect, 0 what chance gives; soft 0.45, by chance 0.451 (p 0.52)"


def test_meanings_know_names_that_begin_like_a_score_and_chance_where_it_is_measured():
    shift = lines(Result("stability_shift", 80.0, "zoo-stability-v1/shift", 9))["stability shift"]
    assert shift.note == "per cent of explanations that name the same parts after the change"
    purity = lines(Result("purity", 0.5, "pipnet2023-purity", 9, more={"random": 0.055}))["purity"]
    assert purity.note.endswith("; by chance 0.055")
    road = lines(Result("road", 0.2, "rong2022-v1", 9, more={"random": 0.97}))["road"]
    assert "0.97" not in road.note
    assert lines(Result("mine", None, "p", note="n/a: no units"))["mine"].value == "n/a: no units"


def test_curves_are_drawn_over_what_they_are_over():
    two = {"morf_curve": [1.0, 0.5], "lerf_curve": [1.0, 0.9]}
    road, mine = Result("road", 0.2, "rong2022-v1/share0.1", 9, curves=two), Result("mine", 1.0, "p", curves=two)
    broken = Result("interventions", 1.0, "zoo-interventions-v1", curves={"a": [math.nan, 1.0], "b": [1.0]})
    found = charts({r.name: r for r in (road, mine, broken)})
    assert [(c.title, c.x) for c in found] == [
        ("road: accuracy", "steps of more pixels imputed"),
        ("mine: value", "steps"),
    ]
    assert broken.to_json()["curves"]["a"] == [None, 1.0]
