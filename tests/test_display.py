"""Results show themselves: short, escaped, and equal to the numbers they show."""

import re

import pandas as pd
import pytest
import torch
from PIL import Image

import zoo
from zoo.display import ROWS
from zoo.explanation import Explanation, Units
from zoo.metrics.score_result import Result
from zoo.prediction import Prediction
from zoo.recipe_support.recipe_results import CompareResult, EvaluateResult
from zoo.reporting.context import ScoreRow


def explanation(b=50, u=200, names=None):
    g = torch.Generator().manual_seed(0)
    contribution = torch.randn(b, u, generator=g, dtype=torch.float64)
    base = torch.randn(b, generator=g, dtype=torch.float64)
    logits = torch.stack([contribution.sum(1) + base, torch.zeros(b)], 1)
    shown = contribution.abs().argsort(1, descending=True)[:, :10]
    shown[:, 8:] = -1  # padding
    units = Units("concept", names or [f"concept {i}" for i in range(u)])
    target = torch.zeros(b, dtype=torch.int64)
    return Explanation(units, logits, target, contribution.abs(), contribution, base, shown)


def test_an_explanation_prints_a_few_lines():
    text = str(explanation())
    assert len(text) < 1000
    assert text.splitlines()[0] == "Explanation of 50 inputs by 200 units of kind concept, exact"
    assert text.splitlines()[-1] == "  ... and 47 more inputs"
    assert "tensor" not in text


def test_printed_amounts_add_up_to_the_logit():
    e = explanation(b=1)
    line = str(e).splitlines()[1]
    logit = float(re.search(r"logit (\S+) of", line)[1])
    amounts = [float(a) for a in re.findall(r"([+-]\d\S*) (?:concept|all)", line)]
    assert len(amounts) == 6, "five units and the rest"
    assert sum(amounts) == pytest.approx(logit, abs=0.05 * len(amounts))


def test_a_card_is_small_escaped_and_asks_for_nothing():
    e = explanation(b=50, u=10, names=["<script>alert(1)</script>", *[f"c{i}" for i in range(9)]])
    html = e._repr_html_()
    assert len(html) < 20_000
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert not re.search(r"https?:|src=|href=|url\(", html)


def test_the_frame_has_one_row_for_each_shown_unit():
    e = explanation(b=4)
    frame = e.to_pandas()
    assert len(frame) == int((e.shown >= 0).sum())
    for row in frame.itertuples():
        assert row.unit == int(e.shown[row.input, row.rank])
        assert row.contribution == float(e.contribution[row.input, row.unit])
        assert row.strength == float(e.strength[row.input, row.unit])
        assert row.name == e.units.names[row.unit]
        assert row.logit == float(e.logits[row.input, row.target])


def test_explanations_without_units_show_themselves():
    model = zoo.create_model("blackbox", num_classes=2, backbone="mlp", input_shape=[4]).eval()
    e = model.explain(torch.zeros(2, 4))
    assert "0 units" in str(e)
    assert "all other units, base" in e._repr_html_()
    assert len(e.to_pandas()) == 0
    assert isinstance(zoo.plot(e), Image.Image)


def test_plots_with_and_without_a_picture():
    e = explanation(b=2, names=["$a_b$ <", *[f"c{i}" for i in range(199)]])
    assert zoo.plot(e, -1, class_names=("left", "$right")).size[0] > 100
    assert zoo.plot(e, 0, picture=torch.rand(3, 16, 16)).size[0] > 100
    with pytest.raises(ValueError, match="the explanation has 2 inputs, 0 to 1"):
        zoo.plot(e, 2)
    with pytest.raises(ValueError, match="class_names has 1 names; expected 2"):
        zoo.plot(e, class_names=("one",))
    with pytest.raises(ValueError, match="count is 0"):
        zoo.plot(e, count=0)


def test_scores_show_themselves():
    rows = [
        ScoreRow("Accuracy", "0.5", "top1", "share <of> inputs"),
        ScoreRow("Stability", "n/a: no parts", "huang2023-v2"),
    ]
    result = EvaluateResult("mine", "digits", {}, rows, None)
    text = str(result)
    assert text.splitlines()[0] == "EvaluateResult: 1 rows; 1 scores do not apply"
    assert "0.5" in text
    assert "Stability" not in text
    assert "share &lt;of&gt; inputs" in result._repr_html_()
    pd.testing.assert_frame_equal(
        result.to_pandas(),
        pd.DataFrame([rows[0].__dict__]).rename(columns={"name": "score"})[["score", "value", "protocol", "note"]],
    )


def test_one_score_shows_itself():
    score = Result("consistency", 22.449, "huang2023-v2", 359, more={"soft": 0.45}, unit="%", title="Consistency")
    assert str(score).splitlines()[0] == "Consistency: 22.45 % (huang2023-v2, 359 samples)"
    assert score.to_pandas()["value"].tolist() == ["0.45"]
    assert str(Result("leakage", None, "zoo-leakage-v2", note="n/a: no concepts")) == "leakage: n/a: no concepts"


def test_comparisons_show_themselves():
    table = {(0, 1): ("3", "0.9"), (0, 2): ("4", "0.8")}
    runs = [("a", ""), ("b", ""), ("<c>", "")]
    result = CompareResult("three runs", runs, ("pairs", "similarity"), table, ("", "0.85"), {}, None, None)
    assert result.to_pandas()["and run"].tolist() == ["b", "<c>", ""]
    assert "&lt;c&gt;" in result._repr_html_()
    assert str(result).startswith("three runs\n")


def test_predictions_show_themselves():
    n = ROWS + 10
    prediction = Prediction(
        rows=tuple(f"<{i}>.png" for i in range(n)),
        class_names=("cat", "dog"),
        unit_names=("ear", "tail"),
        logits=torch.tensor([[0.0, 1.0]]).expand(n, -1),
        shown=torch.tensor([[1, -1]]).expand(n, -1),
        contribution=torch.tensor([[0.75, 0.0]]).expand(n, -1),
    )
    text = str(prediction)
    assert text.splitlines()[0] == f"Prediction of {n} inputs"
    assert text.splitlines()[-1] == "  ... and 10 more"
    assert "0.7311" in text
    assert "&lt;0&gt;.png" in prediction._repr_html_()
    assert len(prediction.to_pandas()) == n
