"""Texts under color: what is marked, how strongly, and that a page is safe and complete."""

import re

import pytest
import torch

from zoo.explanation import Explanation, Units
from zoo.reporting.context import PageContext
from zoo.reporting.figures.text_figure import AGAINST, FOR, text_figure
from zoo.reporting.page import page
from zoo.reporting.token_spans import Span, spans


def test_spans():
    result = spans(["a", "b ", "c", "\n", "d"], torch.tensor([0.0, 0.001, -2.0, 1.0, 0.0, 9.0]))
    assert [s.text for s in result] == ["ab ", "c", "⏎\n", "d"]
    assert [(s.level, s.side) for s in result] == [
        (0, "for"),
        (1.0, "against"),
        (round(0.5**0.7, 3), "for"),
        (0, "for"),
    ]
    assert result[1].amount == "−2"
    assert spans(["a", "b"]) == [Span("ab")]
    assert spans(["a", "b"], torch.zeros(2)) == [Span("ab")]
    for bad in (torch.zeros(1), torch.zeros(2, 2)):
        with pytest.raises(ValueError, match="one number for each of 2 tokens"):
            spans(["a", "b"], bad)


def test_page(tmp_path):
    where = torch.zeros(1, 2, 4)
    where[0, 0, 1], where[0, 1, 2] = 1, -0.5
    explanation = Explanation(
        Units("neuron", ["L0.N0", "L0.N1"]),
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([0]),
        torch.tensor([[0.3, 0.1]]),
        torch.tensor([[0.4, 0.2]]),
        torch.tensor([0.4]),
        torch.tensor([[0, 1]]),
        where,
    )
    args = ("t", [explanation], [" ", "\n"])
    html = page(tmp_path / "p.html", PageContext(*args, tokens=[["<b>", "x", "y"]])).read_text()
    assert "“␣”" in html
    assert "&lt;b&gt;" in html
    assert "<b>xy" not in html
    marks = re.findall(r'<mark class="(\w+)" style="--a:([\d.]+)" title="([^"]+)">([^<]+)</mark>', html)
    assert marks == [("for", "1.0", "1", "x"), ("against", "1.0", "−0.5", "y")]
    assert "Colored text" in html
    with pytest.raises(ValueError, match="tokens has 2 entries; expected 1"):
        PageContext(*args, tokens=[["x"], ["y"]])
    assert "Colored text" not in page(tmp_path / "q.html", PageContext(*args)).read_text()


def test_figure():
    """The colors of a unit's line are where its evidence is, at the end of a text too long for the line."""
    where = torch.zeros(1, 1, 200)
    where[0, 0, 199], where[0, 0, 150], where[0, 0, 3] = 1, -1, 1
    explanation = Explanation(
        Units("neuron", ["L0.N0"]),
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([0]),
        torch.tensor([[0.3]]),
        torch.tensor([[0.4]]),
        torch.tensor([0.6]),
        torch.tensor([[0]]),
        where,
    )
    drawn = text_figure(explanation, 0, ["a"] * 200, class_names=["x", "y"], notes={0: "after “a”"})
    result = {c: n for n, c in drawn.getcolors(1 << 16)}
    tint = lambda full: tuple(round(255 + 0.62 * (c - 255)) for c in full)  # noqa: E731
    assert result[tint(FOR)] > 50  # once: the other one is beyond the line
    assert abs(result[tint(FOR)] / result[tint(AGAINST)] - 1) < 0.2
    plain = text_figure(explanation, 0, ["a"] * 20, class_names=["x", "y"], count=0)
    assert plain.height < drawn.height
