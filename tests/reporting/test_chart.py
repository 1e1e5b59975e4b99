"""Curves laid out: corners where they belong, and what cannot be drawn."""

import pytest

from zoo.reporting.chart import HEIGHT, WIDTH, chart


def test_points_by_hand():
    drawn = chart({"a_b": [0.0, 0.5, 1.0], "c": [1.0, 1.0, 0.0]}, title="t", x="steps")
    assert drawn.lines[0].points == f"0.0,{HEIGHT:.1f} {WIDTH / 2:.1f},{HEIGHT / 2:.1f} {WIDTH:.1f},0.0"
    assert drawn.lines[0].name == "a b"
    assert drawn.lines[1].last == "0"
    assert drawn.ticks == [(HEIGHT, "0"), (HEIGHT / 2, "0.5"), (0.0, "1")]
    assert drawn.lines[0].color != drawn.lines[1].color


def test_a_flat_curve_lies_in_the_middle():
    assert {p.split(",")[1] for p in chart({"a": [0.7] * 4}, title="", x="").lines[0].points.split()} == {
        f"{HEIGHT / 2:.1f}"
    }


def test_ten_curves_can_be_told_apart():
    lines = chart({str(i): [0, i] for i in range(10)}, title="", x="").lines
    assert len({(line.color, line.dash) for line in lines}) == 10


@pytest.mark.parametrize("curves", [{}, {"a": [1.0]}, {"a": [1.0, 2.0], "b": [1.0, 2.0, 3.0]}])
def test_refusals(curves):
    with pytest.raises(ValueError, match="points; expected the same number"):
        chart(curves, title="", x="")
