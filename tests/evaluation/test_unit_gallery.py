"""Pictures and notes of units: templates, the truth on concepts, the weights of templates over rows."""

import math

import pytest
import torch

from zoo.data import create_data
from zoo.evaluation.units.gallery import sources, unit_lines
from zoo.evaluation.units.notes import unit_notes
from zoo.models.bilinear_mlp import BilinearMLP
from zoo.models.cbm import CBM


@pytest.fixture(scope="module")
def shapes():
    return create_data("shapes", size=32, n_train=16, n_val=8, n_test=16)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    file = tmp_path_factory.mktemp("table") / "t.csv"
    g = torch.Generator().manual_seed(0)
    rows = (torch.rand(40, 3, generator=g) * 10).tolist()
    file.write_text(
        "age,sugar,height,ill\n" + "\n".join(f"{a:.2f},{b:.2f},-{c:.2f},{i % 2}" for i, (a, b, c) in enumerate(rows))
    )
    return create_data("table", file=str(file), target="ill")


@pytest.mark.parametrize("bottleneck", ["probability", "logit", "hard"])
def test_truth_on_concepts(shapes, bottleneck):
    model = CBM(num_classes=8, concepts=shapes.concepts.to_config(), backbone="resnet10t", bottleneck=bottleneck).eval()
    batch = shapes.samples("test", range(4))
    truth = batch.concepts.clone()
    truth[2, :3] = math.nan
    with torch.no_grad():
        explanation = model.explain(batch.x, shown=18)
        logits = model.encode(batch.x)
    result = unit_notes(model, shapes, truth, [explanation])
    groups = shapes.concepts.group_ids
    for i, row in enumerate(result):
        for u in range(18):
            best = max((j for j in range(18) if groups[j] == groups[u]), key=lambda j: float(logits[i, j]))
            detected, true = float(best == u), float(truth[i, u])
            words = f"{'✓' if detected == true else '✗'} truth: {'yes' if true else 'no'}"
            assert row[u] == ("truth unknown" if math.isnan(true) else words)


def test_no_truth_where_units_are_no_concepts(shapes):
    model = BilinearMLP(num_classes=8, input_shape=[3, 32, 32], width=8).eval()
    batch = shapes.samples("test", range(2))
    assert unit_notes(model, shapes, batch.concepts, [model.explain(batch.x)]) == [{}, {}]


def test_portraits_stand_for_units_that_were_not_taken_from_samples(shapes):
    model = BilinearMLP(num_classes=8, input_shape=[3, 32, 32], width=8, patterns=3).eval()
    result = sources(model, shapes, [5, 2, -1])
    assert list(result) == [2, 5]
    assert result[5].is_template
    assert torch.equal(result[5].picture, model.unit_templates(torch.tensor([5]))[0].sum(0))
    assert result[5].whole().width >= 192
    assert unit_lines(model, shapes, result)[5].endswith(f", for {shapes.class_names[1]}")


def test_a_table_in_words(table):
    model = BilinearMLP(num_classes=2, input_shape=[3], width=4, patterns=4).eval()
    batch = table.samples("test", [0, 1])
    explanation = model.explain(batch.x, shown=2)
    notes = unit_notes(model, table, None, [explanation])
    unit = int(explanation.shown[0, 0])
    weights = dict(zip(("age", "sugar", "height"), model.unit_templates(torch.tensor([unit]))[0].tolist(), strict=True))
    order = sorted(weights, key=lambda n: -abs(weights[n]))
    assert notes[0][unit] == ", ".join(f"{weights[n]:+.2f} {n}".replace("-", "−") for n in order)
    assert sources(model, table, range(8)) == {}
    lines = table.feature_values(batch.x)
    measured = table.splits["test"].x[1].tolist()
    assert [name for name, _ in lines[1]] == ["age", "sugar", "height"]
    assert [float(v.replace("−", "-")) for _, v in lines[1]] == pytest.approx(measured, abs=1e-2)
