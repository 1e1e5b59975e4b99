"""Additive models: equal to the fit of the core, restored without data, bit-identical, from the command line."""

import bisect
import csv
import json
import math

import numpy as np
import pytest
import torch

import zoo
from zoo.batch import Batch
from zoo.cli import main
from zoo.inputs.table import TableInputs
from zoo.layers.additive import AdditiveSettings, AdditiveTables, ColumnBins, Columns, Term, fit_additive
from zoo.task import Classification, Regression

N = 240
CONFIG = """\
model: {{name: additive}}
data: {{name: table, file: {file}, target: {target}, ignore_: 0}}
phases:
  convex: {{then: {{fit_tables: {{max_pairs: 1, inner_splits: 2, max_bins: 16}}}}}}
trainer: {{accelerator: cpu}}
seed: 0
"""


def mixed():
    g = np.random.default_rng(0)
    age = g.normal(50, 12, N).round()
    dose = g.uniform(0, 10, N).round(2)
    sex = g.choice(["F", "M"], N)
    town = g.choice(["Bern", "Basel", "Zug", "Chur"], N, p=[0.5, 0.3, 0.19, 0.01])
    z = (age - 50) / 12 + np.sin(dose) + 0.5 * (sex == "M") + (town == "Zug") + 0.8 * (dose > 5) * (age > 50)
    rows = {
        "age": [None if g.random() < 0.05 else float(a) for a in age],
        "dose": dose.tolist(),
        "sex": sex.tolist(),
        "town": [None if g.random() < 0.05 else t for t in town.tolist()],
        "day": [f"2024-{1 + i * 11 // N:02d}-{1 + i * 7 % 27:02d}" for i in range(N)],
        "size": g.choice(["small", "medium", "large"], N).tolist(),
    }
    targets = {
        "ill": np.where(z + g.normal(0, 0.7, N) > 0.8, "yes", "no").tolist(),
        "grade": np.array(["low", "mid", "top"])[np.digitize(z + g.normal(0, 0.4, N), (-0.2, 1.4))].tolist(),
        "price": (20_000 + 6_000 * z + g.normal(0, 1_000, N)).round(1).tolist(),
    }
    return rows, targets


