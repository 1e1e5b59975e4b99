"""Every model, score and option has its documentation, and the numbers of the README are those of the checkpoints."""

import ast
import doctest
import json
import random
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import zoo
from zoo.cli._main import VERBS
from zoo.registry import DATA, MODELS, SCORES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS / "_generate"))
frames = pytest.importorskip("frames")
results_page = pytest.importorskip("results_page")
flow = pytest.importorskip("flow")
pareto_chart = pytest.importorskip("pareto_chart")

SCORE_SECTIONS = ("## Example by hand", "## Range and chance level", "## What it does not tell")
MODEL_SECTIONS = (
    "## Idea",
    "## Picture",
    "## Equation, and the code that computes it",
    "## Train",
    "## Arguments",
    "## Figures",
    "## What it does not tell",
)


def shipped(registry):
    return [name for name in registry.names() if registry.file(name) is not None]


@pytest.mark.parametrize("name", shipped(SCORES))
def test_every_score_has_a_page(name):
    page = (DOCS / "scores" / f"{name}.md").read_text()
    assert [line for line in page.splitlines() if line.startswith("## ")] == list(SCORE_SECTIONS)
    assert frames.score_frame(name).startswith(f"# {SCORES.get(name).title}\n")
    assert f"({name}.md)" in (DOCS / "scores" / "index.md").read_text()
    hand, chance, limits = (page.split(f"{section}\n")[1].split("\n## ")[0] for section in SCORE_SECTIONS)
    assert re.search(r"\d", hand), "an example worked by hand has numbers"
    assert re.search(r"\d", chance), "the range"
    assert re.search(r"chance|random|predictor|[Gg]uess|uninformative|floor", chance), (
        "the chance level, or that there is none"
    )
    assert limits.lstrip().startswith("- ")
    assert "## Definition" in frames.score_frame(name)


@pytest.mark.parametrize("name", shipped(MODELS))
def test_every_model_has_a_page(name):
    page = (DOCS / "models" / f"{name}.md").read_text()
    assert [line for line in page.splitlines() if line.startswith("## ")] == list(MODEL_SECTIONS)
    assert "$$" in page
    picture = page.split("## Picture\n")[1].split("\n## ")[0]
    shown = re.findall(r"!\[.+?\]\((.+?)\)|^(\{\{ flow .+ \}\})$", picture, flags=re.M)
    assert shown, "a picture of an explanation, or {{ flow ... }}"
    assert all(drawing or (ROOT / file.removeprefix("../")).is_file() for file, drawing in shown)
    checkpoints = [folder for folder in zoo.list_checkpoints() if folder.startswith(f"{name}-")]
    assert not checkpoints or "No checkpoint of this model" not in page, checkpoints
    for file, function in re.findall(r"\{\{ code (\S+) (\S+) \}\}", page):
        assert frames.code(file, function)
    assert frames.model_frame(name)
    parts = {section: page.split(f"{section}\n")[1].split("\n## ")[0] for section in MODEL_SECTIONS}
    assert len(parts["## Idea"].split()) >= 15
    assert "{{ code " in parts["## Equation, and the code that computes it"]
    assert f"{{{{ configs {name} }}}}" in parts["## Train"]
    assert f"{{{{ checkpoints {name} }}}}" in parts["## Train"]
    assert re.search(r"\]\(\.\./configs/\S+\)", parts["## Figures"])
    reached = [config for config in (ROOT / "configs" / name).glob("*.yaml") if "Reached" in config.read_text()]
    assert not reached or "not trained" not in parts["## Figures"].lower(), reached
    assert frames.model_options(name), "an argument without a description is an error"
    assert f"({name}.md)" in (DOCS / "models" / "index.md").read_text()


@pytest.mark.parametrize("name", shipped(DATA))
def test_every_option_of_every_source_is_described(name):
    pages = "\n".join(page.read_text() for page in (DOCS / "data").glob("*.md"))
    assert f"{{{{ options {name} }}}}" in pages
    assert frames.data_options(name), "an option without a description is an error"


