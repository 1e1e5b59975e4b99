"""The answer that a page computes to a changed input is the model's: through its controls, in headless Chromium."""

import json
import math
import random
import re

import numpy as np
import pytest
import torch
from browser import Browser, find

from zoo import create_model, list_models
from zoo.batch import Batch
from zoo.capabilities import HasAffineHead, HasConcepts, capability
from zoo.evaluation.page.controls import recomputation
from zoo.inputs.table import TableInputs
from zoo.layers.bottlenecks.standardized_head import StandardizedHead
from zoo.reporting.context import PageContext
from zoo.reporting.page import page
from zoo.task import Classification, MultiLabel, Regression

needs_browser = pytest.mark.skipif(find() is None, reason="no Chromium here")
SIZE, CLASSES = 32, 4
NAMES = ["cat", "dog", "a < b", "owl's"]
KINDS = {"a": "binary", "b": "binary", "wing: long": "categorical", "wing: short": "categorical", "size": "continuous"}
COLUMNS = {name: {"kind": kind, "group": name.split(":")[0]} for name, kind in KINDS.items()}
COLUMNS["size"] |= {"mean": 2.0, "std": 0.5}
CONCEPTS = {"columns": COLUMNS}
DISCRETE = {"columns": {k: v for k, v in COLUMNS.items() if k != "size"}}
SEQUENCE = {"tokens": list("abc"), "length": 5}
PROTOTYPES = {"per_class": 3, "dim": 16, "backbone_level": 2}
UNITS = {
    "cbm": {"concepts": CONCEPTS},
    "cbm logit": {"concepts": CONCEPTS, "bottleneck": "logit"},
    "cem": {"concepts": DISCRETE, "width": 4},
    "intcem": {"concepts": DISCRETE, "width": 4, "hidden": [8]},
    "posthoc_cbm": {"concepts": DISCRETE, "residual": True},
    "labelfree_cbm": {"concept_names": ["round", "red", "small"]},
    "protopnet": PROTOTYPES,
    "sdfa_sa": PROTOTYPES,
    "deformable_protopnet": {"per_class": 3, "backbone_level": 2},
    "protopool": {"pool": 9, "slots": 3, "dim": 16, "backbone_level": 2},
    "pipnet": {"features": 12, "backbone_level": 1},
    "cbc": {"features": 12, "backbone_level": 1},
    "bilinear_mlp": {"width": 16, "patterns": 6},
    "text_prototype": {"width": 16},
    "text_labelfree": {"width": 16},
    "text_cbm": {"width": 16, "concepts": CONCEPTS},
    "bag_of_concepts": {},
    "transformer_program": {"restarts": 2},
}
ONLY_COMMANDS = (
    "scbm",
    "prototree",
    "autoregressive_cbm",
    "probcbm",
    "optimal_tree",
    "rationale",
    "sdm",
    "codebook_transformer",
    "moex",
    "dense_transformer",
    "switch_transformer",
)
CALIBRATED = Classification(CLASSES, temperature=1.7, offset=(0.1, -0.2, 0.3, -0.2), abstain_below=0.4)


def inputs_of(model, n):
    g = torch.Generator().manual_seed(3)
    if model.input_kind == "numbers":
        return torch.randn(n, 3, SIZE, SIZE, generator=g).double()
    x = torch.randint(0, 3, (n, 5), generator=g)
    return x if model.pooled else torch.cat([torch.randint(0, 4, (n, 1), generator=g), x], 1)


def unit_model(name, extra, task=CALIBRATED):
    from zoo.config import schema
    from zoo.registry import model_class

    name = name.split()[0]
    torch.manual_seed(0)
    fallback = {"num_classes": task.outputs, "backbone": "resnet10t", "input_shape": [3, SIZE, SIZE]}
    known = schema(model_class(name)).__dataclass_fields__
    args = {k: v for k, v in {**fallback, "sequence": SEQUENCE}.items() if k in known} | extra
    model = create_model(name, **args)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        if isinstance(getattr(model, "head", None), StandardizedHead):
            model.head.mean.normal_()
            model.head.std.uniform_(0.5, 2.0)
    model = model.double().eval()
    model.task = task
    return model


