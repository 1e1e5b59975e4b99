"""What a page shows of explained inputs, and which units are ranked lowest."""

import pytest
import torch

import zoo
from zoo.data import create_data
from zoo.evaluation.examples import Examples, explain, first_of_each_class, page_context
from zoo.evaluation.units.ranking import lowest_units
from zoo.metrics.score_result import Result
from zoo.models.cbm import CBM
from zoo.reporting.page import page


@pytest.fixture(scope="module")
def shapes():
    return create_data("shapes", size=32, n_train=16, n_val=8, n_test=16)


@pytest.fixture(scope="module")
def model(shapes):
    torch.manual_seed(0)
    return CBM(num_classes=8, concepts=shapes.concepts.to_config(), backbone="resnet10t").eval()


def test_pages_of_programs_show_trace_and_class_sums(tmp_path):
    """The same context is behind the pages of training, evaluation and explanation."""
    model = zoo.load("transformer_program-hist")
    data = create_data(**{**model.config["data"], "limit": 40})
    examples = first_of_each_class(model, data, count=2)
    context = page_context(model, data, examples, title="t")
    assert len(context.class_sums) == len(context.traces) == len(examples) == 2
    html = page(tmp_path / "p.html", context).read_text()
    assert html.count("Contribution of each value to each class") == 2
    assert html.count("Intermediate values at each position") == 2


def test_examples_are_the_first_of_each_class_explained_twice(model, shapes):
    examples = first_of_each_class(model, shapes, count=3, shown=4)
    y = shapes.splits["test"].y
    present = [c for c in range(8) if bool((y == c).any())][:3]
    assert examples.truth.tolist() == present
    predicted, true = examples.explanations
    assert torch.equal(true.target, examples.truth)
    assert torch.equal(predicted.target, predicted.logits.argmax(1))
    assert examples.shown == {*predicted.shown.flatten().tolist(), *true.shown.flatten().tolist()}


def test_an_input_without_truth_has_one_explanation(model, shapes):
    x = shapes.samples("test", [0]).x
    examples = explain(model, x, shown=2)
    assert isinstance(examples, Examples)
    assert (len(examples.explanations), examples.truth, len(examples)) == (1, None, 1)
    context = page_context(model, shapes, examples, title="t")
    assert context.truth is None
    assert context.notes == [{}]
    assert context.class_sums == ()


def test_units_are_ranked_by_the_mean_of_their_pass_rates(model, shapes):
    u = len(model.units)
    first, second = torch.linspace(1, 0.5, u), torch.full((u,), 0.5)
    first[0] = second[0] = torch.nan  # never judged
    second[1] = torch.nan
    words = {"unit_readouts": {"rate": "one part", "other": "x"}, "unit_pass_rate": "rate"}
    results = {
        "a": Result("a", 1.0, "p", per_unit={"rate": first, "other": -first}, **words),
        "a (random)": Result("a (random)", 1.0, "p", per_unit={"rate": -first}, **words),
        "b": Result("b", 1.0, "p", per_unit={"acc": second}, unit_pass_rate="acc"),
        "short": Result("short", 1.0, "p", per_unit={"rate": first[:3]}, unit_pass_rate="rate"),
        "none": Result("none", 1.0, "p", per_unit={"rate": first}),
    }
    ranking = lowest_units(model, shapes, results, count=u)
    assert ranking.scores == ["one part", "acc"]
    expected = [*range(u - 1, 1, -1), 1]  # of unit 1 only the first rate is known, and it is high
    assert [row.name for row in ranking.rows] == [model.units.names[i] for i in expected]
    assert ranking.rows[-1].values[1] == ""
    assert ranking.rows[0].values == ["50 %", "50 %"]
    assert lowest_units(model, shapes, {}).rows == []