def write(file, target):
    rows, targets = mixed()
    columns = rows | {target: targets[target]}
    with file.open("w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(columns)
        writer.writerows(["" if cell is None else cell for cell in row] for row in zip(*columns.values(), strict=True))
    return columns


LEVELS = {"size": ["small", "medium", "large"]}
KINDS = {"size": "ordinal"}
TASKS = {"ill": Classification(2), "grade": Classification(3), "price": Regression()}
EXACT = AdditiveSettings(max_pairs=1, inner_splits=2, max_bins=16)


def fitted(target, **options):
    rows, targets = mixed()
    columns = rows | {target: targets[target]}
    inputs = TableInputs.fit(columns, target=target, encoding="values", levels=LEVELS, kinds=KINDS)
    batch = inputs.read(columns)
    task = TASKS[target]
    model = zoo.create_model("additive", num_classes=task.outputs, input_shape=[len(rows)], task=task).eval()
    model.inputs = inputs
    figures = model.fit_tables([batch], **({"max_pairs": 1, "inner_splits": 2, "max_bins": 16} | options))
    return model, batch, rows, targets[target], figures


@pytest.fixture(scope="module", params=list(TASKS))
def case(request):
    return request.param, *fitted(request.param)


def scores_of(model, x):
    """Scores of the core: of two classes that of the second one."""
    logits = model(x).numpy()
    return logits[:, 1:] - logits[:, :1] if logits.shape[1] == 2 else logits


@torch.no_grad()
def test_equals_the_fit_of_raw_cells(case):
    """The same tables as ``fit_additive`` on the cells of the file, which never become tensors."""
    target, model, batch, rows, y, figures = case
    texts = ("sex", "town", "size")
    cells = {name: np.array(values, dtype=object if name in texts else None) for name, values in rows.items()}
    days = np.array(rows["day"], dtype="datetime64[D]").astype(int).astype(float)
    cells |= {"day": days, "age": np.array([np.nan if a is None else a for a in rows["age"]])}
    task = {"ill": "binary", "grade": "multiclass", "price": "regression"}[target]
    kinds = {
        "age": "number",
        "dose": "number",
        "day": "number",
        "sex": "category",
        "town": "category",
        "size": "ordinal",
    }
    fit = fit_additive(cells, y, task=task, kinds=kinds, orders=LEVELS, settings=EXACT)
    assert figures["kkt residual"] <= 1e-8
    assert {term.name for term in fit.terms} == {term.name for term in model.shape_functions()}
    scale = 6000 if target == "price" else 1
    np.testing.assert_allclose(scores_of(model, batch.x), fit.scores(cells), atol=2e-5 * scale)


@torch.no_grad()
def test_scores_equal_a_loop_over_bins(case):
    """Oracle: bisection of the cuts and a dictionary of labels, term by term and row by row."""
    _, model, batch, rows, _, _ = case
    columns = model.columns
    terms = model.shape_functions()
    expected = []
    for x in batch.x[:60].tolist():
        total = model.core.intercept.numpy().copy()
        for term in terms:
            place = []
            for axis in term.bins:
                value = x[columns.names.index(axis.name)]
                if math.isnan(value):
                    place.append(0)
                elif axis.kind == "number":
                    place.append(1 + bisect.bisect_right(axis.cuts.tolist(), value))
                else:
                    label = columns.levels[columns.names.index(axis.name)][int(value)]
                    place.append(next(j for j, group in enumerate(axis.labels, 1) if label in group))
            total = total + term.table[tuple(place)]
        expected.append(total)
    np.testing.assert_allclose(scores_of(model, batch.x[:60]), np.array(expected), atol=1e-9)


@torch.no_grad()
def test_contributions_are_exact_and_centered(case):
    target, model, batch, *_ = case
    explanation = model.explain(batch.x)
    total = explanation.contribution.sum(1) + explanation.base
    chosen = explanation.logits.gather(1, explanation.target[:, None])[:, 0]
    scale = 20_000 if target == "price" else 1
    assert float((total - chosen).abs().max()) < 1e-12 * scale * 10
    assert explanation.logits.dtype == torch.float64
    mean = explanation.strength.mean(0)  # an average row: 0
    assert float(mean.abs().max()) < 1e-9 * scale
    assert len(model.units) == len(model.shape_functions()) * (3 if target == "grade" else 1)
    if target == "grade":
        assert model.units.names[:3] == ["age (low)", "age (mid)", "age (top)"]
        assert model.units.owner.tolist()[:4] == [0, 1, 2, 0]


@torch.no_grad()
def test_an_unseen_level_and_an_unseen_missing_cell_are_an_average_row():
    model, batch, *_ = fitted("ill")
    with pytest.warns(UserWarning, match="missing, which it never was in the training data; read as an average row"):
        row = model.inputs.read(
            {"age": [50], "dose": [None], "sex": ["F"], "town": ["Paris"], "day": ["2024-03-01"], "size": ["small"]}
        )
    words = dict(zip(model.units.names, model.unit_values(row.x)[0], strict=True))
    assert words["dose"] == "missing"
    strength = dict(zip(model.units.names, model.explain(row.x).strength[0].tolist(), strict=True))
    assert strength["dose"] == 0.0
    assert words["day"].startswith("2024-0") or "2024" in words["day"]


@torch.no_grad()
def test_loads_without_data_bit_identical(case, tmp_path):
    from safetensors.torch import load_file, save_file

    target, model, batch, *_ = case
    save_file(model.state_dict(), tmp_path / "m.safetensors")
    other = zoo.create_model("additive", **model.hparams, task=model.task).eval()
    other.load_state_dict(load_file(tmp_path / "m.safetensors"))
    other.inputs = model.inputs
    assert torch.equal(other(batch.x), model(batch.x))
    for a, b in zip(model.shape_functions(), other.shape_functions(), strict=True):
        assert a.name == b.name
        assert np.array_equal(a.table, b.table)
        assert [axis.labels for axis in a.bins] == [axis.labels for axis in b.bins]


@torch.no_grad()
def test_the_same_rows_give_the_same_bits(case):
    target, model, batch, *_ = case
    again = fitted(target)[0]
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


@torch.no_grad()
def test_class_weights_are_weights_of_rows():
    model, batch, *_ = fitted("ill", max_pairs=0)
    model.task = Classification(2, weights=(1.0, 3.0))
    model.fit_tables([batch], max_pairs=0, inner_splits=2, max_bins=16)
    weight = torch.where(batch.y == 1, 3.0, 1.0)
    other = fitted("ill", max_pairs=0)[0]
    other.fit_tables([Batch(batch.x, batch.y, batch.index, weight=weight)], max_pairs=0, inner_splits=2, max_bins=16)
    assert torch.equal(model(batch.x), other(batch.x))
    assert float(model(batch.x).argmax(1).double().mean()) > float(
        fitted("ill", max_pairs=0)[0](batch.x).argmax(1).double().mean()
    )


@torch.no_grad()
def test_intervening_on_a_term_replaces_its_number():
    model, batch, *_ = fitted("price")
    strength = model.explain(batch.x).strength
    changed = model.intervene(batch.x, {0: 1234.0})
    torch.testing.assert_close(changed[:, 0], model(batch.x)[:, 0] - strength[:, 0] + 1234.0, rtol=0, atol=1e-8)
    older = model.inputs.set(batch.x, {"age": 70})  # a column moves all its terms together
    affected = [u for u, name in enumerate(model.units.names) if "age" in name.split(" x ")]
    same = [u for u in range(len(model.units)) if u not in affected]
    assert torch.equal(model.explain(older).strength[:, same], strength[:, same])


@torch.no_grad()
def test_purify_keeps_predictions_and_centers():
    """Tables moved off their form by hand come back pure, and the answers stay."""
    model, batch, *_ = fitted("price")
    for term in model.shape_functions():
        assert len(term.bins) in (1, 2)
    model.core.tables.add_(torch.linspace(-50, 50, model.core.tables.numel(), dtype=torch.float64)[:, None])
    before = model(batch.x)
    model.purify([])
    torch.testing.assert_close(model(batch.x), before, rtol=1e-12, atol=1e-7)
    assert float(model.explain(batch.x).strength.mean(0).abs().max()) < 1e-7


def test_tables_of_plain_numbers_follow_the_edges():
    """A value at a cut belongs to the upper bin; infinities fall in the outer bins; missing cells in bin 0."""
    axis = ColumnBins("x", "number", cuts=[0.0, 1.5], counts=np.ones(5), minimum=-1, maximum=2)
    tables = AdditiveTables([Term((axis,), np.arange(5.0)[:, None], np.ones(5))], np.zeros(1), Columns.numbers(["x"]))
    x = torch.tensor([[-torch.inf], [-1e-9], [0.0], [1.49], [1.5], [torch.inf], [torch.nan]])
    assert tables(x)[:, 0].tolist() == [1, 1, 2, 2, 3, 3, 0]


@pytest.mark.parametrize("target", [t if t == "ill" else pytest.param(t, marks=pytest.mark.slow) for t in TASKS])
def test_command_line_on_a_mixed_file(target, tmp_path, monkeypatch, capsys):
    """zoo train, resume, predict, explain and show on a CSV of numbers, dates, words and missing cells."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "rows.csv", target)
    (tmp_path / "c.yaml").write_text(
        CONFIG.format(file="rows.csv", target=target).replace(
            ", ignore_: 0", ", levels: {size: [small, medium, large]}, kinds: {size: ordinal}"
        )
    )
    main(["train", "c.yaml", "--out", "run"])
    out = capsys.readouterr().out
    assert "KKT residual" in out
    model = zoo.load("run")
    assert float(model.certificate[0]) <= 1e-8
    (tmp_path / "run" / "checkpoint" / "metrics.json").rename(tmp_path / "m.json")
    (tmp_path / "run" / "report.html").unlink()
    main(["train", "c.yaml", "--out", "run", "--resume"])
    resumed = zoo.load("run")
    assert all(torch.equal(v, resumed.state_dict()[k]) for k, v in model.state_dict().items())
    html = (tmp_path / "run" / "report.html").read_text()
    assert "Shape functions" in html
    assert "<svg" in html
    (tmp_path / "moved").mkdir()
    (tmp_path / "rows.csv").rename(tmp_path / "moved" / "rows.csv")
    capsys.readouterr()
    main(["predict", "run", "moved/rows.csv"])
    lines = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert len(lines) == N
    assert lines[0]["unit_1"].split(" (")[0].split(" x ")[0] in mixed()[0]
    expected = model.predict(str(tmp_path / "moved" / "rows.csv")).labels
    if target != "price":
        assert [line["prediction"] for line in lines] == expected
        assert (
            np.mean([line["prediction"] == truth for line, truth in zip(lines, mixed()[1][target], strict=True)]) > 0.75
        )
    main(["explain", "run", "age=60,dose=2,sex=M,town=,day=2024-05-01,size=large", "--out", "page"])
    page = next((tmp_path / "page").glob("*.html")).read_text()
    assert "missing" in page
    assert (
        json.loads((tmp_path / "run" / "checkpoint" / "metrics.json").read_text())["scores"]["completeness_gap"][
            "value"
        ]
        < 1e-12
    )


@pytest.mark.parametrize(
    ("options", "task", "words"),
    [
        ({"max_pairs": -1}, "ill", "max_pairs is -1; expected 0"),
        ({"monotone": {"agee": 1}}, "ill", "column 'agee', which is not in the table; nearest: 'age'"),
        ({"monotone": {"age": 2}}, "ill", "direction of 'age' is 2; expected 1 or -1"),
        ({"monotone": {"age": 1}}, "grade", "need a regression or two classes"),
        ({"inner_splits": 1}, "ill", "inner_splits is 1"),
    ],
)
def test_wrong_options(options, task, words):
    with pytest.raises(ValueError, match=words):
        fitted(task, **options)


def test_other_losses_and_missing_classes_are_refused():
    model, batch, *_ = fitted("ill", max_pairs=0)
    model.task = Classification(2, smoothing=0.1)
    with pytest.raises(ValueError, match="task.smoothing is 0.1; the convex fit has none"):
        model.fit_tables([batch])
    model.task = Classification(2)
    with pytest.raises(ValueError, match="class 1 has no training row"):
        model.fit_tables([Batch(batch.x[:9], torch.zeros(9, dtype=torch.int64), torch.arange(9))])
    numbers = zoo.create_model("additive", num_classes=1, input_shape=[6], task=Regression(loss_name="huber"))
    with pytest.raises(ValueError, match="the convex fit has the squared loss alone"):
        numbers.fit_tables([batch])
    for arguments in ({"num_classes": 0, "input_shape": [3]}, {"num_classes": 2, "input_shape": []}):
        with pytest.raises(ValueError, match="expected"):
            zoo.create_model("additive", **arguments)
