"""Neural additive models: networks against a loop over columns, learned functions, tabulation, mixed files."""

import csv

import numpy as np
import pytest
import torch

import zoo
from zoo.batch import Batch
from zoo.cli import main
from zoo.inputs.table import TableInputs
from zoo.layers.column_nets import ColumnNets


@torch.no_grad()
@pytest.mark.parametrize("units", ["relu", "exu"])
def test_networks_equal_a_loop_over_members_and_columns(units):
    torch.manual_seed(0)
    nets = ColumnNets(3, 2, members=2, hidden=[5, 4], units=units).double()
    x = torch.randn(6, 3, dtype=torch.float64)
    out = nets(x)
    for m in range(2):
        for j in range(3):
            inner = x[:, j, None] - nets.center[m, j]
            slope = nets.slope[m, j]
            state = (slope.exp() * inner).clamp(0, 1) if units == "exu" else (slope * inner).relu()
            state = (state @ nets.weights[0][m, j] + nets.biases[0][m, j]).relu()
            torch.testing.assert_close(out[m, :, j], state @ nets.weights[1][m, j])


def data(n=300):
    g = np.random.default_rng(0)
    rows = {
        "a": [None if g.random() < 0.1 else float(v) for v in g.uniform(-2, 2, n).round(2)],
        "town": g.choice(["u", "v", "w"], n).tolist(),
        "b": g.uniform(0, 100, n).round(1).tolist(),
    }
    effect = np.array([1.0 if a is None else np.sin(2 * a) for a in rows["a"]])
    rows["y"] = (50 + 10 * effect + 5 * (np.array(rows["town"]) == "w")).round(3).tolist()
    return rows, effect


@pytest.fixture(scope="module")
def trained():
    rows, effect = data()
    inputs = TableInputs.fit(rows, target="y", encoding="values")
    batch = inputs.read(rows)
    torch.manual_seed(0)
    task = {"kind": "regression", "mean": float(np.mean(rows["y"])), "std": float(np.std(rows["y"]))}
    model = zoo.create_model("nam", num_classes=1, input_shape=[3], hidden=[16, 16], members=2, task=task)
    model.inputs = inputs
    model.set_bins([batch])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        model.loss(batch, {})["task"].backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        before = model(batch.x)
    figures = model.tabulate([batch])
    return model, batch, effect, before, figures


@torch.no_grad()
def test_tabulation_keeps_the_function_and_centers_it(trained):
    model, batch, effect, before, figures = trained
    after = model(batch.x)
    assert figures["largest change"] == pytest.approx(float((after - before).abs().max()))
    assert figures["mean change"] < 0.05 * float(before.std())
    assert figures["loss after"] < figures["loss before"] + 1e-3
    assert float(model.explain(batch.x).strength.mean(0).abs().max()) < 1e-8
    residual = after[:, 0] - batch.y
    assert float(residual.square().mean().sqrt()) < 0.25 * float(batch.y.std())
    strength = model.explain(batch.x).strength[:, 0].numpy()
    assert np.corrcoef(strength, effect)[0, 1] > 0.97  # missing cells have their own effect
    assert model.shape_functions()[0].bands.max() > 0


@torch.no_grad()
def test_loads_as_tables(trained):
    model, batch, *_ = trained
    other = zoo.create_model("nam", **model.hparams, task=model.task).eval()
    other.load_state_dict(model.state_dict())
    other.inputs = model.inputs
    assert torch.equal(other(batch.x), model(batch.x))
    explanation = other.explain(batch.x)
    total = explanation.contribution.sum(1) + explanation.base
    torch.testing.assert_close(total, explanation.logits[:, 0], rtol=0, atol=1e-9)


def test_command_line_on_a_mixed_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows, _ = data(200)
    rows["y"] = ["yes" if v > 52 else "no" for v in rows["y"]]
    with open("rows.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(rows)
        writer.writerows(["" if v is None else v for v in row] for row in zip(*rows.values(), strict=True))
    overrides = ["data.file=rows.csv", "data.target=y", "model.hidden=[8]", "phases.nets.epochs=2"]
    main(["train", "nam/table", *overrides, "trainer.accelerator=cpu", "--out", "run"])
    assert "tabulation: loss" in capsys.readouterr().out
    assert bool(zoo.load("run").tabulated)


def test_wrong_arguments():
    for options, words in (
        ({"hidden": []}, "hidden is"),
        ({"members": 0}, "members 0"),
        ({"column_dropout": 1.0}, "column_dropout is 1.0"),
    ):
        with pytest.raises(ValueError, match=words):
            zoo.create_model("nam", num_classes=2, input_shape=[2], **options)
    model = zoo.create_model("nam", num_classes=2, input_shape=[2])
    batch = Batch(torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64), torch.arange(3))
    with pytest.raises(ValueError, match="class 1 has no training row"):
        model.set_bins([batch])
