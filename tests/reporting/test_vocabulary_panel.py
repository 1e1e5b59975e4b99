"""The vocabulary of a page: sorted, searched and edited in headless Chromium, and what it writes read as YAML."""

import json
from datetime import date

import pytest
import torch
import yaml
from browser import Browser, find

from zoo.explanation import Explanation, Units
from zoo.reporting.context import PageContext, UnitRow
from zoo.reporting.interactive.vocabulary import Vocabulary, VocabularyUnit
from zoo.reporting.page import page
from zoo.reporting.unit_picture import Source

NASTY = 'p "2": </script> #\u2028é \\'
VALUES = [[0.125, 0.5], [None, 0.25], [1.0, None], [0.5, 0.75]]
NAMES = ["wing #10", "wing #9", NASTY, "beak"]


def vocabulary_page(tmp_path, *, strike="remove", count=4):
    picture = Source(torch.rand(3, 16, 16), (0, 0, 6, 6), "picture 3")
    names = [*NAMES, *(f"more {i}" for i in range(count - 4))]
    values = [*VALUES, *([0.9, 0.9] for _ in range(count - 4))]
    units = [
        VocabularyUnit(name, "owl" if i else "", value, picture if i < 2 else None)
        for i, (name, value) in enumerate(zip(names, values, strict=True))
    ]
    weights = "6f1c6f0b2f6e" + "0" * 52
    vocabulary = Vocabulary(units, count, ["one part", "stable"], strike, "protopnet-birds", weights, "zoo edit x e")
    none = torch.zeros(1, count)
    explanation = Explanation(
        Units("prototype", names), torch.tensor([[0.0, 1.0]]), torch.tensor([1]), none, none, torch.ones(1), none.long()
    )
    old = [UnitRow("wing #10", "", None, ["12 %", "50 %"])]
    context = PageContext("T", [explanation], ["owl", "jay"], unit_list=vocabulary, units=old, unit_scores=["a", "b"])
    return page(tmp_path / "page.html", context)


def order(browser):
    return json.loads(
        browser.run(
            "JSON.stringify([...document.querySelectorAll('[data-vocabulary] tbody tr')]"
            ".filter(r => !r.hidden).map(r => r.dataset.unit))"
        )
    )


def test_without_a_browser(tmp_path):
    html = vocabulary_page(tmp_path).read_text(encoding="utf-8")
    assert html.count("<tr data-unit=") == 4
    assert "12 %" in html
    assert html.count("n/a") == 2
    assert html.count("</script>") == html.count("<script")
    assert "with the lowest scores</h2>" not in html
    plain = vocabulary_page(tmp_path, strike="").read_text(encoding="utf-8")
    assert "data-strike" not in plain.split("<script>")[0]
    assert "edits-file" not in plain.split("<script>")[0]


@pytest.mark.slow
@pytest.mark.skipif(find() is None, reason="no Chromium here")
def test_sort_search_edit_and_save(tmp_path):
    file = vocabulary_page(tmp_path)
    with Browser() as browser:
        browser.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "saved"))
        browser.open(file)
        sort = "[data-sort='{}'] button"
        browser.click(sort.format(0))
        assert order(browser) == ["wing #10", "beak", NASTY, "wing #9"]  # n/a comes last
        browser.click(sort.format(0))
        assert order(browser) == [NASTY, "beak", "wing #10", "wing #9"]
        assert browser.run("document.querySelector('[data-sort=\"0\"]').getAttribute('aria-sort')") == "descending"
        browser.click(sort.format("name"))
        names = order(browser)
        assert names.index("wing #9") < names.index("wing #10")  # numbers by their value
        browser.set("[data-search]", "WING")
        assert order(browser) == ["wing #9", "wing #10"]
        browser.set("[data-search]", "owl")  # by class
        assert set(order(browser)) == {*NAMES} - {"wing #10"}
        browser.set("[data-search]", "")
        read = "document.getElementById('edits-file').value"
        assert yaml.safe_load(browser.run(read))["edits"] == []
        at = "tr[data-unit={}] [data-{}]"
        browser.click(at.format(json.dumps("wing #9"), "strike"))
        rows = "[...document.querySelectorAll('tr[data-unit]')]"
        browser.run(f"{rows}.find(r => r.dataset.unit.startsWith('p')).querySelector('[data-strike]').click()")
        browser.set(at.format(json.dumps("beak"), "rename"), "bill: “long”")
        browser.set("[data-who]", "A. Reviewer")
        browser.set("[data-why]", 'a border: "x"')
        edits = yaml.safe_load(browser.run(read))
        note = {"why": 'a border: "x"', "who": "A. Reviewer", "when": date.today().isoformat()}
        assert edits == {
            "model": "protopnet-birds",
            "weights": "6f1c6f0b2f6e" + "0" * 52,
            "edits": [
                {"operation": "remove", "unit": "wing #9", **note},
                {"operation": "remove", "unit": NASTY, **note},
                {"operation": "rename", "unit": "beak", "to": "bill: “long”", **note},
            ],
        }
        browser.click("[data-download]")
        saved = tmp_path / "saved" / "edits.yaml"
        browser.run("new Promise(done => setTimeout(done, 500))")
        assert yaml.safe_load(saved.read_text(encoding="utf-8")) == edits
        browser.click("[data-clear]")
        assert yaml.safe_load(browser.run(read))["edits"] == []
        assert [url for url in browser.requests if not url.startswith("blob:")] == [file.as_uri()]
        assert not browser.errors
        file = vocabulary_page(tmp_path, count=40)
        browser.open(file)
        assert len(order(browser)) == 20
        browser.set("[data-search]", "more")
        assert len(order(browser)) == 36
        browser.set("[data-search]", "")
        browser.click("[data-more]")
        assert len(order(browser)) == 40
