"""Texts under colour: what is marked, how strongly, and that a page is safe and complete."""

import re

import pytest
import torch

from zoo.explanation import Explanation, Units
from zoo.report.page import page
from zoo.report.tokens import Span, spans


def test_spans():
    found = spans(["a", "b ", "c", "\n", "d"], torch.tensor([0.0, 0.001, -2.0, 1.0, 0.0, 9.0]))
    assert [s.text for s in found] == ["ab ", "c", "⏎\n", "d"]
    assert [(s.level, s.side) for s in found] == [(0, "for"), (1.0, "against"), (round(0.5**0.7, 3), "for"), (0, "for")]
    assert found[1].amount == "−2"
    assert spans(["a", "b"]) == [Span("ab")]
    assert spans(["a", "b"], torch.zeros(2)) == [Span("ab")]
    for bad in (torch.zeros(1), torch.zeros(2, 2)):
        with pytest.raises(ValueError, match="one number for each of 2 tokens"):
            spans(["a", "b"], bad)


def test_page(tmp_path):
    where = torch.zeros(1, 2, 4)
    where[0, 0, 1], where[0, 1, 2] = 1, -0.5
    told = Explanation(
        Units("neuron", ["L0.N0", "L0.N1"]), torch.tensor([[1.0, 0.0]]), torch.tensor([0]), torch.tensor([[0.3, 0.1]]),
        torch.tensor([[0.4, 0.2]]), torch.tensor([0.4]), torch.tensor([[0, 1]]), where,
    )  # fmt: skip
    args = {"title": "t", "explanation": told, "pictures": None, "class_names": [" ", "\n"]}
    html = page(tmp_path / "p.html", tokens=[["<b>", "x", "y"]], **args).read_text()
    assert "“␣”" in html
    assert "&lt;b&gt;" in html
    assert "<b>xy" not in html
    marks = re.findall(r'<mark class="(\w+)" style="--a:([\d.]+)" title="([^"]+)">([^<]+)</mark>', html)
    assert marks == [("for", "1.0", "1", "x"), ("against", "1.0", "−0.5", "y")]
    assert "Coloured text" in html
    with pytest.raises(ValueError, match="tokens has 2 entries; expected 1"):
        page(tmp_path / "p.html", tokens=[["x"], ["y"]], **args)
    assert "Coloured text" not in page(tmp_path / "q.html", **args).read_text()
