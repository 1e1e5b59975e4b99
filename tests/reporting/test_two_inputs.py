"""Two inputs side by side: the page's amounts and their differences are those of the model, in headless Chromium."""

import json

import pytest
import torch
from browser import Browser, find
from test_what_if import CONCEPTS, NAMES, inputs_of, table_model, table_page, unit_model, unit_page

from zoo.capabilities import HasAffineHead, capability
from zoo.reporting.context import BRIEF

needs_browser = pytest.mark.skipif(find() is None, reason="no Chromium here")


def rows(browser):
    """``(name of the amount, value)`` in the order of the table."""
    script = "[...document.querySelectorAll('[data-two-inputs] data')].map(e => [e.dataset.of, Number(e.value)])"
    return json.loads(browser.run(f"JSON.stringify({script})"))


def amounts(browser, side):
    return [value for name, value in rows(browser) if name.endswith(f" {side}")]


def expect_sums(browser, logits, first, second, c):
    """Rows add up to the logits of both inputs, and every difference is that of its row."""
    of = {side: amounts(browser, side) for side in ("first", "second", "difference")}
    for side, number in (("first", first), ("second", second)):
        assert of[side][-1] == pytest.approx(float(logits[number - 1, c]), abs=1e-6, rel=1e-9)
        assert sum(of[side][:-1]) == pytest.approx(of[side][-1], abs=1e-6, rel=1e-9)
    for a, b, gap in zip(of["first"], of["second"], of["difference"], strict=True):
        assert gap == pytest.approx(a - b, abs=1e-9, rel=1e-9)
    parts = [abs(value) for name, value in rows(browser) if name == "part difference"]
    assert parts == sorted(parts, reverse=True)


@needs_browser
@torch.no_grad()
def test_amounts_of_two_inputs(tmp_path):
    model = unit_model("cbm", {"concepts": CONCEPTS})
    x = inputs_of(model, 3)
    file, _ = unit_page(tmp_path, model, x, NAMES)
    logits = model(x)
    with Browser() as browser:
        browser.open(file)
        assert browser.requests == [file.as_uri()]
        expect_sums(browser, logits, 1, 2, int(logits[0].argmax()))
        browser.set('[data-input="second"]', 3)
        browser.set("[data-class]", 1)
        expect_sums(browser, logits, 1, 3, 1)
        # each amount is the change of the logit when a unit of one input takes its strength in the other
        head = capability(model, HasAffineHead).affine_head(x)
        expected = head.weight[1] * (model.explain(x[:1]).strength - model.explain(x[2:]).strength)[0]
        expected = expected[expected.abs() > 0.005]  # what prints as 0 is in the line of the others
        assert len(expected)
        found = [value for name, value in rows(browser) if name == "part difference"]
        torch.testing.assert_close(
            torch.tensor(found).double(), expected[expected.abs().argsort(descending=True)], atol=1e-6, rtol=1e-6
        )
        said = browser.run("document.querySelector('[data-difference]').textContent")
        assert ("above" in said) == (logits[0, 1] > logits[2, 1])
        browser.set('[data-input="second"]', 1)  # one input beside itself
        assert not [name for name, _ in rows(browser) if name.startswith("part")]
        assert "For both inputs" in browser.run("document.querySelector('[data-difference]').textContent")
        assert browser.run("document.querySelectorAll('[data-two-inputs] .head [id]').length") == 0
        assert not browser.errors


@needs_browser
@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize(("name", "classes"), [("additive", 3), ("additive", 0), ("scoring_card", 2)])
def test_amounts_of_two_rows(tmp_path, name, classes):
    model, x = table_model(name, classes, rows=120)
    file, _ = table_page(tmp_path, model, x)
    logits = model(x)
    with Browser() as browser:
        browser.open(file)
        target = int(logits[0].argmax())
        if classes == 2:
            target = int(model.task.answer(logits).prediction[0])
        expect_sums(browser, logits, 1, 2, target)
        browser.set('[data-input="first"]', 3)
        expect_sums(browser, logits, 3, 2, target)
        assert not browser.errors


@needs_browser
@torch.no_grad()
@pytest.mark.slow
def test_amounts_of_units_that_only_one_input_lists(tmp_path):
    """A model of many units lists few of each input; the others are in one line, and the sums stay exact."""
    model = unit_model("protopnet", {"per_class": 60, "dim": 16, "backbone_level": 2})
    x = inputs_of(model, 3)
    file, what = unit_page(tmp_path, model, x, NAMES)
    assert what.units[0].other_count
    logits = model(x)
    with Browser() as browser:
        browser.open(file)
        expect_sums(browser, logits, 1, 2, int(logits[0].argmax()))
        assert not browser.errors


@torch.no_grad()
@pytest.mark.parametrize(("count", "has"), [(1, False), (2, True), (BRIEF, True), (BRIEF + 1, False)])
def test_which_pages_have_it(tmp_path, count, has):
    model = unit_model("cbm", {"concepts": CONCEPTS})
    file, _ = unit_page(tmp_path, model, inputs_of(model, count), NAMES)
    assert ("data-two-inputs hidden>" in file.read_text(encoding="utf-8")) == has
