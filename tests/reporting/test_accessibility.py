"""axe-core on the pages of each kind of family, light and dark, wide and narrow, and what pages need beside it."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from browser import Browser, find
from test_what_if import DISCRETE, NAMES, PROTOTYPES, inputs_of, table_model, unit_model

from zoo.capabilities import DecisionPath, PathStep
from zoo.evaluation.page.controls import counterfactual_sentences, recomputation
from zoo.evaluation.page.strength_words import strength_words
from zoo.evaluation.units.gallery import shapes
from zoo.reporting.chart import chart
from zoo.reporting.context import PageContext, ScoreRow
from zoo.reporting.interactive.case import Case
from zoo.reporting.interactive.vocabulary import Vocabulary, VocabularyUnit
from zoo.reporting.page import page
from zoo.reporting.unit_picture import Source

SPEC = find_spec("axe_core_python")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find() is None, reason="no Chromium here"),
    pytest.mark.skipif(SPEC is None, reason="axe-core-python is not installed (extra dev)"),
]
FAMILIES = {
    "prototypes": ("protopnet", PROTOTYPES),
    "concepts": ("cbm", {"concepts": DISCRETE, "pooling": "max"}),
    "tree": ("prototree", {"height": 3, "dim": 16, "backbone_level": 2}),
    "eigenvectors": ("bilinear_mlp", {"width": 16, "patterns": 6}),
    "texts": ("text_prototype", {"width": 16}),
    "program": ("transformer_program", {"restarts": 2}),
    "additive": ("additive", {}),
    "card": ("scoring_card", {}),
    "black box": ("blackbox", {}),
}


@torch.no_grad()
def full_page(tmp_path, name, extra):
    """A page with everything that the family can have on one."""
    if name in ("additive", "scoring_card"):
        model, x = table_model(name)
        names, more = list(model.class_names), {"feature_values": model.inputs.show(x), "shapes": shapes(model)}
        if name == "scoring_card":
            more |= {"card": model.card(), "risks": model.risks()}
    else:
        model = unit_model(name, extra)
        x, names, more = inputs_of(model, 3), NAMES, {}
        if model.input_kind == "numbers":
            more["pictures"] = torch.rand(3, 3, 32, 32)
        else:
            more["tokens"] = [[f"w{t}" for t in range(x.shape[1] - (not model.pooled))] for _ in x]
            more["labeled_texts"] = True
    explanation = model.explain(x, shown=5)
    contrast = model.contrast(x) if len(model.units) else None
    picture = Source(torch.rand(3, 32, 32), (0, 0, 9, 9), "training picture 3")
    units = [VocabularyUnit(n, "", [0.5, None], picture if u % 2 else None) for u, n in enumerate(model.units.names)]
    if name == "prototree":
        step = PathStep(0, "node 0", 0.9, True)
        more["decision_paths"] = [DecisionPath([step], "leaf 1", [0.1, 0.2, 0.3, 0.4], 0.9)] * 3
    context = PageContext(
        "A page",
        [explanation],
        names,
        lead="What it shows.",
        task=model.task,
        truth=torch.tensor([0, 1, 1]),
        contrast=contrast,
        sources={u: picture for u in range(0, len(model.units), 2)} if "pictures" in more else {},
        recomputation=recomputation(model, x, [explanation], checkpoint="a", inputs=["0", "1", "2"]),
        counterfactuals=counterfactual_sentences(model, x, names),
        strength_words=strength_words(model, explanation),
        unit_list=Vocabulary(units, len(units), ["one part", "stable"], "remove", "a", "0" * 64, "zoo edit a e.yaml"),
        scores=[ScoreRow("Accuracy", "0.97", "top1", "share"), ScoreRow("Purity", "n/a: no parts", "p")],
        charts=[chart({"random": [0.5, 0.75, 1.0]}, title="accuracy", x="groups set")],
        confusion=torch.eye(len(names)).tolist(),
        warnings=["A warning."],
        facts={"Model": "x"},
        neighbors=[[Case("case 1", 0.5, "cat", "a text", torch.rand(3, 16, 16))]] * 3,
        **more,
    )
    return page(tmp_path / "page.html", context)


@pytest.fixture(scope="module")
def browser():
    with Browser() as opened:
        yield opened


@pytest.mark.parametrize("family", FAMILIES)
def test_axe_finds_nothing(tmp_path, browser, family):
    file = full_page(tmp_path, *FAMILIES[family])
    axe = (Path(SPEC.submodule_search_locations[0]) / "axe.min.js").read_text(encoding="utf-8")
    for look in ({}, {"width": 390, "dark": True, "phone": True}):
        browser.look(**look)
        browser.open(file)
        assert not browser.errors
        browser.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        browser.run(f"{axe}; 0")
        result = json.loads(browser.run("axe.run().then(r => JSON.stringify(r.violations))"))
        found = [
            f"{v['id']} ({v['impact']}): {n['html'][:120]} {n['any'][0]['message'][:160] if n['any'] else ''}"
            for v in result
            for n in v["nodes"]
        ]
        assert not found, "\n".join(sorted(set(found))[:12])
        wide = browser.run("document.documentElement.scrollWidth")
        assert wide <= (look.get("width") or 1100), f"the page is {wide} pixels wide and scrolls sideways"


def test_axe_would_find_something(tmp_path, browser):
    """A picture without words, on the same page."""
    browser.look()
    browser.open(full_page(tmp_path, *FAMILIES["card"]))
    browser.run("document.querySelector('main').append(Object.assign(document.createElement('img'), {src: 'data:,'}))")
    axe = (Path(SPEC.submodule_search_locations[0]) / "axe.min.js").read_text(encoding="utf-8")
    browser.run(f"{axe}; 0")
    found = json.loads(browser.run("axe.run().then(r => JSON.stringify(r.violations.map(v => v.id)))"))
    assert found == ["image-alt"]


def test_printed_pages_unfold_and_have_no_controls(tmp_path, browser):
    file = full_page(tmp_path, *FAMILIES["concepts"])
    browser.look(printed=True)
    browser.open(file)
    hidden = "getComputedStyle(document.querySelector('.what-if')).display"
    assert browser.run(hidden) == "none"
    assert browser.run("getComputedStyle(document.querySelector('.edits')).display") == "none"
