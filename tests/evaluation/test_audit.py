"""The audit of a model of tables: figures by group, fairness and drift against their definitions; the page."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, roc_auc_score

import zoo
from zoo.cli import main
from zoo.evaluation import audit
from zoo.inputs.table import TableInputs
from zoo.layers.additive import ColumnBins, Term


def rows(n=400, seed=0, shift=0.0):
    g = np.random.default_rng(seed)
    age = g.normal(50 + shift, 12, n).round()
    sex = g.choice(["F", "M"], n, p=[0.4, 0.6])
    ill = g.random(n) < 1 / (1 + np.exp(-(age - 50) / 10 - (sex == "M")))
    return {
        "age": [None if g.random() < 0.1 else float(a) for a in age],
        "sex": sex.tolist(),
        "ill": np.where(ill, "yes", "no").tolist(),
    }


@pytest.fixture(scope="module")
def model():
    table = rows()
    inputs = TableInputs.fit(table, target="ill", encoding="values")
    batch = inputs.read(table)
    model = zoo.create_model("scoring_card", num_classes=2, input_shape=[2]).eval()
    model.inputs = inputs
    model.fit_card([batch], rules=3)
    return model, batch, table


@torch.no_grad()
def test_figures_of_a_group_from_their_definition(model):
    model, batch, table = model
    values = model.inputs.encoding.decode(batch.x)
    groups = audit.group_figures(model, model.inputs, values, model(batch.x), batch.y)
    assert groups[0].rows == 400
    chance = model(batch.x).softmax(1)[:, 1].tolist()
    women = [i for i, sex in enumerate(table["sex"]) if sex == "F"]
    row = next(g for g in groups if (g.column, g.name) == ("sex", "F"))
    assert row.rows == len(women)
    truth = [table["ill"][i] == "yes" for i in women]
    selected = [chance[i] > 0.5 for i in women]  # a card with even odds answers with the first class
    assert row.figures["share positive"] == pytest.approx(np.mean(truth))
    assert row.figures["mean probability"] == pytest.approx(np.mean([chance[i] for i in women]))
    assert row.figures["selected"] == pytest.approx(np.mean(selected))
    hits = [s for s, t in zip(selected, truth, strict=True) if t]
    assert row.figures["true positive rate"] == pytest.approx(np.mean(hits))
    ours = [chance[i] for i in women]
    assert row.figures["AUROC"] == pytest.approx(roc_auc_score(truth, ours))
    assert row.figures["log loss"] == pytest.approx(log_loss(truth, ours))
    gap = 0.0
    for low in range(10):
        inside = [i for i, p in enumerate(ours) if low <= 10 * p < low + 1]
        gap += abs(sum(truth[i] - ours[i] for i in inside))
    assert row.figures["calibration error"] == pytest.approx(gap / len(women))
    of_age = [g for g in groups if g.column == "age"]
    assert sum(g.rows for g in of_age) == 400
    assert any(g.name == "(missing)" for g in of_age)
    numbers = [float(g.name.split()[-1]) for g in of_age if g.name != "(missing)"]
    assert numbers == sorted(numbers)  # quarters in their order, not by size
    assert [g.name for g in of_age][0].startswith("up to")
    low = audit.fairness(groups)[0]
    assert low[2] <= low[4]


def test_data_sheet():
    table = rows() | {"name": [f"person {i}" for i in range(400)]}
    sheet = audit.data_sheet(TableInputs.fit(table, target="ill", encoding="values"))
    share = 100 * np.mean([a is None for a in table["age"]])
    assert sheet[0][0] == "age"
    assert sheet[0][1].startswith("number, ")
    assert sheet[0][2] == f"{share:.3g} %"
    assert [row[0] for row in sheet[:2]] == ["age", "sex"]
    assert any(text.startswith("name: left out") for _, text, _ in sheet)
    assert sheet[-1][:1] + sheet[-1][2:] == ("", "")


def test_drift_against_its_definition():
    before = rows()
    inputs = TableInputs.fit(before, target="ill", encoding="values")
    same = {d.column: d for d in audit.drift(inputs, inputs.encoding.decode(inputs.read(before).x))}
    assert all(d.stability < 0.02 for d in same.values())
    new = rows(seed=1, shift=25.0)
    new["sex"] = ["F"] * 300 + ["M"] * 100
    moved = {d.column: d for d in audit.drift(inputs, inputs.encoding.decode(inputs.read(new).x))}
    share = {s: np.mean([v == s for v in before["sex"]]) for s in "FM"}
    now = {"F": 0.75, "M": 0.25}
    expected = sum((now[s] - share[s]) * math.log(now[s] / share[s]) for s in "FM")
    assert moved["sex"].stability == pytest.approx(expected, abs=1e-6)
    assert moved["age"].stability > 0.25
    assert moved["age"].missing_now == pytest.approx(np.mean([a is None for a in new["age"]]))


def test_drift_of_numbers_with_frequent_values():
    g = np.random.default_rng(0)

    def hours(n, common):
        return np.where(g.random(n) < common, 40.0, g.integers(1, 80, n)).tolist()

    inputs = TableInputs.fit({"hours": hours(2000, 0.5), "y": [0, 1] * 1000}, target="y", encoding="values")

    def index(values):
        (row,) = audit.drift(inputs, inputs.encoding.decode(inputs.read({"hours": values}, labels=False).x))
        return row.stability

    assert index(hours(2000, 0.5)) < 0.02  # half of the rows lie on two quantiles
    assert index(hours(2000, 0.05)) > 0.1
    train = g.normal(size=3000)
    inputs = TableInputs.fit({"hours": train.tolist(), "y": [0, 1] * 1500}, target="y", encoding="values")
    new = g.normal(0.5, 1.0, 1000)
    edges = np.quantile(train, [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99])
    expected = np.diff([0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1])
    actual = np.array([np.mean((new > a) & (new <= b)) for a, b in itertools.pairwise([-np.inf, *edges, np.inf])])
    actual = np.maximum(actual, audit.FLOOR)
    assert index(new.tolist()) == pytest.approx(
        float(((actual - expected) * np.log(actual / expected)).sum()), abs=1e-6
    )


def test_monotonicity():
    def term(values):
        axis = ColumnBins("x", "number", cuts=np.arange(len(values) - 1), counts=np.ones(len(values) + 2))
        return Term((axis,), np.array([0.0, *values, 0.0])[:, None], np.ones(len(values) + 2))

    cases = [([1, 2, 3], "rising"), ([3, 3, 1], "falling"), ([1, 2, 1, 2], "neither: 2 changes of direction")]
    for values, words in [*cases, ([1, 1], "constant")]:
        assert audit.monotonicity([term(values)]) == [("x", words)]


def test_the_page_from_the_command_line(model, tmp_path, monkeypatch, capsys):
    import csv

    monkeypatch.chdir(tmp_path)
    for name, table in (("rows.csv", model[2]), ("new.csv", rows(seed=1, shift=25.0))):
        with open(name, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(table)
            writer.writerows(["" if v is None else v for v in row] for row in zip(*table.values(), strict=True))
    main(["train", "scoring_card/table", "data.file=rows.csv", "data.target=ill", "--out", "run"])
    capsys.readouterr()
    assert main(["report", "run", "--new", "new.csv", "-o", "audit.html"]) == 0
    assert "age: stability index" in capsys.readouterr().out
    html = (tmp_path / "audit.html").read_text()
    for words in (
        "Performance and calibration by group",
        "Selection rates",
        "Shape functions",
        "Drift of the new rows",
        "Personal data in the checkpoint",
        "@media print",
        "Versions",
    ):
        assert words in html
    assert main(["report", "protopnet-digits"]) == 2
    assert "reads no tables" in capsys.readouterr().err