@torch.no_grad()
def unit_page(tmp_path, model, x, names):
    explanation = model.explain(x)
    what = recomputation(model, x, [explanation], checkpoint="a model", inputs=[str(i) for i in range(len(x))])
    context = PageContext("What if", [explanation], names, task=model.task, recomputation=what)
    return page(tmp_path / "page.html", context), what


def read(browser, number):
    """Logits, probabilities and parts that the page holds for an input."""
    return json.loads(
        browser.run(
            f"JSON.stringify([...document.querySelectorAll('[data-what-if=\"{number}\"] data')]"
            ".map(e => [e.dataset.of, Number(e.value)]))"
        )
    )


def expect_answer(browser, number, logits, task):
    """The page's numbers are those of the logits ``(1, c)`` of the model."""
    values = read(browser, number)
    answer = task.answer(logits.double())
    by_name = dict(values)
    for c, logit in enumerate(logits[0].tolist()):
        assert by_name[f"logit {c}"] == pytest.approx(logit, abs=1e-6, rel=1e-9)
        if answer.probabilities is not None:
            assert by_name[f"p {c}"] == pytest.approx(float(answer.probabilities[0, c]), abs=1e-6)
    parts = [value for name, value in values if name in ("part", "others", "base")]
    target = int(task.explained(logits)[0])
    assert sum(parts) == pytest.approx(by_name["total"], abs=1e-9)
    assert by_name["total"] == pytest.approx(float(logits[0, target]), abs=1e-6, rel=1e-9)
    text = browser.run(f"document.querySelector('[data-what-if=\"{number}\"] .what-if-answer').textContent")
    assert ("abstains" in text) == (answer.abstained is not None and bool(answer.abstained[0]))
    return text


def try_units(browser, model, x, what, number, rng):
    """Change some controls of one input; expect the answer of ``intervene`` after each."""
    head = capability(model, HasAffineHead).affine_head(x)
    concept_model = capability(model, HasConcepts)
    i, values = number - 1, {}
    controls = list(enumerate(what.controls[i]))
    for place, control in rng.sample(controls, min(4, len(controls))):
        at = f"#what-if-{number}-{place}"
        state = torch.full((1, len(model.units)), math.nan).double()
        if control.kind == "switch":
            browser.click(at)
            state[0, control.units[0]] = head.neutral[control.units[0]]
        else:
            value = {"yes_no": rng.randint(0, 1), "choice": rng.randrange(len(control.words) or 1), "number": 2.7}
            assert browser.set(at, value[control.kind]) == str(value[control.kind])
            if control.kind == "choice":
                state[0, list(control.units)] = 0.0
                state[0, control.units[value["choice"]]] = 1.0
            else:
                state[0, control.units[0]] = value[control.kind]
            state = concept_model.encode_concepts(state)
        values |= {u: float(state[0, u]) for u in control.units}
        text = expect_answer(browser, number, model.intervene(x[i : i + 1], values), model.task)
    return text, values


@pytest.fixture(scope="module")
def browser():
    with Browser() as opened:
        yield opened


@needs_browser
@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("name", UNITS)
def test_units_that_are_changed_give_the_answer_of_the_model(tmp_path, browser, name):
    model = unit_model(name, UNITS[name])
    x = inputs_of(model, 3)
    names = list(model.class_names) or NAMES[: model.task.outputs]
    file, what = unit_page(tmp_path, model, x, names)
    browser.open(file)
    assert browser.requests == [file.as_uri()]
    rng = random.Random(0)
    for number in (1, 2, 3):
        expect_answer(browser, number, model(x[number - 1 : number]), model.task)
        try_units(browser, model, x, what, number, rng)
        browser.click(f'[data-what-if="{number}"] [data-reset]')
        expect_answer(browser, number, model(x[number - 1 : number]), model.task)
    assert not browser.errors


@needs_browser
@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize(
    "task",
    [
        Classification(2, threshold=0.3, temperature=0.6, abstain_below=0.8),
        MultiLabel(4, thresholds=(0.2, 0.5, 0.7, 0.4), temperature=1.3),
        MultiLabel(4),
        Regression(mean=20.0, std=7.0),
    ],
    ids=["threshold", "label thresholds", "labels", "regression"],
)
def test_every_task_answers_as_predict_does(tmp_path, browser, task):
    model = unit_model("cbm", {"concepts": CONCEPTS}, task)
    x = inputs_of(model, 2)
    names = ["price"] if task.kind == "regression" else NAMES[: task.outputs]
    file, what = unit_page(tmp_path, model, x, names)
    browser.open(file)
    text, values = try_units(browser, model, x, what, 2, random.Random(1))
    prediction = task.answer(model.intervene(x[1:], values)).prediction
    if task.kind != "regression":
        shown = text.split(" (the model")[0].replace("“", "").replace("”", "")
        shown = re.sub(r" (over |under )?[\d.]+ %$", "", shown)
        assert shown == (task.texts(prediction, names)[0] or "none of the labels")
    assert not browser.errors


