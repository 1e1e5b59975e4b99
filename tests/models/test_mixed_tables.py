"""Every family of tables on the same mixed rows: missing cells, unknown levels, dates and booleans, in any order."""

import numpy as np
import pytest
import torch

import zoo
from zoo.inputs.table import TableInputs

CONCEPTS = {"columns": {name: {"kind": "binary", "group": name} for name in ("fever", "cough")}}
NET = {"backbone": "mlp", "backbone_args": {"hidden": [8]}}
FAMILIES = {
    "bilinear_mlp": ({"width": 8}, "dense", None),
    "blackbox": (NET, "dense", None),
    "cbm": (NET | {"concepts": CONCEPTS}, "dense", None),
    "cem": (NET | {"concepts": CONCEPTS}, "dense", None),
    "boosting": ({}, "values", lambda m, rows: m.fit_trees(rows, max_iter=5)),
    "additive": ({}, "values", lambda m, rows: m.fit_tables(rows, max_pairs=1, inner_splits=2)),
    "scoring_card": ({}, "values", lambda m, rows: m.fit_card(rows, rules=3, nodes=20)),
    "optimal_tree": ({}, "values", lambda m, rows: (pytest.importorskip("gosdt"), m.fit_tree(rows, max_depth=2))),
    "nam": ({"hidden": [4], "members": 2}, "values", lambda m, rows: (m.set_bins(rows), m.tabulate(rows))),
}


def mixed(n=80):
    g = np.random.default_rng(0)
    columns = {
        "age": [None if g.random() < 0.2 else float(v) for v in g.uniform(20, 80, n).round(1)],
        "town": [None if g.random() < 0.1 else str(v) for v in g.choice(["u", "v", "w"], n)],
        "smokes": [None if g.random() < 0.1 else str(v) for v in g.choice(["yes", "no"], n)],
        "day": [f"2024-0{1 + k % 9}-1{k % 7}" for k in range(n)],
    }
    ill = [(a or 50) > 50 or s == "yes" for a, s in zip(columns["age"], columns["smokes"], strict=True)]
    return columns | {"state": ["ill" if v else "well" for v in ill]}


@pytest.fixture(scope="module", params=list(FAMILIES))
def model(request):
    args, encoding, fit = FAMILIES[request.param]
    rows = mixed()
    inputs = TableInputs.fit(rows, target="state", encoding=encoding)
    batch = inputs.read(rows)
    torch.manual_seed(0)
    made = zoo.create_model(request.param, num_classes=2, input_shape=[batch.x.shape[1]], **args)
    made.inputs = inputs
    if fit is not None:
        fit(made, [batch])
    return made.eval()


def test_kinds_of_columns(model):
    kinds = {column.name: column.kind for column in model.inputs.schema.columns}
    assert kinds == {"age": "number", "town": "category", "smokes": "boolean", "day": "date"}


@torch.no_grad()
def test_explanation_sums_to_the_answer(model):
    batch = model.inputs.read(mixed())
    explanation = model.explain(batch.x)
    logits = model(batch.x)
    torch.testing.assert_close(explanation.logits, logits)
    if len(model.units):
        chosen = logits.gather(1, explanation.target[:, None])[:, 0]
        total = explanation.contribution.sum(1) + explanation.base
        torch.testing.assert_close(total.to(chosen), chosen, rtol=1e-4, atol=1e-4)


def test_predictions_of_missing_and_unknown_cells(model):
    rows = {name: cells[:6] for name, cells in mixed().items() if name != "state"}
    usual = model.predict(rows).probabilities
    assert usual.shape == (6, 2)
    torch.testing.assert_close(usual.sum(1), torch.ones_like(usual[:, 0]))
    reordered = {"note": ["x"] * 6} | dict(reversed(rows.items()))  # one more column changes nothing
    assert torch.equal(model.predict(reordered).probabilities, usual)
    empty = model.predict({name: [None] * 6 for name in rows}).probabilities
    assert torch.isfinite(empty).all()
    unknown = model.predict(rows | {"town": ["never"] * 6}).probabilities
    assert torch.isfinite(unknown).all()
    with pytest.raises(ValueError, match="never"):
        model.predict(rows | {"town": ["never"] * 6}, strict=True)
    with pytest.raises(ValueError, match="day"):
        model.predict({name: cells for name, cells in rows.items() if name != "day"})
    with pytest.raises(ValueError, match="yesterday"):
        model.predict(rows | {"day": ["yesterday"] * 6})