@pytest.mark.parametrize(("registry", "name"), [(r, name) for r in (MODELS, SCORES) for name in shipped(r)])
def test_every_model_and_score_names_its_source(registry, name):
    docstring = ast.get_docstring(ast.parse(registry.file(name).read_text()))
    (source,) = [p for p in docstring.split("\n\n") if p.startswith("Source: ")]
    words = " ".join(source.split())
    assert re.search(r"\b(18|19|20)\d\d\b|defined here|standard definition", words)
    frame = frames.score_frame(name) if registry is SCORES else frames.model_frame(name)
    assert "| source |" in frame


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_its_help(verb):
    assert any(f"{{{{ help {verb} }}}}" in page.read_text() for page in (DOCS / "how-to").glob("*.md"))


@pytest.mark.parametrize("name", shipped(SCORES))
def test_the_examples_of_scores_run_as_they_stand_on_their_page(name):
    text = frames.score_frame(name)
    example = doctest.DocTestParser().get_doctest(
        "".join(re.findall(r"```pycon\n(.*?)```", text, re.S)), {}, name, "", 0
    )
    assert doctest.DocTestRunner(verbose=False).run(example).failed == 0


def test_the_results_of_the_readme_are_those_of_the_checkpoints():
    known = {row.name: row.values for row in results_page.rows()}
    table = re.findall(r"^\| `([\w-]+)` \| [\w ]+ \| (.+) \|$", (ROOT / "README.md").read_text(), flags=re.M)
    assert len(table) >= 6
    for name, rest in table:
        values = known[name]
        random = values.get("consistency", 0) - values.get("consistency above chance", 0)
        consistency = f"{values['consistency']:.1f} ({random:.1f})" if "consistency" in values else "n/a"
        black_box = f"{values['black box']:.3f}" if "black box" in values else "n/a"
        expected = [f"{values['accuracy']:.3f}", black_box, consistency, f"{values['effective units']:.1f}"]
        assert [cell.strip() for cell in rest.split("|")] == expected, name


def test_the_page_of_results_has_every_checkpoint_and_asks_for_nothing():
    rows = results_page.rows()
    page = results_page.page(rows)
    assert len(rows) == len(list((ROOT / "checkpoints").glob("*/metrics.json")))
    assert all(f'data-value="{row.name}"' in page for row in rows)
    assert "default-src 'none'" in page
    assert not re.findall(r"https?:|src=|href=|url\(", page)
    metrics = json.loads((ROOT / "checkpoints/protopnet-digits/metrics.json").read_text())["scores"]
    (row,) = [row for row in rows if row.name == "protopnet-digits"]
    assert row.values["accuracy"] == metrics["accuracy"]["value"]
    chance = metrics["consistency (random prototypes)"]["value"]
    assert row.values["consistency above chance"] == metrics["consistency"]["value"] - chance
    assert round(row.values["lost"], 3) == 0.836  # 357 of 359 right beside 354


def test_a_drawing_of_steps_marks_the_units_and_names_everything():
    drawing = flow.flow("row, (b d) | *shape functions <of columns>, (b u) | sum")
    root = ElementTree.fromstring(drawing)[0]
    assert [box.get("class") for box in root.iter("rect")] == ["step", "units", "step"]
    assert [text.text for text in root.iter("text")] == [
        "row",
        "(b d)",
        "shape functions <of",
        "columns>",
        "(b u)",
        "sum",
    ]
    assert len(list(root.iter("path"))) == 2
    assert root.get("aria-label") == "row, (b d) | shape functions <of columns>, (b u) | sum"


@pytest.mark.parametrize("higher", [True, False])
def test_a_pareto_front_has_the_points_that_no_other_beats(higher):
    numbers = random.Random(0)
    points = [pareto_chart.Point(str(i), numbers.randrange(9), numbers.randrange(9), "") for i in range(30)]
    better = {p: (p.x if higher else -p.x, -p.lost) for p in points}
    expected = {
        p
        for p in points
        if not any(b != better[p] and b[0] >= better[p][0] and b[1] >= better[p][1] for b in better.values())
    }
    assert set(pareto_chart.front(points, higher=higher)) == expected
    drawing = pareto_chart.chart(points, "score", higher=higher, log=False)
    assert drawing.count("stroke-width") == len(expected)
    assert drawing.count("<circle") == 30
