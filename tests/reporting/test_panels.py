"""Panels: each is a file with a place, other packages add theirs, and pages of every kind show the same ones."""

from importlib.metadata import EntryPoint

import pytest
import torch
from markupsafe import Markup

from zoo.capabilities import DecisionPath, PathStep
from zoo.explanation import Explanation, Units
from zoo.registry import PANELS, register
from zoo.reporting.context import PageContext
from zoo.reporting.page import page
from zoo.reporting.panel import Panel, panels

FULL = {
    "traces": [[("token", ["a", "<b>"])]],
    "class_sums": [[("x = 1", [0.5, -1.0]), ("sum", [0.5, -1.0])]],
    "feature_values": [[("age", "43")]],
    "facts": {"command": "zoo"},
}


def context(**fields):
    none = torch.zeros(1, 0)
    explanation = Explanation(
        Units("none", []), torch.tensor([[0.0, 1.0]]), torch.tensor([1]), none, none, torch.ones(1), none.long()
    )
    return PageContext("A title", [explanation], ["cat", "dog"], **fields)


class Greeting(Panel):
    """A panel of another package."""

    order = 5
    name = "greeting"

    def applies(self, context):
        return bool(context.lead)

    def render(self, context):
        return Markup("<section>Hello {}</section>").format(context.lead)


@pytest.fixture
def clean():
    """The registry as it was, after the test."""
    before = dict(PANELS._classes)
    yield
    PANELS._classes.clear()
    PANELS._classes.update(before)
    PANELS.__dict__.pop("_entry_points", None)


def test_every_panel_is_described_and_has_a_place():
    names = [panel.name for panel in panels()]
    assert sorted(names) == PANELS.names()
    assert all(PANELS.describe(name) for name in names)
    for region in ("page", "head", "input"):
        orders = [panel.order for panel in panels(region)]
        assert len(set(orders)) == len(orders) > 1
    assert sum(len(panels(region)) for region in ("page", "head", "input")) == len(names)


def test_class_sums_traces_and_values_are_on_every_page_that_has_them(tmp_path):
    html = page(tmp_path / "p.html", context(**FULL)).read_text()
    for words in (
        "Contribution of each value to each class",
        "Intermediate values at each position",
        "&lt;b&gt;",
        "43",
    ):
        assert words in html
    assert "<td>+0.500</td><td>-1.000</td>" in html
    plain = page(tmp_path / "q.html", context()).read_text()
    assert "Contribution of each value" not in plain
    assert "Facts" not in plain


def test_a_panel_of_another_package(tmp_path, clean):
    register(Greeting)
    html = page(tmp_path / "p.html", context(lead="<you>")).read_text()
    assert html.index("<section>Hello &lt;you&gt;</section>") < html.index("How to read this page")
    assert "Hello" not in page(tmp_path / "q.html", context()).read_text()


def test_a_panel_by_entry_point_and_one_that_is_broken(tmp_path, clean):
    PANELS.__dict__["_entry_points"] = {
        "greeting": EntryPoint("greeting", f"{__name__}:Greeting", "zoo.panels"),
        "broken": EntryPoint("broken", "no_such_package:Panel", "zoo.panels"),
    }
    with pytest.warns(UserWarning, match="plug-in 'broken'"):
        html = page(tmp_path / "p.html", context(lead="you")).read_text()
    assert "Hello you" in html
    PANELS._broken.discard("broken")


def test_a_panel_of_another_package_that_fails_is_left_out(tmp_path, clean):
    class Torn(Greeting):
        """A panel without its template."""

        name = "torn"

        def render(self, context):
            return self.fill()

    register(Torn)
    with pytest.warns(UserWarning, match=r"panel 'torn' \(.*Torn\) cannot be drawn and is left out: TemplateNotFound"):
        html = page(tmp_path / "p.html", context(lead="you")).read_text()
    assert "How to read this page" in html


@pytest.mark.parametrize("early", [True, False])
def test_a_decorated_panel_is_drawn_once_under_the_name_of_its_entry_point(tmp_path, clean, early):
    """Also where the class names itself otherwise, and where it was registered before its entry point is known."""
    name = None if early else "something_else"
    members = {} if name is None else {"name": name}
    decorated = type("Decorated", (Greeting,), {"__module__": __name__, "name": name, **members})
    globals()["Decorated"] = decorated
    PANELS.__dict__["_entry_points"] = {"salute": EntryPoint("salute", f"{__name__}:Decorated", "zoo.panels")}
    register(decorated)
    html = page(tmp_path / "p.html", context(lead="you")).read_text()
    assert html.count("Hello you") == 1
    assert decorated.name == "salute"
    assert [key for key, cls in PANELS._classes.items() if cls is decorated] == ["salute"]


def test_mistakes_of_a_context():
    with pytest.raises(ValueError, match="there is no explanation"):
        PageContext("t", [], [])
    with pytest.raises(ValueError, match="drawn outside of inputs"):
        _ = context().input_index


def test_a_decision_path_is_drawn(tmp_path):
    steps = [PathStep(0, "node 0", 0.93, True), PathStep(5, "node <2>", 0.12, False)]
    path = DecisionPath(steps, "leaf 3", [0.1, 0.9], 0.8)
    drawn = page(tmp_path / "p.html", context(decision_paths=[path])).read_text()
    for text in (
        "present: similarity 0.93",
        "absent: similarity 0.12",
        "node &lt;2&gt;",
        "leaf 3, 80.0 % of the answer",
    ):
        assert text in drawn
    assert "dog 90.0 %" in drawn
    assert drawn.index("dog 90.0 %") < drawn.index("cat 10.0 %")
    assert drawn.count('class="taken"') == drawn.count('class="untaken"') == 2
    assert "Path through the tree" not in page(tmp_path / "q.html", context()).read_text()
