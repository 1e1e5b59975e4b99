"""Even odds of a scoring card: every way to compute its answer decides them alike, because points are whole numbers."""

import random

import numpy as np
import pytest
import torch
from tied_card import MULTIPLIER, POINTS, ROWS, TOTALS, card, expected_class, inputs, threshold_at

from zoo.serving.files import open_onnx, open_torch, write_onnx, write_torch
from zoo.serving.graph import Graph


def test_the_rows_have_many_ties_that_a_plain_sum_decides_at_random():
    model = card()
    assert TOTALS.count(0) >= 20
    plain = (model.core.intercept + model.encode(inputs(model)).sum(-2))[:, 0]
    ties = plain[torch.tensor(TOTALS) == 0]
    assert bool((ties > 0).any())
    assert bool((ties < 0).any())


@torch.no_grad()
@pytest.mark.parametrize("seed", range(4))
def test_logits_are_the_totals_over_the_multiplier_in_any_order_of_the_columns(seed):
    """Oracle: integers, added up in Python."""
    order = list(POINTS)
    random.Random(seed).shuffle(order)
    model = card(order)
    score = torch.tensor([total / MULTIPLIER for total in TOTALS], dtype=torch.float64)
    x = inputs(model)
    assert torch.equal(model(x), torch.stack([-score / 2, score / 2], 1))
    assert torch.equal(model.explain(x).logits, model(x))
    explanation = model.explain(x)
    even = torch.tensor(TOTALS) == 0
    rest = explanation.logits[even].gather(1, explanation.target[even, None])[:, 0] - explanation.base[even]
    assert torch.equal(rest, explanation.contribution[even].sum(1)), "the relative gap at a logit of 0 is 0"
    assert model.task.answer(model(x)).prediction.tolist() == [expected_class(total) for total in TOTALS]
    np.testing.assert_array_equal(model.feature_tables().logits(x.numpy()), model(x).numpy())
    assert model.predict([ROWS[i] for i in (0, 5)]).labels == [("no", "yes")[expected_class(TOTALS[i])] for i in (0, 5)]


@torch.no_grad()
@pytest.mark.parametrize("total", [2, *(pytest.param(total, marks=pytest.mark.slow) for total in (None, 0, -3))])
def test_files_answer_every_row_as_the_model_does(total, tmp_path):
    """Also where the probability of some rows is exactly the threshold."""
    pytest.importorskip("onnxruntime")
    threshold = None if total is None else threshold_at(total)
    model = card(threshold=threshold)
    graph = Graph(model)
    raw = {name: torch.tensor([row[name] for row in ROWS], dtype=torch.float64) for name in POINTS}
    x = inputs(model)
    answer = model.task.answer(model(x)).prediction
    assert answer.tolist() == [expected_class(t, total) for t in TOTALS]
    assert TOTALS.count(total or 0) >= 10
    about = {"outputs": list(graph(raw)), "checkpoint": "", "model": "scoring_card", "zoo": ""}
    for write, opened, file in ((write_onnx, open_onnx, "card.onnx"), (write_torch, open_torch, "card.pt2")):
        write(graph, {name: cells[:3] for name, cells in raw.items()}, about, tmp_path / file)
        outputs = opened(graph, tmp_path / file)(raw)
        assert torch.equal(outputs["prediction"], answer), file
        assert torch.equal(outputs["logits"], model(x)), file
        assert torch.equal(outputs["explained"], model.explain(x).target), file
        torch.testing.assert_close(outputs["contribution"], model.explain(x).contribution)


@torch.no_grad()
def test_edits_keep_whole_points():
    model = card()
    edited = model.edit([{"operation": "move", "unit": "b", "bins": [2], "by": 2 / MULTIPLIER}])
    edited = edited.edit([{"operation": "set", "unit": "c", "bins": [1, 3], "value": 0.77}])
    points = {(line.column, line.values): line.points for line in edited.card()}
    words = edited.unit_values(inputs(model))
    for row, logits in zip(words, edited(inputs(model)).tolist(), strict=True):
        total = edited.base_points() + sum(points[cell] for cell in zip(edited.units.names, row, strict=True))
        score = total / MULTIPLIER
        assert logits == [-score / 2, score / 2]


@torch.no_grad()
def test_interventions_are_whole_where_the_values_are():
    """A unit that is set to what another bin adds gives the answer of that bin; any other value is not rounded."""
    model = card()
    x, strength = inputs(model), model.explain(inputs(model)).strength
    for i in range(0, len(ROWS), 7):
        j = (5 * i + 3) % len(ROWS)
        changed = model.intervene(x[i : i + 1], {0: float(strength[j, 0])})
        other = ROWS.index(ROWS[i] | {"a": ROWS[j]["a"]})
        assert torch.equal(changed, model(x[other : other + 1]))
    free = model.intervene(x[:1], {0: 0.123456})
    plain = model.core.intercept + strength[0, 1:].sum() + 0.123456
    torch.testing.assert_close(free[:, 1:] * 2, plain[None])


def test_gradients_are_those_of_the_plain_sum():
    model = card()
    state = model.encode(inputs(model)).detach().requires_grad_()
    model.decide(state)[:, 1].sum().backward()
    assert torch.equal(state.grad, torch.full_like(state, 0.5))


@torch.no_grad()
@pytest.mark.parametrize("at", [None, 0, 2])
def test_a_tie_is_enough_for_the_class_that_wins_it(at):
    """Oracle: all changes of one column."""
    model = card(threshold=None if at is None else threshold_at(at))
    found = model.counterfactual(inputs(model), max_changes=1)
    answers = [expected_class(total, at) for total in TOTALS]
    through_ties = 0
    for row, total, answer, result in zip(ROWS, TOTALS, answers, found, strict=True):
        flips = {
            (name, value): total - points[int(row[name])] + points[value]
            for name, points in POINTS.items()
            for value in (0, 1, 2)
        }
        flips = {key: new for key, new in flips.items() if expected_class(new, at) != answer}
        assert (result.target is not None) == bool(flips)
        through_ties += bool(flips) and all(new == (at or 0) for new in flips.values())
    assert through_ties > 0
