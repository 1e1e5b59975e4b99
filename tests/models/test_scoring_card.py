"""Scoring cards: integer points, exact sums, search against all supports, a lower bound that holds, credit points."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

import zoo
from zoo.batch import Batch
from zoo.layers.scoring import Patterns, best_support, lower_bound, round_points


def problem(n=400, p=7, seed=0):
    g = np.random.default_rng(seed)
    true = g.random((n, p)) < 0.4
    true[:, 1] |= true[:, 0]
    score = 2 * true[:, 0] - 1.5 * true[:, 3] + true[:, 5] - 0.4
    y = (g.random(n) < 1 / (1 + np.exp(-score))).astype(int)
    return true, y, g.uniform(0.5, 2, n)


def direct(true, y, weights, ridge, theta):
    """The objective from its definition, row by row."""
    total = 0.0
    for row, label, weight in zip(true, y, weights, strict=True):
        score = float(row @ theta[:-1] + theta[-1])
        total += weight * math.log1p(math.exp(-score if label else score))
    return total / weights.sum() + ridge / 2 * float(theta @ theta)


def test_the_objective_and_its_optimum():
    true, y, weights = problem()
    patterns = Patterns(true, y, weights, ridge=1e-3)
    assert len(patterns.rows) < len(true)
    theta = np.array([0.3, -0.2, 0.1])
    assert patterns.objective([0, 3], theta) == pytest.approx(direct(true[:, [0, 3]], y, weights, 1e-3, theta))
    fitted, value, bound = patterns.fit([0, 3, 5])
    other = minimize(lambda t: patterns.objective([0, 3, 5], t), np.zeros(4), tol=1e-12)
    assert value == pytest.approx(other.fun, abs=1e-9)
    assert value - 1e-9 <= bound <= value
    strong = LogisticRegression(C=1 / (1e-3 * weights.sum()), fit_intercept=False, tol=1e-10, max_iter=10_000)
    design = np.concatenate([true[:, [0, 3, 5]], np.ones((len(y), 1))], 1)
    strong.fit(design, y, sample_weight=weights)
    np.testing.assert_allclose(fitted, strong.coef_[0], atol=1e-5)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_search_and_bound_against_all_supports(k):
    true, y, weights = problem()
    patterns = Patterns(true, y, weights, ridge=1e-3)
    best = min(patterns.fit(rules)[1] for rules in itertools.combinations(range(7), k))
    support = best_support(patterns, k)
    assert support.objective == pytest.approx(best, abs=1e-9)
    bound, complete = lower_bound(patterns, k, support.objective, nodes=500)
    assert complete
    assert bound == pytest.approx(best, abs=1e-7)
    for nodes in (1, 3, 10):
        early, _ = lower_bound(patterns, k, support.objective, nodes=nodes)
        assert early <= best + 1e-9


def test_points_against_all_integers():
    true, y, weights = problem()
    patterns = Patterns(true, y, weights, ridge=1e-3)
    support = best_support(patterns, 2)
    card = round_points(patterns, support, max_points=3)
    assert np.abs(card.points).max() <= 3
    design = patterns.design(support.rules)
    lowest = math.inf
    for points in itertools.product(range(-3, 4), range(-3, 4), range(-6, 7)):
        vector = np.array(points) / card.multiplier
        lowest = min(lowest, patterns.value(design @ vector, vector))
    assert card.objective <= lowest + 1e-9  # the best at its own multiplier
    assert card.objective >= support.objective - 1e-12
    assert card.objective < support.objective + 0.01


def table(n=500):
    g = np.random.default_rng(1)
    rows = {
        "age": [None if g.random() < 0.1 else float(v) for v in g.normal(50, 12, n).round()],
        "town": g.choice(["Bern", "Basel", "Zug"], n).tolist(),
        "dose": g.uniform(0, 10, n).round(2).tolist(),
    }
    z = np.array([(a or 45) > 55 for a in rows["age"]]) * 1.5 + (np.array(rows["town"]) == "Zug") - 0.8
    rows["ill"] = np.where(g.random(n) < 1 / (1 + np.exp(-2 * z)), "yes", "no").tolist()
    return rows


@pytest.fixture(scope="module")
def card():
    from zoo.inputs.table import TableInputs

    rows = table()
    inputs = TableInputs.fit(rows, target="ill", encoding="values")
    batch = inputs.read(rows)
    model = zoo.create_model("scoring_card", num_classes=2, input_shape=[3]).eval()
    model.inputs = inputs
    return model, batch, rows, model.fit_card([batch], rules=3)


@torch.no_grad()
def test_the_card_in_words_gives_the_probability_of_the_model(card):
    """Oracle: a person adds up the printed points of a row and reads the risk."""
    model, batch, rows, _ = card
    points = {(line.column, line.values): line.points for line in model.card()}
    assert min(points.values()) == 0
    risks = model.risks()
    chance = model(batch.x).softmax(1)[:, 1]
    words = model.unit_values(batch.x[:80])
    for i in range(80):
        total = sum(points[column, value] for column, value in zip(model.units.names, words[i], strict=True))
        assert risks[total] == pytest.approx(float(chance[i]), abs=1e-9)
    explanation = model.explain(batch.x)
    steps = explanation.strength * model.multiplier
    assert float((steps - steps[:1] - (steps - steps[:1]).round()).abs().max()) < 1e-9


@torch.no_grad()
def test_credit_points_double_the_odds(card):
    model, batch, *_ = card
    lines = {(line.column, line.values): line.points for line in model.card(pdo=20, base_score=600, base_odds=50)}
    logits = model(batch.x)
    odds = (logits[:, 1] - logits[:, 0]).tolist()
    words = model.unit_values(batch.x)
    for i in range(100):
        score = sum(lines[column, value] for column, value in zip(model.units.names, words[i], strict=True))
        exact = 600 + 20 / math.log(2) * (odds[i] - math.log(50))
        assert abs(score - exact) <= 0.5 * len(model.units) + 1e-9
    with pytest.raises(ValueError, match="pdo is 0"):
        model.card(pdo=0)


@torch.no_grad()
def test_the_certificate_and_a_reload(card):
    model, batch, rows, figures = card
    objective, bound = model.certificate.tolist()
    assert 0 <= figures["gap"] < 0.05
    assert bound <= objective
    other = zoo.create_model("scoring_card", **model.hparams).eval()
    other.load_state_dict(model.state_dict())
    other.inputs = model.inputs
    assert other.card() == model.card()
    assert torch.equal(other(batch.x), model(batch.x))
    accuracy = float((model(batch.x).argmax(1) == batch.y).double().mean())
    assert accuracy > max(float((batch.y == c).double().mean()) for c in (0, 1)) + 0.05


def test_wrong_arguments(card):
    model, batch, *_ = card
    other = zoo.create_model("scoring_card", num_classes=3, input_shape=[3])
    with pytest.raises(ValueError, match="the target has 3 classes; a scoring card is for two classes"):
        other.fit_card([batch])
    with pytest.raises(ValueError, match="rules is 0; expected 1 or more"):
        model.fit_card([batch], rules=0)
    constant = Batch(torch.zeros(20, 3, dtype=torch.float64), torch.arange(20) % 2, torch.arange(20))
    with pytest.raises(ValueError, match="no rule is true"):
        model.fit_card([constant])


@torch.no_grad()
def test_the_page_shows_the_card(card, tmp_path):
    from zoo.reporting.context import PageContext
    from zoo.reporting.page import page

    model, batch, *_ = card
    context = PageContext("a", [model.explain(batch.x[:1])], ["no", "yes"], card=model.card(), risks=model.risks())
    html = page(tmp_path / "p.html", context).read_text()
    for line in model.card():
        assert f"<td>{line.column}</td>" in html
        assert line.values in html
    assert all(f"<td>{total}</td>" in html for total in model.risks())