DAYS = ["2020-01-05", "2020-03-09", "2021-07-01", "2021-12-24", "2019-05-05", "2020-08-18"]


def table_model(name, classes=2, rows=240):
    rng = np.random.default_rng(0)
    age = rng.integers(18, 80, rows).astype(float)
    size = rng.normal(0, 1, rows).round(3)
    color = rng.choice(["red", "green", "blue"], rows)
    member = rng.choice(["yes", "no"], rows)
    date = rng.choice(DAYS, rows)
    score = 0.05 * (age - 45) + (color == "red") - 1.2 * size * (member == "yes") + (date > "2020-06-01")
    state = np.digitize(score + rng.normal(0, 0.3, rows), [0.0] if classes == 2 else [-0.7, 0.7])
    y = np.array(["well", "ill", "dead"])[state] if classes else score.round(3)
    ages = [None if i % 17 == 0 else a for i, a in enumerate(age.tolist())]
    data = {"age": ages, "size": size.tolist(), "color": color.tolist(), "member": member.tolist()}
    data |= {"visit": date.tolist(), "y": y.tolist()}
    inputs = TableInputs.fit(data, target="y", encoding="values")
    reading = inputs.read(data)
    task = (
        Regression(mean=float(score.mean()), std=float(score.std()))
        if not classes
        else Classification(classes, temperature=1.4)
    )
    model = create_model(name, num_classes=task.outputs, input_shape=[5]).eval()
    model.inputs, model.task = inputs, task
    batch = Batch(reading.x, reading.y, torch.arange(rows))
    if name == "scoring_card":
        model.fit_card([batch], rules=4)
    elif name == "nam":
        model.set_bins([batch])
        model.tabulate([batch])
        model.core.tables.data.normal_(generator=torch.Generator().manual_seed(0))
    else:
        model.fit_tables([batch], max_pairs=2, inner_splits=2, max_bins=16)
    return model, reading.x[:3]


def try_columns(browser, model, x, what, number):
    """Change every column of one input; expect the answer of the model to the changed row after each."""
    row = x[number - 1 : number].clone()
    names = list(model.inputs.schema.names)
    for place, control in enumerate(what.controls[number - 1]):
        at, j = f"#what-if-{number}-{place}", names.index(control.name)
        if control.kind == "level":
            browser.set(at, len(control.words) - 1)
            row[0, j] = len(control.words) - 1
        elif control.kind == "date":
            browser.set(at, "2021-07-01")
            row = model.inputs.set(row, {control.name: "2021-07-01"})
        else:
            middle = round((control.low + control.high) / 2 + 0.25, 3)
            browser.set(at, middle)
            row[0, j] = middle
        expect_answer(browser, number, model(row), model.task)
    number_place = next(p for p, c in enumerate(what.controls[number - 1]) if c.kind == "number")
    browser.set(f"#what-if-{number}-{number_place}", "")  # missing
    row[0, names.index(what.controls[number - 1][number_place].name)] = math.nan
    expect_answer(browser, number, model(row), model.task)
    return row


def table_page(tmp_path, model, x):
    explanation = model.explain(x)
    what = recomputation(model, x, [explanation], checkpoint="card", inputs=["0", "1", "2"])
    names = list(model.class_names) or ["y"]
    return page(
        tmp_path / "page.html", PageContext("T", [explanation], names, task=model.task, recomputation=what)
    ), what


@needs_browser
@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "classes"), [("additive", 2), ("additive", 3), ("additive", 0), ("scoring_card", 2), ("nam", 2)]
)
def test_columns_that_are_changed_give_the_answer_of_the_model(tmp_path, browser, name, classes):
    model, x = table_model(name, classes)
    file, what = table_page(tmp_path, model, x)
    browser.open(file)
    assert browser.requests == [file.as_uri()]
    row = try_columns(browser, model, x, what, 2)
    if name != "nam":  # the command that the page gives reads the same row
        command = browser.run("document.querySelector('[data-what-if=\"2\"] [data-command]').textContent")
        text = re.fullmatch(r"zoo explain card '?(.*?)'?", command).group(1)
        shown = dict(part.split("=") for part in text.split(","))
        assert set(shown) <= set(model.inputs.schema.names)
        whole = {n: shown.get(n, v) for n, v in model.inputs.show(row)[0]}
        typed = {n: "" if v == "(missing)" else v for n, v in whole.items()}
        again = model.inputs.read([typed]).x
        torch.testing.assert_close(model(again), model(row))
    assert not browser.errors


@needs_browser
@torch.no_grad()
def test_concepts_and_columns_in_one_browser(tmp_path, browser):
    """The quick one: a concept model and a card, by mouse and keyboard."""
    model = unit_model("cbm", {"concepts": CONCEPTS})
    x = inputs_of(model, 2)
    file, what = unit_page(tmp_path, model, x, NAMES)
    browser.open(file)
    try_units(browser, model, x, what, 2, random.Random(0))
    browser.click('[data-what-if="2"] [data-reset]')
    place = next(p for p, c in enumerate(what.controls[1]) if c.kind == "yes_no")
    unit = what.controls[1][place].units[0]
    browser.run(f"document.getElementById('what-if-2-{place}').focus()")
    browser.press("ArrowDown", 40)  # from "as predicted" to "yes"
    assert browser.run(f"document.getElementById('what-if-2-{place}').value") == "1"
    expect_answer(browser, 2, model.intervene(x[1:], {unit: 1.0}), model.task)
    command = browser.run("document.querySelector('[data-what-if=\"2\"] [data-command]').textContent")
    assert command == f"zoo intervene 'a model' 1 {what.controls[1][place].name}=1"
    model, x = table_model("additive", 2, rows=120)
    (tmp_path / "table").mkdir()
    file, what = table_page(tmp_path / "table", model, x)
    browser.open(file)
    assert browser.requests == [file.as_uri()]
    try_columns(browser, model, x, what, 2)
    assert not browser.errors


@torch.no_grad()
@pytest.mark.parametrize("name", ONLY_COMMANDS[:2])
def test_where_the_page_cannot_answer_it_gives_the_command(tmp_path, name):
    extra = {"scbm": {"concepts": DISCRETE}, "prototree": {"height": 3, "dim": 16, "backbone_level": 2}}[name]
    model = unit_model(name, extra)
    x = inputs_of(model, 2)
    file, what = unit_page(tmp_path, model, x, NAMES)
    html = file.read_text(encoding="utf-8")
    assert "does not follow" in html
    assert "zoo intervene &#39;a model&#39; 1 " in html
    assert "<script" not in html.replace("<noscript", "")
    assert what.reason


def test_every_model_either_hands_over_its_head_or_gives_a_command():
    """A new family is put on one of the lists, so that its page is tested or its command is meant."""
    black_boxes = {"blackbox", "boosting", "dense_encoder"}
    tables = {"additive", "scoring_card", "nam"}
    listed = {name.split()[0] for name in UNITS} | {*ONLY_COMMANDS} | tables | black_boxes
    assert listed == set(list_models())


def test_names_cannot_leave_the_numbers(tmp_path):
    model = unit_model("labelfree_cbm", {"concept_names": ["</script><b>", "x", "y"]})
    file, _ = unit_page(tmp_path, model, inputs_of(model, 1), ["</script><i>", *NAMES[:3]])
    html = file.read_text(encoding="utf-8")
    assert html.count("</script>") == html.count("<script")
    assert "<b>" not in re.sub(r"<b>(Heat|Bars|The )", "", html)
    assert "<i>" not in html


def test_the_policy_allows_the_script_of_the_page_alone(tmp_path):
    import base64
    import hashlib

    model = unit_model("labelfree_cbm", {"concept_names": ["x", "y", "z"]})
    html = unit_page(tmp_path, model, inputs_of(model, 1), NAMES)[0].read_text(encoding="utf-8")
    script = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html).group(1)
    assert policy.count("script-src") == 1
    assert f"script-src 'sha256-{digest}'" in policy
    assert "unsafe-eval" not in policy
